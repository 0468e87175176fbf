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

def decode(contents):
    return tf.io.decode_image(bytes.fromhex(contents), expand_animations=False)

def peak_mib():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmPeak"))
    return int(line.split()[1]) // 1024

gif, huge_gif, webp = sys.argv[1:]
decode(gif)
before = peak_mib()
decode(huge_gif)
print(peak_mib() - before, flush=True)
print(decode(webp).shape[-1], flush=True)
os._exit(0)  # the heap may be damaged
"""


@pytest.fixture(scope="module")
def child():
    """The process that decoded the GIF of `huge_frame` and the animated WebP.

    A process of its own, because the fault of WebP writes past the end of a buffer.
    """
    contents = [AS_PILLOW["gif"], huge_frame(), AS_PILLOW["webp animated"]]
    return subprocess.run(
        [sys.executable, "-c", DECODE, *[each.hex() for each in contents]],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def huge_frame():
    """A GIF whose second frame claims 20,000x20,000 pixels and has almost no data."""
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, 20_000, 20_000, 0)
    return AS_PILLOW["gif"][:-1] + frame + b"\x08\x02\x00\x01\x00;"


@pytest.mark.slow
def test_set_webp_alpha_flag__still_present(child):
    channels = child.stdout.splitlines()[1:]
    assert child.returncode == -signal.SIGABRT or channels == ["3"], (
        "TensorFlow allocates four channels for an animated WebP: "
        "remove keras_tnt.compat.image_formats.set_webp_alpha_flag"
    )


def test_decode_gif__still_present(child):
    mib, *_ = child.stdout.splitlines()
    assert int(mib) > 300, (
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
