"""Initial values of the published models."""

import keras


def normal_initializer() -> keras.Initializer:
    """Returns the initializer of dense kernels, positions and the class token.

    Normal with standard deviation 0.02. The official code truncates it at ±2, that
    is, a hundred deviations out. Each call returns a new, differently seeded
    object: two weights never start from the same numbers.
    """
    return keras.initializers.RandomNormal(stddev=0.02)


def convolution_initializer() -> keras.Initializer:
    """Returns the initializer of PyramidTNT's convolutions.

    Normal with standard deviation ``sqrt(2 / fan_out)``. As with
    `normal_initializer`, each call returns a new object.
    """
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )
