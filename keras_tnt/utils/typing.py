"""Names for the types in public signatures."""

import os
from typing import Any, TypeAlias

# A tensor of Keras's backend, or a symbolic keras.KerasTensor.
Tensor: TypeAlias = Any
# A dtype policy, its name or its configuration, as Keras's layers take it.
DType: TypeAlias = Any
# A shape: whole numbers, and None for an axis of unknown size.
Shape: TypeAlias = tuple[Any, ...]
PathLike: TypeAlias = str | os.PathLike[str]
