"""What a model costs: exact figures, from the program that XLA makes of it."""

import math
import re

import numpy as np
import tensorflow as tf


def multiply_adds(model):
    """The multiply-adds of a model's inference on one image.

    Args:
        model: a `keras.Model` of images of a static size.

    Returns:
        An int: those of all products and convolutions.
    """
    image = tf.constant(np.zeros((1, *model.input_shape[1:]), "float32"))
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    return of_program(compiled.experimental_get_compiler_ir(image)(stage="hlo"))


def of_program(text):
    """The multiply-adds of all products and convolutions of an HLO text."""
    shapes = dict(re.findall(r"%?([\w.-]+) = \w+\[([\d,]*)\]", text))
    total = 0
    pattern = r"= \w+\[([\d,]*)\]\S* (dot|convolution)\(([^)]*)\)(.*)"
    for output, kind, operands, options in re.findall(pattern, text):
        names = re.findall(r"%?([\w.-]+)(?:,|$)", operands.replace(" ", ","))
        left, right = (_sizes(shapes[name]) for name in names if name in shapes)
        if kind == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", options)[1]
            summed = math.prod(left[axis] for axis in _sizes(axes))
        else:
            summed = math.prod(right[:-1])  # height, width, channels of the kernel
        total += math.prod(_sizes(output)) * summed
    return total


def _sizes(text):
    return [int(size) for size in text.split(",") if size]
