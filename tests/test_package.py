"""What `import keras_tnt` gives, and what it leaves alone."""

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_tnt
from tests.helpers import ROOT

PACKAGES = ["keras_tnt"] + [
    module.name
    for module in pkgutil.iter_modules(keras_tnt.__path__, "keras_tnt.")
    if module.ispkg
]
# What only some functions need is imported when they are called.
HEAVY = (
    "tensorflow_datasets huggingface_hub matplotlib h5py safetensors torch keras_cv "
    "gradio sklearn keras_hub"
)


def run(script):
    """What a script prints in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_package__all(package):
    module = importlib.import_module(package)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_module_name__stands_once():
    """A module can be found by its name alone; commands are named as on the shell."""
    names = [
        module.name.rpartition(".")[2]
        for module in pkgutil.walk_packages(keras_tnt.__path__, "keras_tnt.")
        if not module.ispkg and not module.name.startswith("keras_tnt.cli.")
    ]
    assert sorted(names) == sorted(set(names))


def test_package__version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", keras_tnt.__version__)
    try:
        installed = importlib.metadata.version("keras-tnt")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("keras-tnt runs from its source directory, it is not installed")
    assert installed == keras_tnt.__version__


def test_import__light_without_network():
    """Keras itself may import some of these: what counts is what comes on top."""
    script = f"""
import sys
import keras, tensorflow

def watch(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(f"network access: {{event}} {{arguments}}")

before = set(sys.modules)
sys.addaudithook(watch)
import keras_tnt
print(*(set(sys.modules) - before) & set({HEAVY!r}.split()))
"""
    assert run(script) == []


@pytest.mark.slow
def test_import__loads_trained_model(tmp_path):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile(keras_tnt.training.AdamW(1e-3), "mse")
    model.fit(np.ones((1, 3)), np.ones((1, 2)), verbose=0)
    model.save(tmp_path / "model.keras")
    script = f"""
import keras, keras_tnt
model = keras.saving.load_model({str(tmp_path / "model.keras")!r})
print(type(model.optimizer).__module__)
"""
    assert run(script) == ["keras_tnt.training.optimizer"]


@pytest.mark.slow
def test_import__initializes_no_device():
    """Devices can be set up until TensorFlow starts them, and no longer."""
    script = """
import tensorflow as tf
import keras_tnt

def split_cpu(parts):
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * parts
    tf.config.set_logical_device_configuration(cpu, parts)

split_cpu(3)
print(len(tf.config.list_logical_devices("CPU")))
try:
    split_cpu(2)
except RuntimeError:
    print("started")
"""
    assert run(script) == ["3", "started"]


@pytest.mark.processes
def test_package__every_module_can_be_imported():
    """None of them does anything to the process."""
    script = """
import importlib, importlib.util, pkgutil, sys, logging, os
import keras_tnt
before = dict(os.environ)
optional = () if importlib.util.find_spec("keras_hub") else ("keras_tnt.keras_hub",)
for module in pkgutil.walk_packages(keras_tnt.__path__, "keras_tnt."):
    if module.name not in ("keras_tnt.__main__", *optional):
        importlib.import_module(module.name)
assert not [name for name, module in sys.modules.items() if module is None]
assert logging.root.manager.disable == 0
new = {k for k in os.environ if os.environ[k] != before.get(k)}
assert not [name for name in new if "TNT" in name or "GRADIO" in name], new
import cProfile, keras
"""
    assert run(script) == []


def test_package__text_files_have_an_encoding():
    """Without one, Python takes the machine's, which is not UTF-8 on Windows."""
    assert [*_without_encoding(ast.parse("open('f'); p.open('w'); p.read_text()"))]
    assert not [*_without_encoding(ast.parse("open('f', 'rb'); p.open(mode='wb')"))]
    found = [
        f"{path}:{line}"
        for path in (ROOT / "keras_tnt").rglob("*.py")
        for line in _without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def _without_encoding(tree):
    """The lines of calls that read or write text in the machine's encoding."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if getattr(getattr(node.func, "value", None), "id", "a")[0].isupper():
            continue  # a constructor, such as Sources.open
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        modes = [*node.args, *given.values()]
        binary = any(
            isinstance(mode, ast.Constant) and mode.value in ("rb", "wb", "r+b", "ab")
            for mode in modes
        )
        reads = name in ("open", "read_text", "write_text", "fdopen") and not binary
        if (reads or "text" in given) and "encoding" not in given:
            yield node.lineno
