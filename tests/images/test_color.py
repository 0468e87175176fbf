"""Colors become gray as Pillow does it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.images import rgb_to_gray
from tests.helpers.datasets import pillow_gray


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
def test_rgb_to_gray__equals_pillow(rng, dtype):
    colors = rng.integers(0, 256, (300, 300, 3), "uint8")
    gray = rgb_to_gray(colors.astype(dtype))
    assert gray.dtype == dtype
    np.testing.assert_array_equal(gray, pillow_gray(colors))


def test_rgb_to_gray__batches_in_a_graph(rng):
    colors = rng.integers(0, 256, (2, 9, 8, 3), "uint8")
    gray = tf.function(rgb_to_gray)(tf.constant(colors))
    np.testing.assert_array_equal(gray, [pillow_gray(image) for image in colors])


def test_rgb_to_gray__refuses_images_scaled_to_0_1(rng):
    with pytest.raises(ValueError, match="scaled to 0-1"):
        rgb_to_gray(rng.uniform(0, 1, (9, 8, 3)))
