"""What is saved loads in a process that did nothing but `import keras_tnt`."""

import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt import layers
from keras_tnt.training import AdamW
from tests.helpers.small import pixels, small, small_pyramid

HAS_KERAS_HUB = importlib.util.find_spec("keras_hub") is not None
LOAD = """
import json, sys
import keras_tnt
import keras, numpy

directory = sys.argv[1]
configs = json.load(open(f"{directory}/objects.json"))
print(json.dumps({
    name: type(keras.saving.deserialize_keras_object(config)).__name__
    for name, config in configs.items()
}))
for name in json.load(open(f"{directory}/models.json")):
    model = keras.saving.load_model(f"{directory}/{name}.keras")
    images = numpy.load(f"{directory}/{name}_images.npy")
    print(json.dumps([name, type(model.optimizer).__name__]))
    numpy.save(f"{directory}/{name}_outputs.npy", model(images, training=False))
"""


def objects():
    """An instance of every class and function that the package registers."""
    found = {
        "AdamW": AdamW(1e-3),
        "FeedForward": layers.FeedForward(),
        "LayerNorm": layers.LayerNorm(),
        "PatchEmbedding": layers.PatchEmbedding(8),
        "PatchMerging": layers.PatchMerging(8),
        "PixelEmbedding": layers.PixelEmbedding(8),
        "PixelMerging": layers.PixelMerging(8),
        "PyramidStage": layers.PyramidStage(1, 2, 1),
        "PyramidStem": layers.PyramidStem(8, 4),
        "PyramidTNTBlock": layers.PyramidTNTBlock(2, 1),
        "SelfAttention": layers.SelfAttention(2),
        "SpatialReductionAttention": layers.SpatialReductionAttention(2),
        "SpatialReductionBlock": layers.SpatialReductionBlock(2),
        "SqueezeExcitation": layers.SqueezeExcitation(),
        "TNTBlock": layers.TNTBlock(2, 1),
        "TransformerBlock": layers.TransformerBlock(2),
        "gelu": layers.gelu,
    }
    if HAS_KERAS_HUB:
        converter = keras_tnt.keras_hub.TNTImageConverter(image_size=(32, 48))
        preprocessor = keras_tnt.keras_hub.TNTImageClassifierPreprocessor(converter)
        backbone = hub_backbone()
        found |= {
            "TNTBackbone": backbone,
            "TNTImageClassifier": keras_tnt.keras_hub.TNTImageClassifier(backbone, 3),
            "TNTImageClassifierPreprocessor": preprocessor,
            "TNTImageConverter": converter,
        }
    return found


def hub_backbone():
    return keras_tnt.keras_hub.TNTBackbone(
        (32, 48, 3), outer_dim=48, inner_dim=12, depth=1, outer_num_heads=3
    )


def models():
    """Compiled models; the names are those of their files."""
    found = {"tnt": small(), "pyramid_tnt": small_pyramid()}
    if HAS_KERAS_HUB:
        found["classifier"] = keras_tnt.keras_hub.TNTImageClassifier(hub_backbone(), 7)
    for model in found.values():
        model.compile(AdamW(1e-3), "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
    return found


def test_objects__are_all_that_is_registered():
    registered = {
        name.removeprefix("keras_tnt>")
        for name in keras.saving.get_custom_objects()
        if name.startswith("keras_tnt>")
    }
    assert set(objects()) == registered


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The directory of the files, and the lines that the fresh process printed."""
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
    process = subprocess.run(
        [sys.executable, "-c", LOAD, directory], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return directory, [json.loads(line) for line in process.stdout.splitlines()]


def test_every_registered_class__loads_after_import(saved):
    _, (loaded, *_) = saved
    expected = {name: type(value).__name__ for name, value in objects().items()}
    assert loaded == expected


def test_compiled_models__load_after_import(saved):
    directory, (_, *loaded) = saved
    optimizers = dict(loaded)
    assert optimizers.keys() == models().keys()
    # KerasHub compiles its tasks anew when it loads them.
    assert optimizers["tnt"] == optimizers["pyramid_tnt"] == "AdamW"
    for name, _ in loaded:
        np.testing.assert_allclose(
            np.load(directory / f"{name}_outputs.npy"),
            np.load(directory / f"{name}_expected.npy"),
            atol=1e-6,
        )
