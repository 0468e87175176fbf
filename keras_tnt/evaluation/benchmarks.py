"""The test sets of ImageNet, each by one word."""

from typing import NamedTuple

from keras_tnt.data import ImageSource, load_dataset
from keras_tnt.data.datasets import load_joined_datasets
from keras_tnt.utils.typing import PathLike


class Benchmark(NamedTuple):
    """A test set of ImageNet.

    Attributes:
        tfds_name: name of the tfds data set.
        split: the split that is reported.
        published: top-1 accuracy, 0 to 1, by the name of the published weights.
    """

    tfds_name: str
    split: str
    published: dict[str, float]


def _tnt(small, base):
    return {"tnt_small": small, "tnt_base": base}


CORRUPTED = "imagenet_c"
# The accuracies are timm's, github.com/huggingface/pytorch-image-models/tree/main/
# results: the whole split, one view of 224x224, crop fraction 0.9.
BENCHMARKS = {
    "imagenet2012": Benchmark("imagenet2012", "validation", _tnt(0.81506, 0.82864)),
    "imagenet_v2": Benchmark(
        "imagenet_v2/matched-frequency", "test", _tnt(0.7017, 0.7237)
    ),
    "imagenet_real": Benchmark(
        "imagenet2012_real", "validation", _tnt(0.86763, 0.87585)
    ),
    "imagenet_a": Benchmark("imagenet_a", "test", _tnt(0.24627, 0.322)),
    "imagenet_r": Benchmark("imagenet_r", "test", _tnt(0.42697, 0.4693)),
    "imagenet_sketch": Benchmark("imagenet_sketch", "test", _tnt(0.30191, 0.33713)),
    CORRUPTED: Benchmark("imagenet2012_corrupted", "validation", {}),
}


def load_benchmark(
    data: str, split: str | None = None, data_dir: PathLike | None = None
) -> ImageSource:
    """Load a test set of ImageNet by its word, or any data set.

    Args:
        data: one of `imagenet2012`, `imagenet_v2`, `imagenet_real`, `imagenet_a`,
            `imagenet_r` and `imagenet_sketch`, or any data set for
            `keras_tnt.data.load_dataset`.
        split: the split, or a slice of it. By default the one that is reported, if
            `data` is one of the words.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.

    Returns:
        An `ImageSource`.

    Raises:
        FileNotFoundError: if tfds cannot prepare the data set, or there is no such
            directory.
        ValueError: for an unknown name or split, labels that are not one class, or
            `imagenet_c`, which is 75 data sets; see `evaluate_corruptions`.

    Example:
        ```python
        source = load_benchmark("imagenet_real", data_dir="/data/tfds")
        ```
    """
    if data == CORRUPTED:
        raise ValueError(
            f"{CORRUPTED} is 75 data sets, expected one. Use evaluate_corruptions, or "
            "load one of them, such as 'imagenet2012_corrupted/fog_3'."
        )
    if data in BENCHMARKS:
        # Not a directory of this name, even if there is one.
        name, reported, _ = BENCHMARKS[data]
        source, _ = load_joined_datasets([name], split or reported, data_dir)
        return source
    return load_dataset(data, split, data_dir)
