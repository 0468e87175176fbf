"""Make the bundled data set: a small, class-balanced part of Fashion-MNIST.

It has the first 1,200 training and the first 200 test images of each class, in the
order of the original files, in the format of tensorflow_datasets. The same version of
TensorFlow always writes the same bytes:

    sudo apt-get install dataset-fashion-mnist
    python scripts/make_fashion_mnist_mini.py

The images are encoded by TensorFlow's PNG encoder. The best of 28 encoder settings per
image saved only 3 % on a sample of 1,500.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from fashion_mnist_files import HOMEPAGE, ORIGINALS, read_idx

PACKAGE = Path(__file__).parents[1] / "demo_data" / "keras_tnt_demo_data"
OUTPUT = PACKAGE / "fashion_mnist_mini"

CLASS_NAMES = [
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
]

DESCRIPTION = """\
A small, class-balanced part of Fashion-MNIST: 28x28 gray images of ten kinds of
clothing, 12,000 for training and 2,000 for testing. They are the first 1,200 images
of each class in the original training file and the first 200 in the original test
file, in shuffled order. Copyright (c) 2017 Zalando SE, MIT license."""

CITATION = """\
@article{xiao2017fashion,
  title   = {Fashion-{MNIST}: a Novel Image Dataset for Benchmarking Machine Learning
             Algorithms},
  author  = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  journal = {arXiv preprint arXiv:1708.07747},
  year    = {2017},
}"""


class FashionMnistMini(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Build the data set; tfds orders the records by a fixed hash of their keys."""

    VERSION = tfds.core.Version("1.0.0")
    __module__ = "make_fashion_mnist_mini"  # goes into the metadata, "__main__" if run

    def __init__(self, originals, data_dir):
        self._originals = Path(originals)
        super().__init__(data_dir=data_dir)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(28, 28, 1), dtype=np.uint8, encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=CLASS_NAMES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=HOMEPAGE,
            citation=CITATION,
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples("train", per_class=1200),
            "test": self._generate_examples("t10k", per_class=200),
        }

    def _generate_examples(self, prefix, per_class):
        images = read_idx(self._originals / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(self._originals / f"{prefix}-labels-idx1-ubyte.gz")
        for label in range(len(CLASS_NAMES)):
            for index in np.flatnonzero(labels == label)[:per_class].tolist():
                yield index, {"image": images[index, ..., np.newaxis], "label": label}


def rewrite_in_fixed_order(path):
    """Sort the features of every record of a file by name.

    A record is a protobuf map, whose order differs from process to process.

    Args:
        path: A TFRecord file of `tf.train.Example`s; its length stays the same.
    """
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            writer.write(example.SerializeToString(deterministic=True))


def make(originals, output):
    """Write the data set to `output`/1.0.0 and replace an existing one.

    Args:
        originals: Directory of the four original `.gz` files.
        output: Directory of the data set, the parent of its versions.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        builder = FashionMnistMini(originals, data_dir=temporary)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
        for path in Path(builder.data_dir).glob("*.tfrecord-*"):
            rewrite_in_fixed_order(path)
        target = output / str(builder.version)
        if target.exists():
            shutil.rmtree(target)
        os.replace(builder.data_dir, target)


def main():
    """Make the data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--originals", default=ORIGINALS, help="default: %(default)s")
    parser.add_argument("--output", default=OUTPUT, help="default: inside demo_data")
    arguments = parser.parse_args()
    tfds.disable_progress_bar()
    make(arguments.originals, arguments.output)
    print(f"Wrote the data set to {arguments.output}.")


if __name__ == "__main__":
    main()
