"""The original files of Fashion-MNIST, read without TensorFlow."""

import gzip
import hashlib
import math
import struct
from pathlib import Path

import numpy as np

ORIGINALS = Path("/usr/share/datasets/fashion-mnist")
HOMEPAGE = "https://github.com/zalandoresearch/fashion-mnist"

# MNIST's files have the same names and shapes; only the contents differ.
MD5_UNPACKED = {
    "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
}


def read_idx(path):
    """Read one original file: a gzipped byte array after a header with its shape.

    Args:
        path: One of the four files of `MD5_UNPACKED`.

    Returns:
        A uint8 array: images (n, 28, 28) or labels (n,).

    Raises:
        FileNotFoundError: If the file is missing; the message says how to get it.
        ValueError: If the content is not that of Fashion-MNIST.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Install the package of Debian and Ubuntu: `sudo "
            f"apt-get install dataset-fashion-mnist`. Or download the four .gz files "
            f"listed at {HOMEPAGE} and pass their directory as --originals."
        )
    content = gzip.decompress(path.read_bytes())
    md5 = hashlib.md5(content).hexdigest()
    if md5 != MD5_UNPACKED[path.name]:
        raise ValueError(
            f"{path} is not the file of Fashion-MNIST: expected MD5 "
            f"{MD5_UNPACKED[path.name]} of the unpacked content, got {md5}. Get the "
            f"files from {HOMEPAGE} or Debian's package dataset-fashion-mnist."
        )
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, offset=4)
    header_size = 4 + 4 * rank
    return np.frombuffer(content, np.uint8, math.prod(shape), header_size).reshape(
        shape
    )
