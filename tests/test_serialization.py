"""Saved objects load in a process that only imported keras_tnt."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_tnt import layers
from keras_tnt.compat import keras_layers
from keras_tnt.layers.class_embedding import ClassEmbedding
from keras_tnt.layers.class_masks import ClassMasks
from keras_tnt.layers.dropout import Dropout
from keras_tnt.layers.image_rescaling import ImageRescaling
from keras_tnt.layers.patch_map import PatchMap
from keras_tnt.layers.pixel_map import PixelMap
from keras_tnt.layers.region_pooling import RegionPooling
from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.tasks import detector
from keras_tnt.training import AdamW, MaskCrossentropy
from keras_tnt.training.losses import BinaryCrossentropy
from keras_tnt.training.schedules import RatePerEpoch
from keras_tnt.utils.lazy import LazyClass
from tests.helpers.small import pixels, small, small_pyramid
from tests.test_docstrings import MODULES

if importlib.util.find_spec("keras_hub"):
    from keras_tnt import keras_hub as tnt_hub
else:
    tnt_hub = None
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None  # an import of it fails
"""
LOAD = """
import json, sys
import keras_tnt
import keras, numpy

directory = sys.argv[1]
configs = json.load(open(f"{directory}/objects.json"))
print(json.dumps({
    name: keras.saving.serialize_keras_object(
        keras.saving.deserialize_keras_object(config)
    )
    for name, config in configs.items()
}))
for name in json.load(open(f"{directory}/models.json")):
    model = keras.saving.load_model(f"{directory}/{name}.keras")
    images = numpy.load(f"{directory}/{name}_images.npy")
    print(json.dumps([name, type(model.optimizer).__name__]))
    numpy.save(f"{directory}/{name}_outputs.npy", model(images, training=False))
"""


@functools.cache
def objects():
    """An instance of every class and function that the package registers."""
    found = {
        "AdamW": AdamW(1e-3),
        "BinaryCrossentropy": BinaryCrossentropy(0.2),
        "BatchNormalization": keras_layers.BatchNormalization(),
        "ClassEmbedding": ClassEmbedding(3),
        "ClassMasks": ClassMasks(2, 8),
        "Conv2D": keras_layers.Conv2D(2, 3),
        "Dense": keras_layers.Dense(2),
        "Dropout": Dropout(0.1),
        "FeedForward": layers.FeedForward(),
        "Functional": small(depth=1),
        "ImageRescaling": ImageRescaling(),
        "LayerNorm": layers.LayerNorm(),
        "MaskCrossentropy": MaskCrossentropy([1.0, 2.0], 0.1),
        "PatchEmbedding": layers.PatchEmbedding(8),
        "PatchMap": PatchMap(),
        "PatchMerging": layers.PatchMerging(8),
        "PixelEmbedding": layers.PixelEmbedding(8),
        "PixelMap": PixelMap(),
        "PixelMerging": layers.PixelMerging(8),
        "PyramidStage": layers.PyramidStage(1, 2, 1),
        "PyramidStem": layers.PyramidStem(8, 4),
        "RegionPooling": RegionPooling(3),
        "ResizeLike": ResizeLike(),
        "RatePerEpoch": RatePerEpoch([0.5, 0.25], 10),
        "PyramidTNTBlock": layers.PyramidTNTBlock(2, 1),
        "SelfAttention": layers.SelfAttention(2),
        "SpatialReductionAttention": layers.SpatialReductionAttention(2),
        "SpatialReductionBlock": layers.SpatialReductionBlock(2),
        "SqueezeExcitation": layers.SqueezeExcitation(),
        "TNTBlock": layers.TNTBlock(2, 1),
        "TransformerBlock": layers.TransformerBlock(2),
        "gelu": layers.gelu,
    }
    if tnt_hub:
        converter = tnt_hub.TNTImageConverter(image_size=(32, 48))
        preprocessor = tnt_hub.TNTImageClassifierPreprocessor(converter)
        backbone = hub_backbone()
        pyramid = tnt_hub.PyramidTNTBackbone((64, 64, 3), 16, 4, (1, 1, 1, 1), 2, 1)
        pyramid_preprocessor = tnt_hub.PyramidTNTImageClassifierPreprocessor.for_size(
            (64, 64)
        )
        found |= {
            "PyramidTNTBackbone": pyramid,
            "PyramidTNTImageClassifier": tnt_hub.PyramidTNTImageClassifier(pyramid, 3),
            "PyramidTNTImageClassifierPreprocessor": pyramid_preprocessor,
            "PyramidTNTImageConverter": pyramid_preprocessor.image_converter,
            "TNTBackbone": backbone,
            "TNTImageClassifier": tnt_hub.TNTImageClassifier(backbone, 3),
            "TNTImageClassifierPreprocessor": preprocessor,
            "TNTImageConverter": converter,
            "TNTObjectDetector": detector(
                small(depth=1, input_shape=(32, 32, 3)), 2, dim=8, levels=(3, 4)
            ),
        }
    return found


