"""PyramidTNT in every format, on grids that the mergings pad and halve to one row."""

import numpy as np
import pytest

import keras_tnt
from keras_tnt.export import export_model
from keras_tnt.export.load_exported import find_format, load_exported
from tests.helpers.runtimes import RUNTIMES, need_runtime
from tests.helpers.small import pixels, small_pyramid

# The other formats are tested with small models.
OTHERS = [
    pytest.param(name, marks=pytest.mark.extra_large)
    for name in RUNTIMES
    if name != "savedmodel"
]


def check_export(model, file_format, directory):
    need_runtime(file_format)
    path = export_model(model, directory / "m", file_format).path
    exported = load_exported(path, find_format(path)[0])
    for batch in (1, 2, 7):
        images = pixels(model, batch).astype("float32")
        found = exported.predict_on_batch(images)
        np.testing.assert_allclose(found, model(images, training=False), atol=1e-4)


def cost(size):
    """Grids that are odd from the first on show what the others do."""
    return [] if size == (40, 72) else pytest.mark.extra_large


@pytest.mark.slow
# Grids of 8x8 and 8x12 patches end in one row, those of 12x8 in one column. Those of
# 5x9 patches are odd from the first on.
@pytest.mark.parametrize(
    ("file_format", "size"),
    [
        pytest.param(file_format, size, marks=cost(size))
        for file_format in RUNTIMES
        for size in [(64, 64), (64, 96), (96, 64), (40, 72), (72, 104)]
    ],
)
def test_export_model__pyramid_sizes(file_format, size, tmp_path):
    check_export(small_pyramid(input_shape=(*size, 3)), file_format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder",
    [
        "PyramidTNTTiny",
        pytest.param("PyramidTNTSmall", marks=pytest.mark.extra_large),
        pytest.param("PyramidTNTMedium", marks=pytest.mark.extra_large),
    ],
)
@pytest.mark.parametrize("file_format", ["savedmodel", *OTHERS])
def test_export_model__published_pyramids(builder, file_format, tmp_path):
    model = getattr(keras_tnt, builder)(weights=None)
    check_export(model, file_format, tmp_path)
