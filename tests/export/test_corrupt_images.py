"""Bad images in a batch are marked; their neighbours are answered as ever."""

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.encoded import AS_PILLOW, PHOTO, encode
from tests.images.test_limits import BOMBS, SIXTEEN_BITS_PNG, scans

BAD = {
    "empty": b"",
    "random": np.random.default_rng(0).bytes(1000),
    "text": b"The quick brown fox jumps over the lazy dog.\n" * 20,
    "html": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "jpeg cut off": AS_PILLOW["jpeg"][:-200],
    "jpeg cut in half": AS_PILLOW["jpeg"][: len(AS_PILLOW["jpeg"]) // 2],
    "jpeg, first bytes": AS_PILLOW["jpeg"][:3],
    "jpeg of too many scans": scans(101),
    "png cut off": AS_PILLOW["png"][:-200],
    "gif cut off": AS_PILLOW["gif"][:-200],
    "webp cut off": AS_PILLOW["webp"][:-200],
    **{f"bomb {kind}": contents for kind, contents in BOMBS.items()},
}
UNUSUAL = {
    "animated gif": AS_PILLOW["gif animated"],
    "animated webp": AS_PILLOW["webp animated"],
    "cmyk": AS_PILLOW["jpeg cmyk"],
    "16 bits": SIXTEEN_BITS_PNG,
    "1x1": encode(PHOTO.resize((1, 1)), "PNG"),
    "10000x3": encode(PHOTO.resize((10_000, 3)), "PNG"),
    "3x10000": encode(PHOTO.resize((3, 10_000)), "JPEG"),
}


def assert_marked(answer, row):
    assert not answer["ok"][row]
    assert set(answer["classes"][row]) == {b""}
    assert set(answer["class_ids"][row]) == {-1}
    assert set(answer["scores"][row]) == {0.0}


def assert_same(answer, row, expected, expected_row):
    for name, value in expected.items():
        np.testing.assert_array_equal(answer[name][row], value[expected_row])


@pytest.fixture(scope="module")
def expected(color, photos):
    answer = color.classify([photos[0], photos[2], photos[1]])
    assert answer["ok"].all()
    return answer


@pytest.mark.parametrize("kind", BAD)
def test_serving_default__corrupt_image_marked(kind, expected, color, photos):
    answer = color.classify([photos[0], BAD[kind], photos[1]])
    assert_marked(answer, 1)
    assert_same(answer, 0, expected, 0)
    assert_same(answer, 2, expected, 2)


@pytest.mark.parametrize("kind", UNUSUAL)
def test_serving_default__unusual_image(kind, expected, color, photos):
    answer = color.classify([photos[0], UNUSUAL[kind], photos[1]])
    assert_same(answer, 0, expected, 0)
    for name, value in color.live_classes([UNUSUAL[kind]]).items():
        if name == "scores":
            np.testing.assert_allclose(answer[name][1], value[0], atol=1e-5)
        else:
            np.testing.assert_array_equal(answer[name][1], value[0])


@pytest.mark.slow
def test_serving_default__only_corrupt_images(gray):
    answer = gray.classify([b"", b"x", BAD["text"]])
    for row in range(3):
        assert_marked(answer, row)


def fuzz(cases, timeout, directory):
    arguments = ["--cases", str(cases), "--out", str(directory / "fuzz.json")]
    process = subprocess.run(
        [sys.executable, "benchmarks/serving_fuzz.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert process.returncode == 0, process.stdout[-500:] + process.stderr[-3000:]


@pytest.mark.slow
def test_serving_default__mutated_images(tmp_path):
    """`make fuzz` runs 20,000."""
    fuzz(cases=350, timeout=600, directory=tmp_path)
