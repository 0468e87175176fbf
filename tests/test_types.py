"""Public functions, methods and records state their types; lint checks them."""

import inspect
from importlib import resources

import pytest

from tests.test_docstrings import MODULES, own_names


def functions(module):
    """The public functions of a module and the public methods of its classes."""
    for name, value in own_names(module).items():
        if inspect.isfunction(value):
            yield name, value
            continue
        for attribute, member in vars(value).items():
            if isinstance(member, (classmethod, staticmethod)):
                member = member.__func__
            if isinstance(member, property):
                member = member.fget
            public = attribute == "__init__" or not attribute.startswith("_")
            # What dataclasses and named tuples generate is typed by their fields.
            written = inspect.isfunction(member) and inspect.getmodule(member) is module
            if public and written and member.__code__.co_filename == module.__file__:
                yield f"{name}.{attribute}", member


def untyped(function):
    """The parameters without a type, and "return" if there is no type of it."""
    signature = inspect.signature(inspect.unwrap(function))
    names = [
        name
        for index, (name, parameter) in enumerate(signature.parameters.items())
        if parameter.annotation is inspect.Parameter.empty
        and not (index == 0 and name in ("self", "cls"))
    ]
    is_constructor = function.__name__ == "__init__"
    if signature.return_annotation is inspect.Signature.empty and not is_constructor:
        names.append("return")
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_function__has_types(module):
    missing = {name: untyped(function) for name, function in functions(module)}
    assert {name: found for name, found in missing.items() if found} == {}


def test_py_typed__marks_the_package():
    assert resources.files("keras_tnt").joinpath("py.typed").is_file()
