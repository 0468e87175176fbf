"""The structure of a model: whether it is a TNT, and where its parts are."""

from keras_tnt.structure.architecture import blocks, find_tnt, patch_grid, stages
from keras_tnt.structure.graph import call_again, from_model_input, model_to

__all__ = [
    "blocks",
    "call_again",
    "find_tnt",
    "from_model_input",
    "model_to",
    "patch_grid",
    "stages",
]
