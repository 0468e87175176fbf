"""Image classifiers for KerasHub."""

from typing import Any

import keras
import keras_hub

from keras_tnt.compat import keras_layers
from keras_tnt.compat.keras_training import MendedLoops
from keras_tnt.compat.sublayer_state import (
    policy_of,
    sublayer_arguments,
    sublayer_states,
)
from keras_tnt.keras_hub.backbones import PyramidTNTBackbone, TNTBackbone
from keras_tnt.keras_hub.preprocessing import (
    PyramidTNTImageClassifierPreprocessor,
    TNTImageClassifierPreprocessor,
)
from keras_tnt.keras_hub.timm_presets import find_timm_loader, write_card
from keras_tnt.layers.dropout import Dropout
from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.models.catalog import builder_options
from keras_tnt.structure import architecture, find_head, has_preprocessing
from keras_tnt.structure.architecture import image_size
from keras_tnt.utils.typing import DType, Tensor
from keras_tnt.weights.transfer import transfer_weights


class HubClassifier(MendedLoops, keras_hub.models.ImageClassifier):
    """What the classifiers have in common; see `TNTImageClassifier`."""

    def __init__(
        self,
        backbone: keras_hub.models.Backbone,
        num_classes: int,
        preprocessor: Any = None,
        activation: Any = "softmax",
        dropout: float = 0.0,
        head_dtype: DType | None = None,
        trainable: bool = True,
        sublayers: dict[str, dict[str, Any]] | None = None,
        dtype: DType | None = None,
        name: str | None = None,
        compile: bool = True,
    ):
        if head_dtype and dtype:
            raise ValueError(
                f"head_dtype={head_dtype!r} and dtype={dtype!r} are both the policy of "
                "the head. Pass only head_dtype; the backbone has its own dtype."
            )
        # The parents' constructor compiles, which depends on the activation.
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.num_classes = num_classes
        self.activation = activation
        self.dropout = dropout
        self.head_dtype = keras.dtype_policies.get(head_dtype or dtype or "float32")
        arguments = {
            layer: sublayer_arguments(layer, sublayers or {}, trainable, policy)
            for layer, policy in (
                ("dropout", policy_of(backbone)),
                ("predictions", self.head_dtype),
            )
        }
        features = self.pool(backbone(backbone.input), policy_of(backbone))
        features = Dropout(dropout, **arguments["dropout"])(features)
        head = keras_layers.Dense(
            num_classes,
            activation=activation,
            kernel_initializer=normal_initializer(),
            **arguments["predictions"],
        )
        # The parent's constructor has a head of its own. Its parent takes a graph.
        keras_hub.models.Task.__init__(
            self,
            inputs=backbone.input,
            outputs=head(features),
            trainable=trainable,
            name=name,
            compile=compile,
        )

    def get_config(self) -> dict[str, Any]:
        head = [self.get_layer("dropout"), self.get_layer("predictions")]
        states = sublayer_states(self, head)
        # Not the parent's, which contains the pooling of a map.
        config = {
            **keras_hub.models.Task.get_config(self),
            "trainable": self.trainable,
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout,
            "head_dtype": keras.dtype_policies.serialize(self.head_dtype),
        }
        return {**config, "sublayers": states} if states else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HubClassifier":
        return super().from_config(dict(config))  # which changes its argument

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        return {**config, "trained": self.optimizer.built} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras does not compile on loading, because KerasHub overrides `compile`.
        trained = config.get("trained")
        config = {key: value for key, value in config.items() if key != "trained"}
        self.compile(**keras.saving.deserialize_keras_object(config))
        if trained:  # otherwise the optimizer has no state in the file
            self.optimizer.build(self.trainable_variables)

    def pool(self, outputs: Tensor, dtype: DType) -> Tensor:
        """Return the features ``(batch, dim)`` of the backbone's outputs."""
        raise NotImplementedError

    def save_to_preset(self, preset_dir: str, **options: Any) -> None:
        """Write a preset with a model card; see `keras_hub.models.Task`."""
        super().save_to_preset(preset_dir, **options)
        write_card(self, preset_dir)

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, **kwargs: Any
    ) -> "HubClassifier":
        """Load a preset, or a published checkpoint with timm's config.

        Args:
            preset: as in `TNTBackbone.from_preset`.
            load_weights: whether to load the weights.
            **kwargs: arguments of the class that differ from the preset's. With
                ``num_classes`` the head is new.
        """
        loader = find_timm_loader(preset)
        if loader is None:
            return super().from_preset(preset, load_weights, **kwargs)
        return loader.load_task(cls, load_weights, **kwargs)


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageClassifier(HubClassifier):
    """Classifies images by the class token of a `TNTBackbone`.

    It computes what `keras_tnt.TNT` with its top computes. `keras.saving.load_model`
    restores how it was compiled, and its optimizer.

    Args:
        backbone: a `TNTBackbone`.
        num_classes: number of classes.
        preprocessor: a `TNTImageClassifierPreprocessor` for the images, or ``None``.
        activation: activation of the head; ``None`` for logits.
        dropout: dropout of the features before the head, 0 to 1.
        head_dtype: dtype policy of the head, float32 by default; the backbone has its
            own.
        trainable: whether dropout and head are trained; the backbone has its own.
        sublayers: what differs in dropout and head, as in the config.
        dtype: another name of ``head_dtype``, as Keras calls it.
        name: name of the model.
        compile: whether to compile the model for training, as in KerasHub.

    Raises:
        ValueError: if ``dtype`` and ``head_dtype`` are both given.

    Example:
        >>> import keras_hub
        >>> from keras_tnt.keras_hub import TNTBackbone, TNTImageClassifier
        >>> backbone = TNTBackbone((32, 64, 3), outer_dim=48, inner_dim=12, depth=2,
        ...                        outer_num_heads=3)
        >>> TNTImageClassifier(backbone, num_classes=7).save_to_preset("preset")
        >>> keras_hub.models.ImageClassifier.from_preset("preset").output_shape
        (None, 7)
    """

    backbone_cls = TNTBackbone
    preprocessor_cls = TNTImageClassifierPreprocessor

    def pool(self, outputs: Tensor, dtype: DType) -> Tensor:
        return outputs[:, 0]


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidTNTImageClassifier(HubClassifier):
    """Classifies images by the mean over the map of a `PyramidTNTBackbone`.

    It computes what `keras_tnt.PyramidTNT` with its top computes.
    `keras.saving.load_model` restores how it was compiled, and its optimizer.

    Args:
        backbone: a `PyramidTNTBackbone`.
        num_classes: number of classes.
        preprocessor: a `PyramidTNTImageClassifierPreprocessor`, or ``None``.
        activation: activation of the head; ``None`` for logits.
        dropout: dropout of the features before the head, 0 to 1.
        head_dtype: dtype policy of the head, float32 by default; the backbone has its
            own.
        trainable: whether dropout and head are trained; the backbone has its own.
        sublayers: what differs in dropout and head, as in the config.
        dtype: another name of ``head_dtype``, as Keras calls it.
        name: name of the model.
        compile: whether to compile the model for training, as in KerasHub.

    Raises:
        ValueError: if ``dtype`` and ``head_dtype`` are both given.

    Example:
        >>> from keras_tnt.keras_hub import PyramidTNTBackbone
        >>> from keras_tnt.keras_hub import PyramidTNTImageClassifier
        >>> backbone = PyramidTNTBackbone((64, 64, 3), 16, 4, (1, 1, 1, 1), 2, 1)
        >>> PyramidTNTImageClassifier(backbone, num_classes=7).output_shape
        (None, 7)
    """

    backbone_cls = PyramidTNTBackbone
    preprocessor_cls = PyramidTNTImageClassifierPreprocessor

    def pool(self, outputs: Tensor, dtype: DType) -> Tensor:
        pooling = keras.layers.GlobalAveragePooling2D(name="pooler", dtype=dtype)
        return pooling(outputs)


