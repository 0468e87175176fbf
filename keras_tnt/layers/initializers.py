"""Initial values of the published models."""

import keras


def normal_initializer() -> keras.Initializer:
    """Return the initializer of dense kernels, positions and the class token.

    Normal with standard deviation 0.02. The official code truncates at ±2, which is a
    hundred standard deviations and has no effect. Each call returns a new object with
    its own seed, so that two weights never start from the same values.
    """
    return keras.initializers.RandomNormal(stddev=0.02)


def convolution_initializer() -> keras.Initializer:
    """Return the initializer of PyramidTNT's convolutions.

    Normal with standard deviation ``sqrt(2 / fan_out)``. Each call returns a new
    object, as with `normal_initializer`.
    """
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )
