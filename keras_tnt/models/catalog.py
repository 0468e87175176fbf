"""The published sizes by name, and what is known about a model."""

import dataclasses
import fnmatch
from collections.abc import Callable
from typing import Any

import keras

from keras_tnt.images import CROP_FRACTION
from keras_tnt.models import pyramid_tnt, tnt
from keras_tnt.structure import (
    architecture,
    blocks,
    find_tnt,
    has_preprocessing,
    stages,
    stem,
)
from keras_tnt.structure.architecture import image_size
from keras_tnt.weights import registry

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "tnt_tiny": tnt.TNTTiny,
    "tnt_small": tnt.TNTSmall,
    "tnt_base": tnt.TNTBase,
    "pyramid_tnt_tiny": pyramid_tnt.PyramidTNTTiny,
    "pyramid_tnt_small": pyramid_tnt.PyramidTNTSmall,
    "pyramid_tnt_medium": pyramid_tnt.PyramidTNTMedium,
    "pyramid_tnt_base": pyramid_tnt.PyramidTNTBase,
}
# What the builders of all published sizes have in common.
COMMON_OPTIONS = {"mlp_ratio": 4.0, "qkv_bias": False, "se_ratio": 0.0}
TNT_OPTIONS = {"patch_size": 16, "inner_stride": 4, "depth": 12}


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is known about a model.

    Attributes:
        variant: name of its published size, such as ``"tnt_small"``; ``None`` for any
            other size.
        architecture: ``"tnt"`` or ``"pyramid_tnt"``.
        image_size: ``(height, width)`` of the images in pixels.
        includes_preprocessing: whether the model expects pixels 0-255; otherwise it
            expects ``(pixels / 255 - mean) / std``.
        mean: mean of each channel, R, G, B, for pixels scaled to 0-1.
        std: standard deviation of each channel, for pixels scaled to 0-1.
        crop_fraction: side of the central crop as a share of the resized image, in the
            published evaluation; see `keras_tnt.preprocess_input`.
        interpolation: how the published evaluation resizes images.
        weights: the published weights of this size, with license, accuracy, revision
            and SHA-256; ``None`` if no program can download them. The model itself may
            have other weights.

    Example:
        >>> from keras_tnt import model_info
        >>> model_info("tnt_base").weights.top1
        82.864
    """

    variant: str | None
    architecture: str
    image_size: tuple[int, int]
    includes_preprocessing: bool = True
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    crop_fraction: float = CROP_FRACTION
    interpolation: str = "bicubic"
    weights: registry.PublishedWeights | None = None


def list_models(pattern: str = "*", pretrained: bool = False) -> list[str]:
    """Return the names of the published sizes.

    Args:
        pattern: a shell pattern that the names match.
        pretrained: whether to return only sizes whose ImageNet weights can be
            downloaded.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.list_models("tnt_*")
        ['tnt_base', 'tnt_small', 'tnt_tiny']
        >>> keras_tnt.list_models(pretrained=True)
        ['tnt_base', 'tnt_small']
    """
    names = registry.PUBLISHED if pretrained else BUILDERS
    return sorted(fnmatch.filter(names, pattern))


def create_model(
    variant: str, pretrained: bool | None = None, **options: Any
) -> keras.Model:
    """Build a published size by its name.

    Args:
        variant: one of `list_models`, such as ``"tnt_small"``.
        pretrained: whether to load the ImageNet weights; short for ``weights``.
        **options: arguments of its builder, such as ``classes``; see
            `keras_tnt.TNTSmall`.

    Returns:
        A functional `keras.Model`, named ``variant`` by default.

    Raises:
        ValueError: for an unknown name, or for the reasons of the builder.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.create_model("tnt_tiny", classes=7).output_shape
        (None, 7)
    """
    if pretrained is not None:
        if "weights" in options:
            raise ValueError("Pass either pretrained or weights, not both.")
        options["weights"] = "imagenet" if pretrained else None
    return BUILDERS[_known(variant)](**options)


def model_info(model: keras.Model | str) -> ModelInfo:
    """Return the size, preprocessing and published weights of a model.

    Args:
        model: a name of `list_models`; or a TNT or PyramidTNT, a model extended from
            one, or one with it as a layer. Its layers tell the size, so that a renamed
            or reloaded model has the same.

    Returns:
        A `ModelInfo`.

    Raises:
        ValueError: for an unknown name, or if there is no TNT in the model.

    Example:
        >>> import keras_tnt
        >>> info = keras_tnt.model_info("tnt_small")
        >>> info.image_size, info.weights.license
        ((224, 224), 'apache-2.0')
    """
    if isinstance(model, str):
        variant = _known(model)
        size = pyramid_tnt.IMAGE_SIZES.get(variant, 224)
        kind = "pyramid_tnt" if variant in pyramid_tnt.VARIANTS else "tnt"
        return ModelInfo(
            variant, kind, (size, size), weights=registry.PUBLISHED.get(variant)
        )
    inside = find_tnt(model)
    variant = _find_variant(inside)
    return ModelInfo(
        variant,
        str(architecture(inside)),
        image_size(inside),
        has_preprocessing(model),
        weights=registry.PUBLISHED.get(variant or ""),
    )


def _known(name):
    if name not in BUILDERS:
        raise ValueError(
            f"There is no model {name!r}. Expected one of {', '.join(BUILDERS)}."
        )
    return name


def _find_variant(model):
    """The name of the published size that a model's layers have, or ``None``."""
    options = builder_options(model)
    variants, common = tnt.VARIANTS, COMMON_OPTIONS | TNT_OPTIONS
    if stages(model):
        variants, common = pyramid_tnt.VARIANTS, COMMON_OPTIONS
    elif options.pop("inner_blocks"):
        return None
    for name, row in variants.items():
        if options == row | common:
            return name
    return None


def builder_options(model: keras.Model) -> dict[str, Any]:
    """Return the arguments of `TNT` or `PyramidTNT` that determine a model's weights.

    Args:
        model: a TNT or PyramidTNT, or one extended from it.

    Returns:
        A dict of widths, depths, heads and the like. ``inner_blocks`` is ``None`` where
        all blocks have an inner transformer. Image size and head are not among them.
    """
    first, *_ = found = stages(model) or blocks(model)
    config, stem_config = first.get_config(), stem(model).get_config()
    options = {name: config[name] for name in COMMON_OPTIONS}
    if stages(model):
        return options | {
            "outer_dim": stem_config["outer_dim"],
            "inner_dim": stem_config["inner_dim"],
            "depths": tuple(stage.get_config()["depth"] for stage in found),
            "outer_num_heads": config["outer_num_heads"],
            "inner_num_heads": config["inner_num_heads"],
        }
    configs = [block.get_config() for block in found]
    inner = [i for i, c in enumerate(configs, 1) if "inner_num_heads" in c]
    heads = {c["inner_num_heads"] for c in configs if "inner_num_heads" in c}
    return options | {
        "outer_dim": model.get_layer("patch_embedding").get_config()["dim"],
        "inner_dim": stem_config["dim"],
        "depth": len(found),
        "outer_num_heads": config.get("outer_num_heads", config.get("num_heads")),
        "inner_num_heads": heads.pop() if heads else None,
        "patch_size": stem_config["patch_size"],
        "inner_stride": stem_config["stride"],
        "inner_blocks": None if len(inner) == len(found) else tuple(inner),
    }