def from_tnt(model: keras.Model, preprocessor: Any = None) -> HubClassifier:
    """Return a KerasHub classifier with the weights of a TNT or PyramidTNT.

    Args:
        model: a `keras_tnt.TNT` or `keras_tnt.PyramidTNT` with its top.
        preprocessor: a preprocessor of the classifier; by default one that resizes and
            crops images to the model's size.

    Returns:
        A `TNTImageClassifier` or `PyramidTNTImageClassifier` with weights of its own.
        `save_to_preset` writes it. For a model on images of any size it has the native
        size.

    Raises:
        ValueError: if ``model`` is not a TNT or PyramidTNT with its top.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.keras_hub import from_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> from_tnt(model).output_shape
        (None, 7)
    """
    kind = architecture(model)
    head = find_head(model) if kind else None
    if head is None or head.dense is None or head.dense.name != "predictions":
        raise ValueError(
            "Expected a keras_tnt.TNT or keras_tnt.PyramidTNT with its top, got "
            f"{model.name!r}."
        )
    cls = TNTImageClassifier if kind == "tnt" else PyramidTNTImageClassifier
    size = image_size(model)
    backbone = cls.backbone_cls(
        (*size, model.input_shape[-1]),
        **builder_options(model),
        include_preprocessing=has_preprocessing(model),
    )
    transfer_weights(backbone, model)
    if preprocessor is None:
        preprocessor = cls.preprocessor_cls.for_size(size)
    activation = keras.activations.serialize(head.dense.activation)
    classifier = cls(backbone, head.dense.units, preprocessor, activation)
    classifier.get_layer("predictions").set_weights(head.dense.get_weights())
    return classifier
