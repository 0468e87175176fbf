"""A model's policy, and so its loss scaling, survives reloading."""

import keras
import numpy as np
import pytest

from tests.helpers.small import pixels, small

POLICY = "mixed_float16"
LABELS = np.array([0, 1])


def test_functional__still_needed(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, dtype=POLICY)(inputs))
    model.dtype_policy = POLICY
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "float32", (
        "Keras saves the policy of a functional model: "
        "remove keras_tnt.compat.functional_policy"
    )


@pytest.mark.parametrize("other", ["float32", "mixed_bfloat16"])
def test_functional__scales_the_loss_after_reloading(other, tmp_path):
    model = small(depth=1, inner_blocks=(), input_shape=(16, 32, 3), dtype=POLICY)
    images = pixels(model, 2).astype("float32")
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, run_eagerly=True)
    model.train_on_batch(images, LABELS)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy(other)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for copy in (loaded, keras.models.clone_model(model)):
        assert copy.dtype_policy.name == POLICY
        assert isinstance(copy, type(model))
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    for each in (model, loaded):
        each.train_on_batch(images, LABELS)
    for part in ("weights", "optimizer.variables"):
        ours, theirs = (
            keras.tree.map_structure(np.array, list(_part(each, part)))
            for each in (model, loaded)
        )
        for found, expected in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def _part(model, path):
    for name in path.split("."):
        model = getattr(model, name)
    return model


def test_functional__float32_model_under_a_mixed_global_policy(tmp_path):
    model = small(depth=1, inner_blocks=(), input_shape=(16, 32, 3))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy(POLICY)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "float32"
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)
