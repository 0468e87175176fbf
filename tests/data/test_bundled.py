"""The bundled data set: its contents, its reader and the script that made it."""

import collections
import filecmp
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from tests.helpers import ROOT

PACKAGE = ROOT / "demo_data" / "keras_tnt_demo_data"
ORIGINALS = Path("/usr/share/datasets/fashion-mnist")

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIZES = {"train": 12000, "test": 2000}
FIRST_LABELS = {
    "train": [1, 2, 5, 1, 6, 4, 2, 0, 9, 3],
    "test": [9, 1, 5, 7, 2, 4, 5, 4, 9, 0],
}
FIRST_PIXEL_SUMS = {
    "train": [53296, 103703, 30469, 31640, 104876],
    "test": [30680, 37872, 55957, 22214, 48303],
}
# SHA-256 of all pixels in the order of the records.
PIXELS_SHA256 = {
    "train": "28ddc43230e260fbab03c10b110908795ddb26208e1c935156d72b1e825abaf7",
    "test": "cd8e5b777c0ded406d7eee583dee9fa84b0eb8007b681289c1b3032617e725df",
}

# Reads both splits in a fresh process, where the first import of tfds would show too,
# and fails on any look-up or connection, and on any file of the packages that is opened
# to write.
OFFLINE_READER = """
import sys
from pathlib import Path

from keras_tnt.data import bundled

assert "tensorflow_datasets" not in sys.modules, "imported before it is needed"
packages = (str(Path(bundled.__file__).parents[1]), str(bundled.bundled_directory()))

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise AssertionError(f"network access: {event} {arguments}")
    if event == "open" and str(arguments[0]).startswith(packages):
        assert not set(arguments[1] or "") & set("wax+"), f"writes {arguments[0]}"

sys.dont_write_bytecode = True
sys.addaudithook(watch)
for split in ("train", "test"):
    print(sum(1 for _ in bundled.fashion_mnist_mini(split)))
"""


def read(split):
    """All images and labels of a split, as arrays."""
    dataset = fashion_mnist_mini(split)
    return next(dataset.batch(len(dataset)).as_numpy_iterator())


@pytest.fixture(scope="module", params=["train", "test"])
def split(request):
    return request.param


@pytest.fixture(scope="module")
def arrays(split):
    return read(split)


def test_fashion_mnist_mini__element_spec_and_length(split):
    dataset = fashion_mnist_mini(split)
    assert dataset.element_spec == (
        tf.TensorSpec((28, 28, 1), tf.uint8),
        tf.TensorSpec((), tf.int64),
    )
    assert len(dataset) == SIZES[split]


def test_fashion_mnist_mini__balanced_and_mixed(split, arrays):
    _, labels = arrays
    per_class = dict.fromkeys(range(10), SIZES[split] // 10)
    assert collections.Counter(labels.tolist()) == per_class
    # Sorted classes would make a stretch of a hundred records nearly all one class.
    for start in range(0, len(labels), 100):
        assert max(np.bincount(labels[start : start + 100])) < 30


def test_fashion_mnist_mini__known_images(split, arrays):
    images, labels = arrays
    assert labels[:10].tolist() == FIRST_LABELS[split]
    assert images[:5].sum(axis=(1, 2, 3)).tolist() == FIRST_PIXEL_SUMS[split]
    assert hashlib.sha256(images.tobytes()).hexdigest() == PIXELS_SHA256[split]


def test_fashion_mnist_mini__same_order(split, arrays):
    images, labels = read(split)
    np.testing.assert_array_equal(images, arrays[0])
    np.testing.assert_array_equal(labels, arrays[1])


def test_fashion_mnist_mini__disjoint_splits():
    train, test = ({image.tobytes() for image in read(split)[0]} for split in SIZES)
    assert train.isdisjoint(test)


def test_fashion_mnist_mini__class_names():
    assert fashion_mnist_mini_class_names() == CLASS_NAMES


def test_fashion_mnist_mini__slices():
    assert len(fashion_mnist_mini("train[:10%]")) == 1200


def test_fashion_mnist_mini__unknown_split():
    with pytest.raises(ValueError, match=r"'validation'.*'train', 'test'"):
        fashion_mnist_mini("validation")


def test_fashion_mnist_mini__tfds_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r'pip install "keras-tnt\[demo\]"'):
        fashion_mnist_mini("test")
    with pytest.raises(ImportError, match=r'pip install "keras-tnt\[demo\]"'):
        fashion_mnist_mini_class_names()


def test_fashion_mnist_mini__images_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tnt_demo_data", None)
    with pytest.raises(ImportError, match=r"keras-tnt-demo-data.* pip install \./demo"):
        fashion_mnist_mini("test")


@pytest.mark.processes
def test_fashion_mnist_mini__no_network_no_writes():
    process = subprocess.run(
        [sys.executable, "-c", OFFLINE_READER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["12000", "2000"]


def test_fashion_mnist_mini__files_and_license():
    sizes = [path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file()]
    assert sum(sizes) < 10_000_000
    license_text = (PACKAGE / "LICENSE").read_text("utf-8")
    assert "MIT License" in license_text
    assert "Zalando SE" in license_text


@pytest.mark.slow
@pytest.mark.skipif(
    not ORIGINALS.is_dir(),
    reason="needs the originals: apt-get install dataset-fashion-mnist",
)
def test_make_fashion_mnist_mini__same_bytes(tmp_path):
    process = run_script("--output", tmp_path)
    assert process.returncode == 0, process.stderr
    kept, made = PACKAGE / "fashion_mnist_mini" / "1.0.0", tmp_path / "1.0.0"
    names = sorted(path.name for path in kept.iterdir())
    assert sorted(path.name for path in made.iterdir()) == names
    same, _, _ = filecmp.cmpfiles(kept, made, names, shallow=False)
    assert same == names


@pytest.mark.slow
def test_make_fashion_mnist_mini__missing_originals(tmp_path):
    process = run_script("--originals", tmp_path, "--output", tmp_path / "made")
    assert process.returncode != 0
    assert "apt-get install dataset-fashion-mnist" in process.stderr


def run_script(*arguments):
    script = ROOT / "scripts" / "make_fashion_mnist_mini.py"
    return subprocess.run(
        [sys.executable, script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
