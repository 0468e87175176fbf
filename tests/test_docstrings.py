"""What the docstrings promise: every public name has one, and its examples run."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil

import pytest

import keras_tnt

# It does its work when it is imported.
SCRIPTS = {"keras_tnt.__main__"}
# It needs an extra of its own.
OPTIONAL = set() if importlib.util.find_spec("keras_hub") else {"keras_tnt.keras_hub"}
MODULES = [
    importlib.import_module(name)
    for name in [
        "keras_tnt",
        *(m.name for m in pkgutil.walk_packages(keras_tnt.__path__, "keras_tnt.")),
    ]
    if name not in SCRIPTS | OPTIONAL
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def own_names(module):
    """The functions and classes that a module defines and does not call private."""
    return {
        name: value
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def public_names(module):
    """What users import: what packages export, and all of the modules at the top."""
    exported = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return exported | (own_names(module) if module.__name__.count(".") == 1 else {})


def examples(module):
    tests = doctest.DocTestFinder().find(module, module.__name__)
    return [test for test in tests if test.examples]


@pytest.mark.parametrize(
    "test",
    [test for module in MODULES for test in examples(module)],
    ids=lambda test: test.name,
)
def test_docstrings__examples(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    report = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_docstrings__only_downloads_skipped():
    skipped = {
        test.name
        for module in MODULES
        for test in examples(module)
        if any(doctest.SKIP in example.options for example in test.examples)
    }
    registry = "keras_tnt.weights.registry"
    names = ("download", "download_published", "fetch")
    assert skipped == {f"{registry}.{name}" for name in names}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_docstrings__everything_documented(module):
    assert module.__doc__
    for name, value in own_names(module).items():
        assert value.__doc__, f"{name} has no docstring"
    for name, value in public_names(module).items():
        # Plain records are shown by the functions that return them.
        if callable(value) and not (
            inspect.isclass(value) and issubclass(value, tuple)
        ):
            example = value.__doc__.partition("Example:")[2]
            assert ">>> " in example or "```python" in example, f"{name}: no example"
