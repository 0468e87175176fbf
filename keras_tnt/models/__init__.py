"""Models: a table of published sizes and plain functional builders."""

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
    "PyramidTNT",
    "PyramidTNTBase",
    "PyramidTNTMedium",
    "PyramidTNTSmall",
    "PyramidTNTTiny",
    "TNTBase",
    "TNTSmall",
    "TNTTiny",
]
