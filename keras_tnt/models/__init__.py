"""Models: a table of published sizes and plain functional builders."""

from keras_tnt.models.catalog import ModelInfo, create_model, list_models, model_info
from keras_tnt.models.classifier_head import reset_classifier
from keras_tnt.models.pyramid_tnt import (
    PyramidTNT,
    PyramidTNTBase,
    PyramidTNTMedium,
    PyramidTNTSmall,
    PyramidTNTTiny,
)
from keras_tnt.models.tnt import TNT, TNTBase, TNTSmall, TNTTiny

__all__ = [
    "TNT",
    "ModelInfo",
    "PyramidTNT",
    "PyramidTNTBase",
    "PyramidTNTMedium",
    "PyramidTNTSmall",
    "PyramidTNTTiny",
    "TNTBase",
    "TNTSmall",
    "TNTTiny",
    "create_model",
    "list_models",
    "model_info",
    "reset_classifier",
]
