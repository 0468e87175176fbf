"""The images of an evaluation, in batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_tnt.data import image_dataset
from keras_tnt.data.source import ImageSource
from keras_tnt.layers.fused_ops import runs_on_cpu_only
from keras_tnt.utils.lazy import tensorflow as tf


def default_batch_size() -> int:
    """Return the images a step that suit the devices: 16 on CPUs, else 64.

    On CPUs a batch of 64 takes up to 1.4 times as long for each image of TNT-S: the C
    library gives large blocks back to the system, which clears them for each operation.
    """
    return 16 if runs_on_cpu_only() else 64


def evaluation_batches(
    model: Any,
    source: ImageSource,
    batch_size: int,
    crop_fraction: float,
    whole_box: bool = False,
    **options: Any,
) -> tf.data.Dataset:
    """Return the evaluation batches of a source, at the size of a model's input.

    Args:
        model: what has an `input_shape`.
        source: the images.
        batch_size: images a step, on all devices together.
        crop_fraction: side of the model's input as a share of the box that images are
            resized to.
        whole_box: whether to return the box, not the center crop of the model's size.
        **options: further arguments of `image_dataset`.
    """
    _, height, width, channels = model.input_shape
    size = height, width
    if whole_box:
        size, crop_fraction = box_size(size, crop_fraction), 1.0
    return image_dataset(
        source,
        image_size=size,
        channels=channels,
        batch_size=batch_size,
        crop_fraction=crop_fraction,
        **options,
    )


def box_size(size: tuple[int, int], crop_fraction: float) -> tuple[int, int]:
    """Return height and width of the box that `preprocess_input` crops from."""
    height, width = (math.floor(side / crop_fraction) for side in size)
    return height, width


def check_any_image(images: int, source: ImageSource, unlabeled: int = 0) -> None:
    """Raise a `ValueError` if no image was evaluated."""
    if not images and unlabeled:
        raise ValueError(
            f"None of the {unlabeled} images of {source.name!r} has a label: there is "
            "nothing to evaluate. Evaluate more of the split."
        )
    if not images:
        raise ValueError(
            f"No image of {source.name!r} can be read or decoded: there is nothing to "
            "evaluate. Check the files."
        )


def check_finite_outputs(outputs: np.ndarray | float) -> None:
    """Raise a `ValueError` if a model returned NaN or infinity."""
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The model returns values that are not finite. Check its weights and its "
            "precision."
        )
