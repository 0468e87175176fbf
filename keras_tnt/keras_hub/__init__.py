"""TNT for KerasHub: backbones and image classifiers with presets.

The module needs KerasHub, the extra ``hub``. `import keras_tnt` does not import it, but
registers its classes. So saved models load, and so do presets of these classes through
KerasHub's `Backbone.from_preset` and `ImageClassifier.from_preset`.
"""

try:
    import keras_hub  # noqa: F401
except ImportError as error:
    raise ImportError(
        "keras_tnt.keras_hub needs KerasHub, which cannot be imported. Install it: "
        'pip install "keras-tnt[hub]"'
    ) from error

from keras_tnt.keras_hub.backbones import PyramidTNTBackbone, TNTBackbone
from keras_tnt.keras_hub.classifiers import (
    PyramidTNTImageClassifier,
    TNTImageClassifier,
    from_tnt,
)
from keras_tnt.keras_hub.preprocessing import (
    PyramidTNTImageClassifierPreprocessor,
    PyramidTNTImageConverter,
    TNTImageClassifierPreprocessor,
    TNTImageConverter,
)

__all__ = [
    "PyramidTNTBackbone",
    "PyramidTNTImageClassifier",
    "PyramidTNTImageClassifierPreprocessor",
    "PyramidTNTImageConverter",
    "TNTBackbone",
    "TNTImageClassifier",
    "TNTImageClassifierPreprocessor",
    "TNTImageConverter",
    "from_tnt",
]
