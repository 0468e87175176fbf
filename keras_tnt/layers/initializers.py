"""Initial values of the published models."""

import keras


def normal_initializer():
    """Returns the initializer of dense kernels, positions and the class token.

    Normal with standard deviation 0.02. The official code truncates it at ±2, that
    is, a hundred deviations out. Each call returns a new, differently seeded
    object: two weights never start from the same numbers.
    """
    return keras.initializers.RandomNormal(stddev=0.02)
