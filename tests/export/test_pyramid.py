"""PyramidTNT in every format, on grids that the mergings pad and halve to one row."""

import numpy as np
import pytest

import keras_tnt
from keras_tnt.export import export_model
from keras_tnt.export.load_exported import find_format, load_exported
from tests.helpers.runtimes import RUNTIMES, need_runtime
from tests.helpers.small import pixels, small_pyramid

every_format = pytest.mark.parametrize("file_format", RUNTIMES)


def check_export(model, file_format, directory):
    need_runtime(file_format)
    path = export_model(model, directory / "m", file_format).path
    exported = load_exported(path, find_format(path)[0])
    for batch in (1, 2, 7):
        images = pixels(model, batch).astype("float32")
        found = exported.predict_on_batch(images)
        np.testing.assert_allclose(found, model(images, training=False), atol=1e-4)


@pytest.mark.parametrize(
    "file_format",
    [
        "onnx",
        "litert",
        pytest.param("openvino", marks=pytest.mark.slow),
        pytest.param("savedmodel", marks=pytest.mark.slow),
    ],
)
def test_odd_grids(file_format, tmp_path):
    """Grids of 5x9, 3x5, 2x3 and 1x2 patches."""
    check_export(small_pyramid(input_shape=(40, 72, 3)), file_format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 64), (64, 96), (72, 104)])
@every_format
def test_sizes(file_format, size, tmp_path):
    check_export(small_pyramid(input_shape=(*size, 3)), file_format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder", ["PyramidTNTTiny", "PyramidTNTSmall", "PyramidTNTMedium"]
)
@every_format
def test_published_sizes(builder, file_format, tmp_path):
    model = getattr(keras_tnt, builder)(weights=None)
    check_export(model, file_format, tmp_path)
