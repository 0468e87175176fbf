"""Models: a table of published sizes and plain functional builders."""

from keras_tnt.models.tnt import TNT, TNTBase, TNTSmall, TNTTiny

__all__ = ["TNT", "TNTBase", "TNTSmall", "TNTTiny"]
