"""Backbones for KerasHub."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_tnt.compat.sublayer_state import policy_of
from keras_tnt.keras_hub.hub_backbone import HubBackbone
from keras_tnt.models import TNT, PyramidTNT
from keras_tnt.models.features import feature_extractor
from keras_tnt.structure import blocks
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.typing import DType, Tensor


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTBackbone(HubBackbone):
    """A TNT from images 0-255 to its tokens after the final norm.

    Its layers are those of `keras_tnt.TNT`. `keras_tnt.load_weights`,
    `keras_tnt.feature_extractor` and `keras_tnt.attention_maps` accept it. What is
    frozen, quantized or adapted by LoRA is part of its config, and so of its presets.

    Shapes: images ``(batch, *image_shape)`` to ``(batch, 1 + patches, outer_dim)``,
    the class token first. ``pyramid_outputs`` has four maps of width ``outer_dim``,
    ``"P2"`` to ``"P5"`` at strides 4 to 32 for patches of 16: those of four blocks,
    evenly spaced, the first two enlarged (bilinear), the last one halved (maximum).
    They have no weights. Other patch sizes have other levels, or no maps unless the
    size is a power of 2 of at least 4.

    Args:
        image_shape: ``(height, width, channels)`` of the images; ``None`` for a height
            or width that is known at run time.
        outer_dim: as in `keras_tnt.TNT`, and so all up to ``include_preprocessing``.
        inner_dim: width of a pixel token.
        depth: number of blocks.
        outer_num_heads: heads of the attention over the patches.
        inner_num_heads: heads of the attention inside a patch.
        patch_size: side of a square patch, in image pixels.
        inner_stride: distance between the embedded pixels of a patch.
        inner_blocks: the blocks with an inner transformer; all by default.
        mlp_ratio: width of an MLP's hidden layer as a multiple of its tokens' width.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of squeeze-and-excitation; 0 for none.
        dropout_rate: dropout, 0 to 1.
        drop_path_rate: stochastic depth of the last block, 0 to 1.
        remat: whether training computes each block a second time for its gradient.
        include_preprocessing: whether to scale the images from 0-255 to ±1.
        data_format: ``"channels_last"``, also by default.
        dtype: a dtype policy or its name; the global one by default.
        name: name of the model.
        trainable: whether its weights are trained.
        sublayers: what differs in the layers, as in the config.

    Raises:
        ValueError: if ``data_format`` is another, or for the reasons of
            `keras_tnt.TNT`.

    Example:
        >>> import keras_hub
        >>> from keras_tnt.keras_hub import TNTBackbone
        >>> backbone = TNTBackbone((32, 64, 3), outer_dim=48, inner_dim=12, depth=2,
        ...                        outer_num_heads=3)
        >>> backbone.save_to_preset("preset")
        >>> keras_hub.models.Backbone.from_preset("preset").output_shape
        (None, 9, 48)
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (224, 224, 3),
        outer_dim: int = 384,
        inner_dim: int = 24,
        depth: int = 12,
        outer_num_heads: int = 6,
        inner_num_heads: int = 4,
        patch_size: int = 16,
        inner_stride: int = 4,
        inner_blocks: Iterable[int] | None = None,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        include_preprocessing: bool = True,
        data_format: str | None = None,
        dtype: DType | None = None,
        name: str = "tnt_backbone",
        trainable: bool = True,
        sublayers: dict[str, dict[str, Any]] | None = None,
    ):
        if inner_blocks is not None:
            inner_blocks = sorted(as_list("inner_blocks", inner_blocks))
        options = {
            "outer_dim": outer_dim,
            "inner_dim": inner_dim,
            "depth": depth,
            "outer_num_heads": outer_num_heads,
            "inner_num_heads": inner_num_heads,
            "patch_size": patch_size,
            "inner_stride": inner_stride,
            "inner_blocks": inner_blocks,
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "se_ratio": se_ratio,
            "dropout_rate": dropout_rate,
            "drop_path_rate": drop_path_rate,
            "remat": remat,
        }
        super().__init__(
            TNT,
            image_shape,
            options,
            include_preprocessing,
            data_format,
            dtype,
            name,
            trainable,
            sublayers,
        )
        self.pyramid_outputs = _tnt_pyramid(self, patch_size)


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidTNTBackbone(HubBackbone):
    """A PyramidTNT from images 0-255 to the last stage's map after the final norm.

    Its layers are those of `keras_tnt.PyramidTNT`. `keras_tnt.load_weights`,
    `keras_tnt.feature_extractor` and `keras_tnt.attention_maps` accept it. What is
    frozen, quantized or adapted by LoRA is part of its config, and so of its presets.

    Shapes: images ``(batch, *image_shape)`` to ``(batch, height / 64, width / 64,
    4 * outer_dim)``, rounded up. ``pyramid_outputs`` has the maps of the four stages,
    ``"P3"`` to ``"P6"``, at strides 8 to 64.

    Args:
        image_shape: ``(height, width, channels)`` of the images; ``None`` for a height
            or width that is known at run time.
        outer_dim: as in `keras_tnt.PyramidTNT`, and so all up to
            ``include_preprocessing``.
        inner_dim: width of a pixel in the first stage.
        depths: number of blocks of each of the four stages.
        outer_num_heads: heads of the attention over the patches in the first stage.
        inner_num_heads: heads of the attention inside a patch in the first stage.
        mlp_ratio: width of an MLP's hidden layer as a multiple of its tokens' width.
        qkv_bias: whether query, key and value have biases.
        se_ratio: hidden share of squeeze-and-excitation; 0 for none.
        dropout_rate: dropout, 0 to 1.
        attention_dropout_rate: dropout of the attention scores, 0 to 1.
        drop_path_rate: stochastic depth of the last block, 0 to 1.
        remat: whether training computes each block a second time for its gradient.
        include_preprocessing: whether to scale the images from 0-255 to ±1.
        data_format: ``"channels_last"``, also by default.
        dtype: a dtype policy or its name; the global one by default.
        name: name of the model.
        trainable: whether its weights are trained.
        sublayers: what differs in the layers, as in the config.

    Raises:
        ValueError: if ``data_format`` is another, or for the reasons of
            `keras_tnt.PyramidTNT`.

    Example:
        >>> from keras_tnt.keras_hub import PyramidTNTBackbone
        >>> backbone = PyramidTNTBackbone((64, 64, 3), 16, 4, (1, 1, 1, 1), 2, 1)
        >>> {name: maps.shape for name, maps in backbone.pyramid_outputs.items()}
        {'P3': (None, 8, 8, 16), 'P4': (None, 4, 4, 32), 'P5': (None, 2, 2, 64), \
'P6': (None, 1, 1, 64)}
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (256, 256, 3),
        outer_dim: int = 128,
        inner_dim: int = 8,
        depths: Sequence[int] = (2, 8, 4, 2),
        outer_num_heads: int = 4,
        inner_num_heads: int = 2,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        se_ratio: float = 0.0,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        include_preprocessing: bool = True,
        data_format: str | None = None,
        dtype: DType | None = None,
        name: str = "pyramid_tnt_backbone",
        trainable: bool = True,
        sublayers: dict[str, dict[str, Any]] | None = None,
    ):
        options = {
            "outer_dim": outer_dim,
            "inner_dim": inner_dim,
            "depths": tuple(as_list("depths", depths)),
            "outer_num_heads": outer_num_heads,
            "inner_num_heads": inner_num_heads,
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "se_ratio": se_ratio,
            "dropout_rate": dropout_rate,
            "attention_dropout_rate": attention_dropout_rate,
            "drop_path_rate": drop_path_rate,
            "remat": remat,
        }
        super().__init__(
            PyramidTNT,
            image_shape,
            options,
            include_preprocessing,
            data_format,
            dtype,
            name,
            trainable,
            sublayers,
        )
        maps = feature_extractor(self).output.values()
        self.pyramid_outputs = {f"P{3 + i}": value for i, value in enumerate(maps)}


def _tnt_pyramid(model: keras.Model, patch_size: int) -> dict[str, Tensor]:
    """Four maps at strides 1/4, 1/2, 1 and 2 of the patches, without weights."""
    level = patch_size.bit_length() - 1
    if level < 2 or patch_size != 1 << level:
        return {}
    depth = len(blocks(model))
    chosen = [-(-depth * quarter // 4) for quarter in (1, 2, 3, 4)]
    found = feature_extractor(model, sorted(set(chosen))).output
    maps = [found[f"block_{block}"] for block in chosen]
    policy = policy_of(model)

    def enlarge(maps, factor):
        return keras.layers.UpSampling2D(
            factor, interpolation="bilinear", dtype=policy
        )(maps)

    maps[0], maps[1] = enlarge(maps[0], 4), enlarge(maps[1], 2)
    maps[3] = keras.layers.MaxPooling2D(2, padding="same", dtype=policy)(maps[3])
    return {f"P{level - 2 + index}": value for index, value in enumerate(maps)}
