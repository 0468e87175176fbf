"""The test sets of ImageNet, each by one word.

tests/cli/test_evaluate.py evaluates on them.
"""

import numpy as np
import pytest

from keras_tnt.data import image_dataset, load_dataset
from keras_tnt.evaluation import load_benchmark
from keras_tnt.evaluation.benchmarks import BENCHMARKS
from tests.helpers.imagenet import prepare


def test_load_benchmark__real_is_not_for_training(tmp_path):
    """Nor for metrics that know one class for each image."""
    prepare(tmp_path, "imagenet2012_real", "validation", [[5], [1, 2]], "real_label")
    with pytest.raises(ValueError, match="have lists of right answers"):
        image_dataset("imagenet2012_real", "validation", batch_size=1,
                      data_dir=tmp_path)  # fmt: skip
    source = load_dataset("imagenet2012_real", "validation", tmp_path).in_memory()
    assert source.several_labels
    hot = sorted(np.flatnonzero(source.fetch(i)[1]).tolist() for i in range(2))
    assert hot == [[1, 2], [5]]


@pytest.mark.parametrize(
    ("data", "tfds_name", "split", "classes"),
    [
        ("imagenet2012", "imagenet2012", "validation", 1000),
        ("imagenet_v2", "imagenet_v2/matched-frequency", "test", 1000),
        ("imagenet_a", "imagenet_a", "test", 200),
        ("imagenet_r", "imagenet_r", "test", 200),
        ("imagenet_sketch", "imagenet_sketch", "test", 1000),
    ],
)
def test_load_benchmark__one_word(
    data, tfds_name, split, classes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # which then has a directory of that name
    prepare(tmp_path, tfds_name, split, [13, 6, 11])
    source = load_benchmark(data, None, tmp_path)
    assert source.name.startswith(f"{tfds_name}/")
    assert source.name.endswith(f" {split}")
    assert len(source.class_names) == classes
    labels = {source.class_names[source.fetch(index)[1]] for index in range(3)}
    assert labels == {"n01498041", "n01531178", "n01534433"}
    assert len(load_benchmark(data, f"{split}[:1]", tmp_path)) == 1


def test_load_benchmark__others():
    assert len(load_benchmark("fashion_mnist_mini", "test[:3]")) == 3
    with pytest.raises(ValueError, match="is 75 data sets, expected one"):
        load_benchmark("imagenet_c")


def test_benchmarks__published():
    """What timm measured, in percent."""
    percent = {
        name: [f"{top_1:.2%}" for top_1 in benchmark.published.values()]
        for name, benchmark in BENCHMARKS.items()
    }
    assert percent == {
        "imagenet2012": ["81.51%", "82.86%"],
        "imagenet_v2": ["70.17%", "72.37%"],
        "imagenet_real": ["86.76%", "87.59%"],
        "imagenet_a": ["24.63%", "32.20%"],
        "imagenet_r": ["42.70%", "46.93%"],
        "imagenet_sketch": ["30.19%", "33.71%"],
        "imagenet_c": [],
    }
