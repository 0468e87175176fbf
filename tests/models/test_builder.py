"""What all builders share."""

import keras
import numpy as np
import pytest

import keras_tnt
from tests.helpers.small import BOTH, pixels

VARIANTS = [keras_tnt.TNTTiny, keras_tnt.PyramidTNTBase]


def policies(model):
    """The names of the dtype policies of all layers, nested ones too."""
    return [
        layer.dtype_policy.name
        for layer in model._flatten_layers(include_self=False)
        if not isinstance(layer, keras.layers.InputLayer)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("make", BOTH)
def test_dtype__equals_global_policy(make, tmp_path):
    policy = "mixed_bfloat16"
    model = make(dtype=policy)
    images = pixels(model)
    outputs = model.predict(images, verbose=0)
    assert keras.config.dtype_policy().name == "float32"
    # Only preprocessing and head compute in float32.
    assert policies(model).count("float32") == 2
    assert set(policies(model)) == {policy, "float32"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert policies(loaded) == policies(model)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), outputs)
    keras.config.set_dtype_policy(policy)
    expected = make()
    assert policies(expected) == policies(model)
    np.testing.assert_array_equal(expected.predict(images, verbose=0), outputs)


@pytest.mark.parametrize("make", BOTH)
def test_dtype__features_and_policy_object(make):
    for pooling in (None, "avg", "max"):
        model = make(
            include_top=False,
            include_preprocessing=False,
            pooling=pooling,
            dtype=keras.DTypePolicy("mixed_float16"),
        )
        assert set(policies(model)) == {"mixed_float16"}
        assert model.output.dtype == "float16"
    model.compile("sgd", "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("builder", VARIANTS)
def test_variant_docstring__lists_every_argument(builder):
    arguments = builder.__doc__.partition("Args:\n")[2].partition("\n\nReturns:")[0]
    listed = [
        line.split(":")[0].strip()
        for line in arguments.splitlines()
        if line.startswith("    ") and not line.startswith("     ")
    ]
    names = builder.__code__.co_varnames[: builder.__code__.co_argcount]
    assert listed == [*names, "**options"]
    assert "{" not in builder.__doc__
    assert max(map(len, builder.__doc__.splitlines())) <= 88
