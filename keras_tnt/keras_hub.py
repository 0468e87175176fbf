"""TNT for KerasHub: a backbone and an image classifier with presets.

Not imported by `keras_tnt` itself: `from keras_tnt.keras_hub import TNTBackbone` needs
KerasHub, the extra ``hub``. Once imported, `keras_hub.models.Backbone.from_preset` and
`keras_hub.models.ImageClassifier.from_preset` know presets of these classes.
"""

from typing import Any

import keras

from keras_tnt.models import TNT
from keras_tnt.utils.typing import DType

try:
    import keras_hub
except ImportError as error:
    raise ImportError(
        "keras_tnt.keras_hub builds on KerasHub, which could not be imported. Install it: "
        'pip install "keras-tnt[hub]"'
    ) from error


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTBackbone(keras_hub.models.Backbone):
    """A TNT from images 0-255 to its tokens after the final norm.

    Its layers are those of `keras_tnt.TNT`, so that `keras_tnt.load_weights`,
    `keras_tnt.feature_extractor` and `keras_tnt.attention_maps` take it.

    Shapes: images ``(batch, *image_shape)`` to ``(batch, 1 + patches, outer_dim)``,
    the class token first.

    Args:
        image_shape: ``(height, width, channels)`` of the images.
        dtype: a dtype policy or its name; the global one by default.
        name: name of the model.
        trainable: whether its weights are trained.
        **options: arguments of `keras_tnt.TNT` that say what its blocks are, such as
            ``outer_dim`` or ``drop_path_rate``.

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
        dtype: DType | None = None,
        name: str = "tnt_backbone",
        trainable: bool = True,
        **options: Any,
    ):
        tnt = TNT(
            input_shape=tuple(image_shape), include_top=False, dtype=dtype, **options
        )
        super().__init__(
            inputs=tnt.input,
            outputs=tnt.get_layer("norm").output,
            dtype=dtype,
            name=name,
            trainable=trainable,
        )
        self.image_shape = tuple(image_shape)
        self.options = options

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            **self.options,
        }


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


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageClassifierPreprocessor(keras_hub.models.ImageClassifierPreprocessor):
    """Resizes the images of a data set for a `TNTImageClassifier`.

    Takes the arguments of `keras_hub.models.ImageClassifierPreprocessor`.

    Example:
        >>> import numpy
        >>> from keras_tnt import keras_hub
        >>> converter = tnt_hub.TNTImageConverter(image_size=(32, 64))
        >>> preprocessor = tnt_hub.TNTImageClassifierPreprocessor(converter)
        >>> preprocessor(numpy.zeros((2, 50, 50, 3))).shape
        TensorShape([2, 32, 64, 3])
    """

    backbone_cls = TNTBackbone
    image_converter_cls = TNTImageConverter


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageClassifier(keras_hub.models.ImageClassifier):
    """Classifies images by the class token of a `TNTBackbone`.

    Computes what `keras_tnt.TNT` with its top computes, in float32 at the end.

    Args:
        backbone: a `TNTBackbone`.
        num_classes: number of classes.
        preprocessor: a `TNTImageClassifierPreprocessor` that images are given to
            before, or ``None``.
        activation: activation of the head; ``None`` for logits.
        dropout: dropout of the class token before the head, 0 to 1.
        **kwargs: arguments of `keras_hub.models.Task`, such as ``name``.

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
        **kwargs: Any,
    ):
        tokens = backbone(backbone.input)
        head = keras.layers.Dense(
            num_classes, activation=activation, dtype="float32", name="predictions"
        )
        class_token = keras.layers.Dropout(dropout, name="dropout")(tokens[:, 0])
        # The parent's constructor would average a map; its own parent takes a graph.
        keras_hub.models.Task.__init__(
            self, inputs=backbone.input, outputs=head(class_token), **kwargs
        )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.num_classes = num_classes
        self.activation = activation
        self.dropout = dropout

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        # Not the parent's, which has the pooling of a map.
        return {
            **keras_hub.models.Task.get_config(self),
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout,
        }
