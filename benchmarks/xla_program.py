"""Exact cost of a model, counted in its XLA program."""

import math
import re

import keras
import tensorflow as tf

import keras_tnt
from keras_tnt.compat.keras_training import build_optimizer

WIDTHS = (
    {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2}
    | dict.fromkeys(("s32", "u32", "f32"), 4)
    | dict.fromkeys(("s64", "u64", "f64"), 8)
)  # bytes
# Instructions that neither read nor write memory.
FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")


def training_step(optimizer, drop_path_rate=0.0, jit_compile=False):
    """Return a compiled TNT-S, and a function of a training step on a batch."""
    model = keras_tnt.TNTSmall(weights=None, drop_path_rate=drop_path_rate)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy())
    build_optimizer(model)
    function = tf.function(
        lambda images, labels: model.train_step((images, labels)),
        autograph=False,
        jit_compile=jit_compile,
    )
    return model, function


def of_program(text):
    """Count the multiply-adds of all products and convolutions of an HLO text.

    Resizing, which XLA does by products, does not count.
    """
    shapes = dict(re.findall(r"%?([\w.-]+) = \w+\[([\d,]*)\]", text))
    total = 0
    pattern = r"= \w+\[([\d,]*)\]\S* (dot|convolution)\(([^)]*)\)(.*)"
    for output, kind, operands, options in re.findall(pattern, text):
        if 'op_type="Resize' in options:
            continue
        names = re.findall(r"%?([\w.-]+)(?:,|$)", operands.replace(" ", ","))
        left, right = (_sizes(shapes[name]) for name in names if name in shapes)
        if kind == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", options)[1]
            summed = math.prod(left[axis] for axis in _sizes(axes))
        else:
            axes = re.search(r"dim_labels=\w+?_(\w+)->", options)[1]
            summed = math.prod(right) // right[axes.index("o")]
            # Zeros between the values that a transposed convolution reads.
            if zeros := re.search(r"lhs_dilate=([\dx]+)", options):
                summed //= math.prod(map(int, zeros[1].split("x")))
        total += math.prod(_sizes(output)) * summed
    return total


def of_executable(text):
    """Count instructions and bytes of XLA's optimized program.

    Args:
        text: an HLO text, of the stage "optimized_hlo".

    Returns:
        A dict of ints: numbers of fusions, copies, transposes and dots, and the bytes
        that the instructions of the entry computation read and write.
    """
    counts = {
        kind: len(re.findall(rf"= \w+\[[\d,]*\]\S* {kind}\(", text))
        for kind in ("fusion", "copy", "transpose", "dot")
    }
    return counts | {"bytes": _bytes_accessed(text)}


def _bytes_accessed(text):
    entry = text[text.index("\nENTRY ") :]
    sizes, total = {}, 0
    pattern = r"^ +(?:ROOT )?%?([\w.-]+) = (.*?) ([\w-]+)\((.*)$"
    for name, shapes, kind, rest in re.findall(pattern, entry, re.MULTILINE):
        sizes[name] = sum(
            WIDTHS[dtype] * math.prod(_sizes(dimensions))
            for dtype, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        )
        if kind not in FREE:
            operands = re.findall(r"%?([\w.-]+)", rest.partition(")")[0])
            total += sizes[name] + sum(sizes.get(operand, 0) for operand in operands)
    return total


def _sizes(text):
    return [int(size) for size in text.split(",") if size]
