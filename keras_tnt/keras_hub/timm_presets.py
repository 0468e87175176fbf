"""Presets in timm's format: ``config.json`` and ``model.safetensors``."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_tnt.models.model_card import model_card
from keras_tnt.models.tnt import VARIANTS
from keras_tnt.utils.files import atomic_write, sha256
from keras_tnt.weights import load_weights, registry
from keras_tnt.weights.tensor_files import read_tensors

CONFIG_FILE = "config.json"
ARCHITECTURES = {
    "tnt_s_patch16_224": VARIANTS["tnt_small"],
    "tnt_b_patch16_224": VARIANTS["tnt_base"],
}
# timm's names of what a fine-tuned model may change.
MODEL_ARGUMENTS = {
    "embed_dim": "outer_dim",
    "inner_dim": "inner_dim",
    "depth": "depth",
    "num_heads_outer": "outer_num_heads",
    "num_heads_inner": "inner_num_heads",
    "patch_size": "patch_size",
    "first_stride": "inner_stride",
    "mlp_ratio": "mlp_ratio",
    "qkv_bias": "qkv_bias",
    "drop_path_rate": "drop_path_rate",
}
CARD_EXAMPLE = """\
import keras_hub
import keras_tnt

model = keras_hub.models.Backbone.from_preset("{}")"""


class TimmPreset:
    """A preset with timm's config of a TNT.

    Args:
        preset: the directory or Hub id.
        config: content of its ``config.json``.

    Raises:
        ValueError: if the architecture or its preprocessing is not a published TNT's.
    """

    def __init__(self, preset: str, config: dict[str, Any]):
        self.preset, self.config = preset, config
        if config["architecture"] not in ARCHITECTURES:
            raise ValueError(
                f"{preset!r} has the architecture {config['architecture']!r}. Expected "
                f"one of {', '.join(ARCHITECTURES)}."
            )
        self.pretrained = config.get("pretrained_cfg", {})
        for name in ("mean", "std"):
            if any(value != 0.5 for value in self.pretrained.get(name, ())):
                raise ValueError(
                    f"{preset!r} scales images with {name} {self.pretrained[name]}, "
                    "expected 0.5. Load the weights with keras_tnt.load_weights into "
                    "a backbone of include_preprocessing=False, and scale the images."
                )

    def load_backbone(
        self, cls: type[keras.Model], load_weights: bool, **kwargs: Any
    ) -> keras.Model:
        """Return a backbone of a class, with the preset's weights or new ones."""
        channels, height, width = self.pretrained.get("input_size", (3, 224, 224))
        arguments = {
            MODEL_ARGUMENTS[name]: value
            for name, value in self.config.get("model_args", {}).items()
            if name in MODEL_ARGUMENTS
        }
        options = {
            "image_shape": (height, width, channels),
            **ARCHITECTURES[self.config["architecture"]],
            **arguments,
            **kwargs,
        }
        backbone = cls(**options)
        if load_weights:
            self._load(backbone)
        return backbone

    def load_task(
        self, cls: Any, load_weights: bool, backbone: Any = None, **kwargs: Any
    ) -> keras.Model:
        """Return a classifier of a class, with the preset's head if it fits.

        Args:
            cls: class of the classifier.
            load_weights: whether to load the weights.
            backbone: its backbone; that of the preset by default.
            **kwargs: further arguments of ``cls``, or of the backbone (``dtype``,
                ``image_shape``). With ``num_classes`` the head is new, as in KerasHub.
        """
        names = {"dtype", "image_shape"} & kwargs.keys()
        of_backbone = {name: kwargs.pop(name) for name in names}
        if backbone is None:
            backbone = self.load_backbone(cls.backbone_cls, load_weights, **of_backbone)
        if "preprocessor" not in kwargs:
            kwargs["preprocessor"] = cls.preprocessor_cls.for_size(
                backbone.image_shape[:2]
            )
        has_head = "num_classes" not in kwargs
        kwargs.setdefault("num_classes", self.config["num_classes"])
        task = cls(backbone, **kwargs)
        if has_head and load_weights:
            tensors, _ = read_tensors(self._weights_path())
            head = task.get_layer("predictions")
            kernel, bias = (
                np.asarray(tensors[f"head.{n}"]) for n in ("weight", "bias")
            )
            head.set_weights([kernel.T, bias])
        return task

    def _load(self, backbone):
        load_weights(backbone, self._weights_path())

    def _weights_path(self):
        if _is_hub_id(self.preset):
            return registry.fetch(self.preset)
        return Path(self.preset) / registry.WEIGHTS_FILE


def find_timm_loader(preset: str) -> TimmPreset | None:
    """Return the loader of a preset with timm's config of a TNT, or ``None``.

    Args:
        preset: a directory, or ``"hf://owner/name"`` with or without ``@revision``.
    """
    if _is_hub_id(preset):
        repo_id, _, revision = preset.removeprefix("hf://").partition("@")
        published = registry.find_published(preset)
        try:
            path = registry.download(
                repo_id,
                CONFIG_FILE,
                revision or (published.revision if published else None),
            )
        except FileNotFoundError:  # no preset: KerasHub says what it expects
            return None
    else:
        path = Path(preset) / CONFIG_FILE
        if not path.is_file():
            return None
    config = json.loads(path.read_text(encoding="utf-8"))
    is_tnt = str(config.get("architecture", "")).startswith("tnt_")
    return TimmPreset(preset, config) if is_tnt else None


def write_card(model: keras.Model, directory: str) -> None:
    """Write a model card into the directory of a preset, unless it has one."""
    card = Path(directory) / "README.md"
    if card.exists():
        return
    files = [path for path in Path(directory).iterdir() if path.is_file()]
    text = model_card(
        model,
        f"a {type(model).__name__}",
        {path.name: sha256(path) for path in sorted(files)},
        CARD_EXAMPLE.format(Path(directory).name),
    )
    with atomic_write(card) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _is_hub_id(preset):
    return str(preset).startswith("hf://")
