"""The bundled data set, read without TensorFlow."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = Path(__file__).parents[1] / "demo_data" / "keras_tnt_demo_data"
BUNDLED = PACKAGE / "fashion_mnist_mini" / "1.0.0"


def bundled(part):
    """Read a part of the bundled data set.

    Args:
        part: "train" or "test".

    Returns:
        Images `(n, 28, 28, 1)` and labels `(n,)`, uint8.
    """
    path = BUNDLED / f"fashion_mnist_mini-{part}.tfrecord-00000-of-00001"
    content, start, pixels, labels = path.read_bytes(), 0, [], []
    while start < len(content):
        (size,) = struct.unpack_from("<Q", content, start)
        # Length and its checksum, record, checksum. The features of a record are sorted
        # by name: it has the image's PNG, and ends with the label.
        record = content[start + 12 : start + 12 + size]
        picture = Image.open(io.BytesIO(record[record.index(b"\x89PNG") :]))
        pixels.append(np.asarray(picture))
        labels.append(record[-1])
        start += 16 + size
    return np.stack(pixels)[..., None], np.array(labels, "uint8")
