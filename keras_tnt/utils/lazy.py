"""Classes that are imported when they are first used."""

import importlib
from typing import Any


class LazyClass:
    """Stands for a class until someone asks for it, and imports its module then.

    Keras's registry of serializable classes can hold it: Keras asks for ``from_config``
    when it loads an object of the class.

    Args:
        module: full name of the module.
        name: name of the class in it.

    Example:
        >>> from keras_tnt.utils.lazy import LazyClass
        >>> fraction = LazyClass("fractions", "Fraction")
        >>> fraction.from_float(0.5)
        Fraction(1, 2)
    """

    def __init__(self, module: str, name: str):
        self._module, self._name = module, name

    def _import(self):
        return getattr(importlib.import_module(self._module), self._name)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._import(), attribute)

    def __eq__(self, other: object) -> bool:  # KerasHub compares backbone_cls
        return other is self or other is self._import()

    def __hash__(self) -> int:
        return hash((self._module, self._name))
