"""Image converters and preprocessors for KerasHub."""

from typing import Any

import keras
import keras_hub

from keras_tnt.keras_hub.backbones import PyramidTNTBackbone, TNTBackbone


class HubImageConverter(keras_hub.layers.ImageConverter):
    """What the image converters have in common."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # Or `quantize` fails for classifiers that have it in their preprocessor.
        self.resizing.build((None, None, None, 3))


class HubPreprocessor(keras_hub.models.ImageClassifierPreprocessor):
    """What the preprocessors have in common."""

    @classmethod
    def for_size(cls, image_size: tuple[int, int]) -> "HubPreprocessor":
        """Return the preprocessor that resizes and crops images to a size.

        Args:
            image_size: ``(height, width)``.
        """
        converter = cls.image_converter_cls(
            image_size=image_size, interpolation="bicubic", crop_to_aspect_ratio=True
        )
        return cls(converter)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HubPreprocessor":
        return super().from_config(dict(config))  # which changes its argument


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTImageConverter(HubImageConverter):
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
class TNTImageClassifierPreprocessor(HubPreprocessor):
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
class PyramidTNTImageConverter(HubImageConverter):
    """Resizes images for a `PyramidTNTBackbone`, which scales their values itself.

    Takes the arguments of `keras_hub.layers.ImageConverter`.

    Example:
        >>> import numpy
        >>> from keras_tnt.keras_hub import PyramidTNTImageConverter
        >>> converter = PyramidTNTImageConverter(image_size=(32, 64))
        >>> converter(numpy.zeros((2, 50, 50, 3))).shape
        TensorShape([2, 32, 64, 3])
    """

    backbone_cls = PyramidTNTBackbone


@keras.saving.register_keras_serializable(package="keras_tnt")
class PyramidTNTImageClassifierPreprocessor(HubPreprocessor):
    """Resizes the images of a data set for a `PyramidTNTImageClassifier`.

    Takes the arguments of `keras_hub.models.ImageClassifierPreprocessor`.

    Example:
        >>> import numpy
        >>> from keras_tnt import keras_hub as tnt_hub
        >>> converter = tnt_hub.PyramidTNTImageConverter(image_size=(32, 64))
        >>> preprocessor = tnt_hub.PyramidTNTImageClassifierPreprocessor(converter)
        >>> preprocessor(numpy.zeros((2, 50, 50, 3))).shape
        TensorShape([2, 32, 64, 3])
    """

    backbone_cls = PyramidTNTBackbone
    image_converter_cls = PyramidTNTImageConverter
