"""Small test sets of ImageNet as tfds prepares them, and models that read them.

An image is of one color: its number times 10. A model answers by this number.
"""

import keras
import numpy as np

from keras_tnt.data.bundled import import_tfds

STEP = 10
SIDE = 224  # of the images of ImageNet-C, which have a fixed size


def numbered(number, side=32):
    return np.full((side, side, 3), STEP * number, "uint8")


def prepare(data_dir, name, split, labels, key="label"):
    """Write a data set with the features of tfds' own: image i has labels[i]."""
    builder = import_tfds().builder(name, data_dir=data_dir)
    side = builder.info.features["image"].shape[0] or 32
    unused = {"original_label": 0, "wrong_multi_labels": [], "unclear_multi_labels": [],
              "is_problematic": False, "file_name": "a.JPEG"}  # fmt: skip
    others = {name: unused[name] for name in unused if name in builder.info.features}

    def examples():
        for number, label in enumerate(labels):
            yield number, others | {"image": numbered(number, side), key: label}

    builder._split_generators = lambda dl_manager: {split: examples()}
    builder.download_and_prepare()
    return builder


def rows_for(answers, classes=1000):
    """Probabilities: of each list of classes the first is best, and so on."""
    rows = np.full((len(answers), classes), 1e-4)
    for row, best in zip(rows, answers, strict=True):
        row[best] = 0.5 ** np.arange(1, len(best) + 1)
    return rows / rows.sum(axis=1, keepdims=True)


def table_model(rows, side=32):
    """A Keras model that answers image i with row i of a table."""
    count, classes = np.shape(rows)
    images = keras.Input((side, side, 3))
    mean = keras.layers.GlobalAveragePooling2D()(images)
    offsets = keras.layers.Dense(count, name="offsets")(mean)
    # Colors of a JPEG are not exact: 1 within a quarter of a step, 0 at the others.
    far = keras.ops.relu(keras.ops.abs(offsets) - 0.25)
    hats = keras.ops.relu(1 - 2 * far)
    outputs = keras.layers.Dense(classes, "softmax", name="rows")(hats)
    model = keras.Model(images, outputs)
    kernel = np.full((3, count), 1 / (3 * STEP))
    model.get_layer("offsets").set_weights([kernel, -np.arange(count)])
    model.get_layer("rows").set_weights([np.log(rows), np.zeros(classes)])
    return model
