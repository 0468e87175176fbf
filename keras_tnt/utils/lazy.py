"""Classes and modules that are imported when they are first used."""

import functools
import importlib
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


class LazyTensorFlow(types.ModuleType):
    """Stands for TensorFlow, which other backends of Keras do without.

    Example:
        >>> from keras_tnt.utils.lazy import tensorflow as tf
        >>> tf.zeros((2, 3)).shape
        TensorShape([2, 3])
    """

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__version__":
            # What Python's own tools ask modules for, such as doctest.
            raise AttributeError(attribute)
        return getattr(import_tensorflow(), attribute)


def import_tensorflow() -> types.ModuleType:
    """Import TensorFlow.

    Raises:
        ImportError: if it is not installed, in one line.
    """
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise ImportError(
            "This part of keras_tnt needs TensorFlow, which is not installed: "
            f"pip install tensorflow ({error})"
        ) from error


def tf_function(
    signature: Callable[[], list] | None = None, **options: Any
) -> Callable[[Callable], Callable]:
    """Make a `tf.function` of a function when it is first called.

    Args:
        signature: function that returns the ``input_signature``.
        **options: the arguments of `tf.function`.

    Returns:
        A decorator.
    """

    def decorate(function):
        @functools.cache
        def compiled():
            specs = signature() if signature else None
            return tensorflow.function(function, input_signature=specs, **options)

        @functools.wraps(function)
        def call(*args, **kwargs):
            return compiled()(*args, **kwargs)

        return call

    return decorate


if TYPE_CHECKING:
    import tensorflow
else:
    tensorflow = LazyTensorFlow("tensorflow")


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
