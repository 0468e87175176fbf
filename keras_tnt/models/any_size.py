"""The arguments of models for images of any size."""

from collections.abc import Mapping
from typing import Any

from keras_tnt.layers.image_stem import MAX_IMAGE_SIZE
from keras_tnt.utils.typing import Tensor

NAMES = ("native_image_size", "max_image_size", "pad_images")
ANY_SIZE_ARGUMENTS = f"""\
native_image_size: with an open height or width only: the size, a number or
    ``(height, width)``, of the images that the weights have positions for.
    {{native_image_size}} by default, as in the published weights.
max_image_size: with an open height or width only: the largest height and
    width that the model takes, {MAX_IMAGE_SIZE} by default.
pad_images: with an open height or width only: whether to pad images that are
    no whole number of patches with zeros, at the bottom and on the right
    (by default), or to refuse them.
"""


def size_options(
    images: Tensor, default: int, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a model's first layer for the sizes of its images.

    Args:
        images: the Keras tensor of the images.
        default: the native image size if none is given.
        arguments: those of the builder, by name. ``native_image_size``,
            ``max_image_size`` and ``pad_images`` are ``None`` for their defaults.

    Returns:
        A dict, empty for images of one static size.

    Raises:
        ValueError: if an argument is given for images of one static size.
    """
    given = {name: arguments[name] for name in NAMES if arguments[name] is not None}
    if None in images.shape[1:3]:
        return {"native_image_size": default, **given}
    if given:
        raise ValueError(
            f"{', '.join(given)} can be given for images of any size only, got images "
            f"of size {tuple(images.shape[1:3])}. Pass input_shape=(None, None, "
            "channels), or leave them out."
        )
    return {}
