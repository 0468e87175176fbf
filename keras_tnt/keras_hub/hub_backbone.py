"""What the backbones for KerasHub have in common."""

from collections.abc import Callable
from typing import Any

import keras
import keras_hub

from keras_tnt.compat.sublayer_state import policy_of, sublayer_states
from keras_tnt.keras_hub.timm_presets import find_timm_loader, write_card
from keras_tnt.layers.image_rescaling import ImageRescaling
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.typing import DType
from keras_tnt.weights.lora import ADAPTED


class HubBackbone(keras_hub.models.FeaturePyramidBackbone):
    """What the backbones have in common: config, presets and LoRA.

    Args:
        build: `keras_tnt.TNT` or `keras_tnt.PyramidTNT`.
        image_shape: ``(height, width, channels)`` of the images.
        options: further arguments of ``build``.
        include_preprocessing: whether to scale the images from 0-255 to ±1.
        data_format: ``"channels_last"`` or ``None``.
        dtype: a dtype policy or its name.
        name: name of the model.
        trainable: whether its weights are trained.
        sublayers: what differs in the layers, as in the config.
    """

    def __init__(
        self,
        build: Callable[..., keras.Model],
        image_shape: tuple[int, ...],
        options: dict[str, Any],
        include_preprocessing: bool,
        data_format: str | None,
        dtype: DType | None,
        name: str,
        trainable: bool,
        sublayers: dict[str, dict[str, Any]] | None,
    ):
        image_shape = _check_image_shape(image_shape, data_format)
        images = scaled = keras.Input(image_shape, name="images")
        if include_preprocessing:
            scaled = ImageRescaling(name="rescaling", dtype=dtype)(images)
        tnt = build(
            input_tensor=scaled,
            include_top=False,
            include_preprocessing=False,
            dtype=dtype,
            **options,
        )
        tokens = keras.Model(images, tnt.get_layer("norm").output)
        tokens.trainable = trainable
        if sublayers:
            tokens = _with_states(tokens, sublayers)
        super().__init__(
            inputs=tokens.input,
            outputs=tokens.output,
            dtype=dtype,
            name=name,
            trainable=trainable,
        )
        self.image_shape = image_shape
        for option, value in options.items():
            setattr(self, option, value)
        self.include_preprocessing = include_preprocessing
        self.data_format = "channels_last"
        self._options = tuple(options)

    def default_lora_layer_names(self) -> list[str]:
        """Return the names of the layers that `enable_lora` adapts by default."""
        return list(ADAPTED)

    def save_to_preset(self, preset_dir: str, **options: Any) -> None:
        """Write a preset with a model card; see `keras_hub.models.Backbone`.

        An existing card in the directory is kept.
        """
        super().save_to_preset(preset_dir, **options)
        write_card(self, preset_dir)

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, **kwargs: Any
    ) -> "HubBackbone":
        """Load a preset, or a published checkpoint with timm's config.

        Args:
            preset: a directory or handle as in `keras_hub.models.Backbone`; also one
                with timm's ``config.json`` and ``model.safetensors``, such as
                ``"hf://timm/tnt_s_patch16_224.in1k"``.
            load_weights: whether to load the weights.
            **kwargs: arguments of the class that differ from the preset's.
        """
        loader = find_timm_loader(preset)
        if loader is None:
            return super().from_preset(preset, load_weights, **kwargs)
        return loader.load_backbone(cls, load_weights, **kwargs)

    def get_config(self) -> dict[str, Any]:
        # Not the parent's, whose map of quantized layers drops the other policies, and
        # is itself dropped by `from_preset`.
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(policy_of(self)),
            "image_shape": self.image_shape,
            **{option: getattr(self, option) for option in self._options},
            "include_preprocessing": self.include_preprocessing,
        }
        states = sublayer_states(self)
        return {**config, "sublayers": states} if states else config


def _with_states(model, states):
    """A copy of a functional model whose layers have these states."""

    def copy(layer):
        state = states.get(layer.name, {})
        return type(layer).from_config({**layer.get_config(), **state})

    return keras.models.clone_model(model, clone_function=copy)


def _check_image_shape(image_shape, data_format):
    if data_format not in (None, "channels_last"):
        raise ValueError(
            "The backbone expects channels-last images, got data_format="
            f"{data_format!r}. Leave it out, and transpose the images."
        )
    return tuple(as_list("image_shape", image_shape))
