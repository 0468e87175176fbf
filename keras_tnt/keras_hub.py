"""TNT for KerasHub: a backbone and an image classifier with presets.

The module needs KerasHub, the extra ``hub``. `import keras_tnt` does not import it, but
registers its classes. So saved models load, and so do presets of these classes through
KerasHub's `Backbone.from_preset` and `ImageClassifier.from_preset`.
"""

from typing import Any

import keras

from keras_tnt.models import TNT
from keras_tnt.utils.typing import DType

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
    `keras_tnt.feature_extractor` and `keras_tnt.attention_maps` accept it.

    Shapes: images ``(batch, *image_shape)`` to ``(batch, 1 + patches, outer_dim)``,
    the class token first.

    Args:
        image_shape: ``(height, width, channels)`` of the images.
        dtype: a dtype policy or its name; the global one by default.
        name: name of the model.
        trainable: whether its weights are trained.
        **options: arguments of `keras_tnt.TNT` for the blocks, such as ``outer_dim``
            or ``drop_path_rate``.

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
        >>> from keras_tnt import keras_hub as tnt_hub
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

    It computes what `keras_tnt.TNT` with its top computes. The head is in float32.

    Args:
        backbone: a `TNTBackbone`.
        num_classes: number of classes.
        preprocessor: a `TNTImageClassifierPreprocessor` for the images, or ``None``.
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
        class_token = keras.layers.Dropout(
            dropout, name="dropout", dtype=backbone.dtype_policy
        )(tokens[:, 0])
        # The parent's constructor would average a map. Its own parent takes a graph.
        keras_hub.models.Task.__init__(
            self, inputs=backbone.input, outputs=head(class_token), **kwargs
        )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.num_classes = num_classes
        self.activation = activation
        self.dropout = dropout

    def get_config(self) -> dict[str, Any]:
        # Not the parent's, which contains the pooling of a map.
        return {
            **keras_hub.models.Task.get_config(self),
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout,
        }
