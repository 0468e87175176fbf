"""The structure of a model: whether it is a TNT, its parts, and what they cost."""

from keras_tnt.structure.architecture import (
    architecture,
    blocks,
    find_tnt,
    patch_grid,
    position_grid,
    stages,
    stem,
)
from keras_tnt.structure.class_token import class_token_alone
from keras_tnt.structure.complexity import complexity
from keras_tnt.structure.cost import Complexity, Cost
from keras_tnt.structure.graph import (
    extend_from_input,
    has_preprocessing,
    model_to,
    rebuild_graph,
)
from keras_tnt.structure.head import Head, find_head, has_graph

__all__ = [
    "Complexity",
    "Cost",
    "Head",
    "architecture",
    "blocks",
    "class_token_alone",
    "complexity",
    "extend_from_input",
    "find_head",
    "find_tnt",
    "has_graph",
    "has_preprocessing",
    "model_to",
    "patch_grid",
    "position_grid",
    "rebuild_graph",
    "stages",
    "stem",
]
