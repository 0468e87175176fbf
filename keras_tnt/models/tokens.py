"""Features from the tokens of a TNT: the class token, and the patches as a map."""

import keras

from keras_tnt.layers.base import count_patches
from keras_tnt.layers.patch_map import PatchMap
from keras_tnt.utils.typing import DType, Tensor


def pool_tokens(
    tokens: Tensor,
    pooling: str | None,
    images: Tensor,
    patch_size: int,
    dtype: DType | None,
) -> Tensor:
    """Return features from the tokens after the final norm.

    Args:
        tokens: Keras tensor ``(batch, 1 + patches, dim)``.
        pooling: ``"token"``, ``"avg"``, ``"max"`` or ``None``, as in `keras_tnt.TNT`.
        images: Keras tensor of the images, for their size.
        patch_size: side of a square patch in image pixels.
        dtype: dtype policy of the layers.
    """
    layers = keras.layers
    if pooling == "token":
        return first_token(tokens, dtype=dtype)
    patches = layers.Cropping1D((1, 0), name="patch_tokens", dtype=dtype)(tokens)
    if pooling == "avg":
        return layers.GlobalAveragePooling1D(name="avg_pool", dtype=dtype)(patches)
    if pooling == "max":
        return layers.GlobalMaxPooling1D(name="max_pool", dtype=dtype)(patches)
    return patch_map(patches, images, patch_size, "feature_map", dtype)


def first_token(tokens: Tensor, prefix: str = "", dtype: DType | None = None) -> Tensor:
    """Return the class token, ``(batch, dim)``.

    Args:
        tokens: Keras tensor ``(batch, 1 + patches, dim)``.
        prefix: begin of the names of the layers.
        dtype: dtype policy of the layers.
    """
    if tokens.shape[1] is None:
        return tokens[:, 0]
    layers, others = keras.layers, (0, tokens.shape[1] - 1)
    first = layers.Cropping1D(others, name=f"{prefix}first_token", dtype=dtype)(tokens)
    return layers.Flatten(name=f"{prefix}class_token", dtype=dtype)(first)


def patch_map(
    patches: Tensor,
    images: Tensor,
    patch_size: int,
    name: str | None = None,
    dtype: DType | None = None,
) -> Tensor:
    """Return patches as a map ``(batch, rows, columns, dim)``.

    Args:
        patches: Keras tensor ``(batch, patches, dim)``, without the class token.
        images: Keras tensor of the images, for their size.
        patch_size: side of a square patch in image pixels.
        name: name of the layer.
        dtype: dtype policy of the layer.
    """
    height, width = images.shape[1:3]
    if height is None or width is None:
        return PatchMap(patch_size, name=name, dtype=dtype)(patches, images)
    shape = (*(count_patches(side, patch_size) for side in (height, width)), -1)
    return keras.layers.Reshape(shape, name=name, dtype=dtype)(patches)
