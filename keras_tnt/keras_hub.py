"""TNT for KerasHub: a backbone and an image classifier with presets.

The module needs KerasHub, the extra ``hub``. `import keras_tnt` does not import it, but
registers its classes. So saved models load, and so do presets of these classes through
KerasHub's `Backbone.from_preset` and `ImageClassifier.from_preset`.
"""

from collections.abc import Iterable
from typing import Any

import keras

from keras_tnt.compat import keras_layers
from keras_tnt.compat.sublayer_state import (
    policy_of,
    sublayer_arguments,
    sublayer_states,
)
from keras_tnt.layers.dropout import Dropout
from keras_tnt.layers.image_rescaling import ImageRescaling
from keras_tnt.models import TNT
from keras_tnt.models.catalog import builder_options
from keras_tnt.structure import architecture, find_head, has_preprocessing
from keras_tnt.utils.arguments import as_list
from keras_tnt.utils.typing import DType
from keras_tnt.weights.transfer import transfer_weights

try:
    import keras_hub
except ImportError as error:
    raise ImportError(
        "keras_tnt.keras_hub needs KerasHub, which cannot be imported. Install it: "
        'pip install "keras-tnt[hub]"'
    ) from error


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTBackbone(keras_hub.models.Backbone):
    """A TNT from images 0-255 to its tokens after the final norm.

    Its layers are those of `keras_tnt.TNT`. `keras_tnt.load_weights`,
    `keras_tnt.feature_extractor` and `keras_tnt.attention_maps` accept it. What is
    frozen, quantized or adapted by LoRA is part of its config, and so of its presets.

    Shapes: images ``(batch, *image_shape)`` to ``(batch, 1 + patches, outer_dim)``,
    the class token first.

    Args:
        image_shape: ``(height, width, channels)`` of the images.
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
        if data_format not in (None, "channels_last"):
            raise ValueError(
                "TNTBackbone expects channels-last images, got data_format="
                f"{data_format!r}. Leave it out, and transpose the images."
            )
        image_shape = tuple(as_list("image_shape", image_shape))
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
        images = scaled = keras.Input(image_shape, name="images")
        if include_preprocessing:
            scaled = ImageRescaling(name="rescaling", dtype=dtype)(images)
        tnt = TNT(
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
        return ["qkv"]

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


def from_tnt(model: keras.Model, preprocessor: Any = None) -> "TNTImageClassifier":
    """Return a KerasHub classifier with the weights of a TNT.

    Args:
        model: a `keras_tnt.TNT` with its top.
        preprocessor: a `TNTImageClassifierPreprocessor`; by default one that resizes
            images to the model's size.

    Returns:
        A `TNTImageClassifier` with weights of its own. `save_to_preset` writes it.

    Raises:
        ValueError: if ``model`` is not a TNT with its top.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.keras_hub import from_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> from_tnt(model).output_shape
        (None, 7)
    """
    head = find_head(model) if architecture(model) == "tnt" else None
    if head is None or head.dense is None or head.dense.name != "predictions":
        raise ValueError(
            "Expected a keras_tnt.TNT with its top, for which there is a KerasHub "
            f"classifier, got {model.name!r}."
        )
    backbone = TNTBackbone(
        model.input_shape[1:],
        **builder_options(model),
        include_preprocessing=has_preprocessing(model),
    )
    transfer_weights(backbone, model)
    if preprocessor is None:
        converter = TNTImageConverter(image_size=model.input_shape[1:3])
        preprocessor = TNTImageClassifierPreprocessor(converter)
    classifier = TNTImageClassifier(
        backbone,
        head.dense.units,
        preprocessor,
        keras.activations.serialize(head.dense.activation),
    )
    classifier.get_layer("predictions").set_weights(head.dense.get_weights())
    return classifier


def _with_states(model, states):
    """A copy of a functional model whose layers have these states."""

    def copy(layer):
        state = states.get(layer.name, {})
        return type(layer).from_config({**layer.get_config(), **state})

    return keras.models.clone_model(model, clone_function=copy)


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageConverter(keras_hub.layers.ImageConverter):
    """Resizes images for a `TNTBackbone`, which scales their values itself.

    Takes the arguments of `keras_hub.layers.ImageConverter`.

    Example:
        >>> import numpy
        >>> from keras_tnt.keras_hub import TNTImageConverter
        >>> converter = TNTImageConverter(image_size=(32, 64))
        >>> converter(numpy.zeros((2, 50, 50, 3))).shape
        TensorShape([2, 32, 64, 3])
    """

    backbone_cls = TNTBackbone

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # Or `quantize` fails for classifiers that have it in their preprocessor.
        self.resizing.build((None, None, None, 3))


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageClassifierPreprocessor(keras_hub.models.ImageClassifierPreprocessor):
    """Resizes the images of a data set for a `TNTImageClassifier`.

    Takes the arguments of `keras_hub.models.ImageClassifierPreprocessor`.

    Example:
        >>> import numpy
        >>> from keras_tnt import keras_hub as tnt_hub
        >>> converter = tnt_hub.TNTImageConverter(image_size=(32, 64))
        >>> preprocessor = tnt_hub.TNTImageClassifierPreprocessor(converter)
        >>> preprocessor(numpy.zeros((2, 50, 50, 3))).shape
        TensorShape([2, 32, 64, 3])
    """

    backbone_cls = TNTBackbone
    image_converter_cls = TNTImageConverter

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TNTImageClassifierPreprocessor":
        return super().from_config(dict(config))  # which changes its argument


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageClassifier(keras_hub.models.ImageClassifier):
    """Classifies images by the class token of a `TNTBackbone`.

    It computes what `keras_tnt.TNT` with its top computes. `keras.saving.load_model`
    restores how it was compiled, and its optimizer.

    Args:
        backbone: a `TNTBackbone`.
        num_classes: number of classes.
        preprocessor: a `TNTImageClassifierPreprocessor` for the images, or ``None``.
        activation: activation of the head; ``None`` for logits.
        dropout: dropout of the class token before the head, 0 to 1.
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

    def __init__(
        self,
        backbone: TNTBackbone,
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
        class_token = Dropout(dropout, **arguments["dropout"])(
            backbone(backbone.input)[:, 0]
        )
        head = keras_layers.Dense(
            num_classes, activation=activation, **arguments["predictions"]
        )
        # The parent's constructor would average a map. Its own parent takes a graph.
        keras_hub.models.Task.__init__(
            self,
            inputs=backbone.input,
            outputs=head(class_token),
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
    def from_config(cls, config: dict[str, Any]) -> "TNTImageClassifier":
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
