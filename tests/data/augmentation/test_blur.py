"""Gaussian blur against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter

from keras_tnt.data.augmentation.blur import gaussian_blur
from tests.helpers.datasets import photo


@pytest.mark.parametrize(
    "shape", [(24, 20, 3), (17, 31, 1), (1, 1, 3), (2, 9, 3)], ids=str
)
def test_gaussian_blur__equals_pillow(shape):
    blur = tf.function(gaussian_blur, autograph=False)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, shape, "uint8")
    # At the square root of 2, the boxes become wider.
    for radius in (0.1, 0.3, 0.77, 1.3, 1.4142, 1.4143, *rng.uniform(0.1, 2, 8), 2.0):
        radius = np.float32(radius)
        for image in (noise, photo(*shape)):
            picture = Image.fromarray(image[..., 0] if shape[-1] == 1 else image)
            blurred = picture.filter(ImageFilter.GaussianBlur(float(radius)))
            found = blur(tf.constant(image, tf.float32), tf.constant(radius))
            assert found.dtype == "float32"
            np.testing.assert_array_equal(found, np.asarray(blurred).reshape(shape))
