"""Faults of TensorFlow's decoders for images.

`keras_tnt.compat.image_formats` works around the one of WebP, and the decoders in
`keras_tnt.images.formats` around those of GIF and BMP.
"""

import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.encoded import AS_PILLOW, PHOTO

DECODE = """
import os, sys
import tensorflow as tf

def peak_mib():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmPeak"))
    return int(line.split()[1]) // 1024

tf.io.decode_image(bytes.fromhex(sys.argv[1]))
before = peak_mib()
image = tf.io.decode_image(sys.stdin.buffer.read(), expand_animations=False)
os.write(1, f"{image.shape[-1]} {peak_mib() - before}".encode())
os._exit(0)  # the heap may be damaged
"""


def decode_in_child(contents):
    """The return code, and the channels and the MiB of address space that it took."""
    command = [sys.executable, "-c", DECODE, AS_PILLOW["png"].hex()]
    run = subprocess.run(
        command, input=contents, capture_output=True, check=False, timeout=120
    )
    return run.returncode, [int(number) for number in run.stdout.split()]


def test_set_webp_alpha_flag__still_present():
    """In a process of its own, because the fault writes past the end of a buffer."""
    code, found = decode_in_child(AS_PILLOW["webp animated"])
    assert code == -signal.SIGABRT or found[0] == 3, (
        "TensorFlow allocates four channels for an animated WebP: "
        "remove keras_tnt.compat.image_formats.set_webp_alpha_flag"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decode_gif__still_present():
    """The second frame claims 20,000x20,000 pixels and has no data."""
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, 20_000, 20_000, 0)
    contents = AS_PILLOW["gif"][:-1] + frame
    _, (_, mib) = decode_in_child(contents)
    assert mib > 300, (
        "TensorFlow reads only the first frame of a GIF: remove the cut after the "
        "first frame from keras_tnt.images.formats.gif"
    )


@pytest.mark.parametrize("kind", ["bmp palette", "bmp 1 bit", "bmp 4 bits", "padded"])
def test_decode_bmp__still_present(kind):
    contents = AS_PILLOW["bmp"] + b"\0\0" if kind == "padded" else AS_PILLOW[kind]
    try:
        image = tf.io.decode_image(contents)
    except tf.errors.InvalidArgumentError:
        return
    assert image.shape[-1] != 3, (
        f"TensorFlow decodes this kind of BMP, {kind}: "
        "remove it from keras_tnt.images.formats.bmp"
    )
    assert image.shape[:2] == np.shape(PHOTO)[:2]