def hub_backbone():
    return tnt_hub.TNTBackbone(
        (32, 48, 3), outer_dim=48, inner_dim=12, depth=1, outer_num_heads=3
    )


def models():
    """Compiled models by the names of their files."""
    found = {"tnt": small(depth=1), "pyramid_tnt": small_pyramid()}
    if tnt_hub:
        found["classifier"] = tnt_hub.TNTImageClassifier(hub_backbone(), 7)
    for model in found.values():
        model.compile(AdamW(1e-3), "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
    return found


def test_objects__are_all_that_is_registered():
    registered = {
        name.removeprefix("keras_tnt>")
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("keras_tnt>") and not isinstance(value, LazyClass)
    }
    assert MODULES  # their import has registered all classes
    assert set(objects()) == registered


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The directory of the files."""
    directory = tmp_path_factory.mktemp("saved")
    configs = {
        name: keras.saving.serialize_keras_object(value)
        for name, value in objects().items()
    }
    (directory / "objects.json").write_text(json.dumps(configs))
    built = models()
    (directory / "models.json").write_text(json.dumps(list(built)))
    for name, model in built.items():
        images = pixels(model, 2).astype("float32")
        np.save(directory / f"{name}_images.npy", images)
        np.save(directory / f"{name}_expected.npy", model(images, training=False))
        model.save(directory / f"{name}.keras")
    return directory


def run_in_a_process(program, directory, **environment):
    """The lines that a program prints, as JSON."""
    process = subprocess.run(
        [sys.executable, "-c", program, directory],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return [json.loads(line) for line in process.stdout.splitlines()]


@pytest.fixture(scope="module")
def saved(directory):
    """The directory of the files, and the lines that the new process printed."""
    return directory, run_in_a_process(LOAD, directory)


@pytest.mark.slow
def test_every_registered_class__loads_after_import(saved):
    directory, (loaded, *_) = saved
    assert loaded == json.loads((directory / "objects.json").read_text())


@pytest.mark.slow
def test_compiled_models__load_after_import(saved):
    directory, (_, *loaded) = saved
    optimizers = dict(loaded)
    assert list(optimizers) == json.loads((directory / "models.json").read_text())
    # KerasHub compiles its tasks with an optimizer of its own when it loads them.
    assert optimizers["tnt"] == optimizers["pyramid_tnt"] == "AdamW"
    for name, _ in loaded:
        np.testing.assert_allclose(
            np.load(directory / f"{name}_outputs.npy"),
            np.load(directory / f"{name}_expected.npy"),
            atol=1e-6,
        )


@pytest.mark.processes
@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="needs JAX")
def test_every_registered_class__loads_without_tensorflow(directory, tmp_path):
    """On JAX, after `import keras_tnt` alone, where TensorFlow cannot be imported."""
    (tmp_path / "models.json").write_text("[]")
    shutil.copy(directory / "objects.json", tmp_path)
    program = WITHOUT_TENSORFLOW + LOAD
    (loaded,) = run_in_a_process(program, tmp_path, KERAS_BACKEND="jax")
    assert loaded == json.loads((directory / "objects.json").read_text())
