"""Property tests of models as users build them: nested, mixed, frozen, adapted.

`make fuzz-models` draws 300 models. Models quantized under a mixed policy are not
trained: the gradient of Keras's int8 Dense is float32, which other operations refuse.
"""

import os
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import keras_tnt
from keras_tnt.export import export_model
from keras_tnt.export.load_exported import load_exported
from tests.helpers.random_models import (
    CLASSES,
    build,
    images,
    is_quantized,
    random_models,
)

EXAMPLES = int(os.environ.get("RANDOM_MODELS", "8"))


@pytest.mark.end_to_end
@pytest.mark.filterwarnings("ignore::UserWarning")  # of models frozen as a whole
@given(random_models)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a model is small: shrinking takes longer than it helps
    suppress_health_check=list(HealthCheck),
)
def test_random_model__saved_trained_exported_and_explained(spec):
    model = build(spec)
    pixels = images(spec)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        check_saved(spec, model, pixels, directory)
        check_explained(spec, model, pixels)
        for file_format in ("savedmodel", spec.file_format):
            check_exported(spec, model, pixels, file_format, directory)
        if not (is_quantized(spec) and is_mixed(spec)):
            check_training_continues(spec, model, pixels, directory)
    keras.utils.clear_session(free_memory=False)


def predict(model, pixels):
    return keras.ops.convert_to_numpy(model(pixels, training=False)).astype("float32")


def check_saved(spec, model, pixels, directory):
    model.save(directory / "model.keras")
    loaded = keras.saving.load_model(directory / "model.keras")
    found, expected = predict(loaded, pixels), predict(model, pixels)
    np.testing.assert_array_equal(found, expected)
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.trainable == theirs.trainable


def is_mixed(spec):
    return any("mixed" in name for name in (spec.body_policy, spec.head_policy))


def check_training_continues(spec, model, pixels, directory):
    """A step before saving and one after it equal two steps in a row."""
    loss = keras.losses.CategoricalCrossentropy(from_logits=spec.after == "logits")
    # Keras's Adam cannot train bfloat16 weights: their beta_2 is rounded to 1.
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, run_eagerly=True)
    labels = np.eye(CLASSES, dtype="float32")[np.arange(len(pixels)) % CLASSES]
    before = [np.array(variable) for variable in model.trainable_variables]
    keras.utils.set_random_seed(1)
    model.train_on_batch(pixels, labels)
    assert not before or any(
        np.any(old != np.array(new))
        for old, new in zip(before, model.trainable_variables, strict=True)
    )
    model.save(directory / "trained.keras")
    loaded = keras.saving.load_model(directory / "trained.keras")
    loaded.run_eagerly = True
    for each in (model, loaded):
        keras.utils.set_random_seed(2)
        each.train_on_batch(pixels, labels)
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        ours, theirs = np.array(ours, "float64"), np.array(theirs, "float64")
        np.testing.assert_allclose(ours, theirs, atol=0.01, rtol=0.01)


def check_exported(spec, model, pixels, file_format, directory):
    """An export predicts what a float32 copy of the model does, or is refused."""
    path = directory / f"exported.{file_format}"
    try:
        export = export_model(model, path, file_format)
    except ValueError:
        if not may_be_refused(spec) or path.exists():
            raise
        return
    exported = load_exported(export.path, file_format)
    if exported.input_shape[1] is not None:  # an open size is fixed in other formats
        pixels = np.array(keras.ops.image.resize(pixels, exported.input_shape[1:3]))
    tolerance = 1e-4 if float32(spec) else 0.05
    expected = predict(model, pixels)
    if spec.after == "logits":
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    np.testing.assert_allclose(
        exported.predict_on_batch(pixels), expected, atol=tolerance
    )


def float32(spec):
    policies = {spec.body_policy} | ({spec.head_policy} if spec.nesting else set())
    return policies == {"float32"}


def may_be_refused(spec):
    return is_quantized(spec) or is_subclassed(spec) or spec.after == "logits"


def is_subclassed(spec):
    return spec.nesting > 0 and spec.form == "subclassed"


def check_explained(spec, model, pixels):
    try:
        features = keras_tnt.feature_extractor(model, blocks=[1, 2])
        maps = keras_tnt.attention_maps(model, pixels)
    except ValueError:
        if not is_subclassed(spec):
            raise
        return
    outputs = features(pixels)
    outputs = outputs.values() if isinstance(outputs, dict) else outputs
    for output in outputs:
        assert np.isfinite(keras.ops.convert_to_numpy(output).astype("float32")).all()
    for weights in maps.outer.values():
        assert weights.shape[0] == len(pixels)
        np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=0.02)
