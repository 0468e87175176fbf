"""AdamW: what decays, what does not, also after a reload."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt import TNT, PyramidTNT
from keras_tnt.layers import PyramidStage
from keras_tnt.models.pyramid_tnt import VARIANTS
from keras_tnt.training import AdamW
from keras_tnt.training.optimizer import learning_rate_scales
from keras_tnt.training.schedules import warmup_cosine
from keras_tnt.weights.transfer import converter_for, to_upstream
from tests.helpers import reference
from tests.helpers.checks import two_replicas
from tests.helpers.small import small

IMAGES = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
LABELS = np.array([0, 1, 2, 3])


def perceptron(optimizer):
    """A model that trains quickly, for what does not depend on the model."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.LayerNormalization(),
            layers.Dense(16, "tanh", bias_initializer="random_normal"),
            layers.Dense(4, "softmax", bias_initializer="random_normal"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def test_adamw__six_published_steps():
    case = "tnt_training_curve"
    expected = reference.tensors(case)
    model = reference.build(case)
    optimizer = AdamW(1e-3, weight_decay=0.05, epsilon=1e-8)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss)
    labels = keras.ops.one_hot(expected["labels"], 7)
    history = model.fit(
        reference.images(case), labels, batch_size=8, epochs=6, verbose=0, shuffle=False
    )
    np.testing.assert_allclose(history.history["loss"], expected["losses"], atol=1e-4)
    for name, value in to_upstream(model).items():
        np.testing.assert_allclose(value, expected[f"final.{name}"], atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adamw__equal_to_keras(dtype, rng):
    """The fused operation and Keras's own arithmetic."""
    values = rng.normal(size=(5, 3)), rng.normal(size=3)
    found = []
    for optimizer in (
        AdamW(0.1, weight_decay=0.0, epsilon=1e-3),
        keras.optimizers.Adam(0.1, epsilon=1e-3),
    ):
        variables = [keras.Variable(value, dtype=dtype) for value in values]
        for step in range(4):
            gradients = [tf.cast(value * (step + 1), dtype) for value in values]
            optimizer.apply(gradients, variables)
        found.append([tf.cast(v.value, "float32").numpy() for v in variables])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-5)


def test_adamw__amsgrad(rng):
    values = rng.normal(size=(5, 3))
    found = []
    for optimizer in (
        AdamW(0.1, weight_decay=0.0, amsgrad=True),
        keras.optimizers.Adam(0.1, amsgrad=True),
    ):
        variable = keras.Variable(values)
        for factor in (3.0, 1.0, 0.1):
            optimizer.apply([tf.constant(values * factor, "float32")], [variable])
        found.append(variable.numpy())
    np.testing.assert_allclose(*found, atol=1e-6)


SCHEDULE = keras.optimizers.schedules.PolynomialDecay(0.1, 4, 0.01)
OPTIONS = {
    "defaults": {},
    "clipnorm": {"clipnorm": 0.5},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "loss_scale": {"loss_scale_factor": 8.0},
    "amsgrad": {"amsgrad": True, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3},
    "schedule": {"learning_rate": SCHEDULE},
    "callable": {"learning_rate": lambda: 0.05},
}


def branching(dtype=None):
    """A model with an embedding and kernels of a convolution and of two layers."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(8, 5, name="embedding", dtype=dtype)(tokens)
    x = layers.Conv1D(4, 2, activation="tanh", name="conv", dtype=dtype)(x)
    x = layers.LayerNormalization(name="norm", dtype=dtype)(x)
    x = layers.Dense(4, name="middle", dtype=dtype)(layers.Flatten()(x))
    return keras.Model(tokens, layers.Dense(3, name="top", dtype=dtype)(x))


def excluding(optimizer, model, var_list=(), var_names=()):
    """Exclude variables, and of Keras's optimizer all that are no kernels too."""
    excluded = [model.get_layer(name).kernel for name in var_list]
    if type(optimizer) is not AdamW:
        excluded += [v for v in model.trainable_variables if v.name != "kernel"]
    optimizer.exclude_from_weight_decay(excluded, list(var_names))
    return optimizer


def trained(optimizer, model, steps=5):
    """Apply random gradients, sparse ones to the embedding; return the weights."""
    rng = np.random.default_rng(0)
    variables = model.trainable_variables
    for _ in range(steps):
        gradients = [
            tf.cast(rng.normal(size=variable.shape), variable.dtype)
            for variable in variables
        ]
        if not optimizer.loss_scale_factor:  # which Keras has for dense gradients
            rows = rng.permutation(8)[:3]
            sparse = tf.IndexedSlices(gradients[0][:3], rows, variables[0].shape)
            gradients[0] = sparse
        optimizer.apply(gradients, variables)
    optimizer.finalize_variable_values(variables)
    return [tf.cast(weight.value, "float32").numpy() for weight in model.weights]


@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", OPTIONS)
def test_adamw__equals_keras(name, dtype):
    found = []
    for kind in (AdamW, keras.optimizers.AdamW):
        model = branching(dtype)
        options = {"learning_rate": 0.05, "weight_decay": 0.5} | OPTIONS[name]
        found.append(trained(excluding(kind(**options), model), model))
    tolerance = 1e-5 if dtype == "float32" else 0.02
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_adamw__equals_keras_with_a_scaled_loss():
    """Mixed precision wraps the optimizer; the gradients are those of the model."""
    tokens, targets = np.arange(24).reshape(4, 6) % 8, np.eye(4, 3)
    found = []
    for kind in (AdamW, keras.optimizers.AdamW):
        model = branching("mixed_float16")
        model.compile(excluding(kind(0.05, 0.5), model), "mse")
        model.optimizer = keras.optimizers.LossScaleOptimizer(model.optimizer)
        for _ in range(3):
            model.train_on_batch(tokens, targets)
        found.append([weight.numpy() for weight in model.weights])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.01)


EXCLUSIONS = [
    {"var_list": ["middle"]},
    {"var_names": ["kern"]},
    {"var_names": ["nothing", "ke.*el"]},
    {"var_list": ["conv", "top"], "var_names": ["bias"]},
]


@pytest.mark.parametrize("exclusion", EXCLUSIONS, ids=str)
def test_adamw__excludes_what_keras_does_also_after_a_reload(exclusion, tmp_path):
    model = branching()
    model.compile(excluding(AdamW(0.05, 0.5), model, **exclusion), "mse")
    ours = trained(model.optimizer, model)
    fresh = reloaded(model, tmp_path / "model.keras")
    other = branching()
    optimizer = excluding(keras.optimizers.AdamW(0.05, 0.5), other, **exclusion)
    for found, expected in zip(ours, trained(optimizer, other), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    plain = branching()
    decaying = trained(AdamW(0.05, 0.5), plain)
    assert max(np.abs(a - b).max() for a, b in zip(ours, decaying, strict=True)) > 0.01

    assert fresh.optimizer.get_config() == model.optimizer.get_config()
    results = [trained(m.optimizer, m) for m in (fresh, model)]
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("^kernel$", {"conv", "middle", "top"}),
        ("middle", {"middle"}),
        ("^(conv|top)/", {"conv", "top"}),
        ("bias", set()),
    ],
)
def test_adamw__excludes_by_names_and_by_paths(pattern, excluded):
    model = branching()
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=[pattern])
    found = decayed(optimizer, model.trainable_variables)
    assert {path.split("/")[0] for path in found} == {
        "conv",
        "middle",
        "top",
    } - excluded


def test_adamw__weight_decay_can_be_read_and_set(rng):
    kernel, bias = rng.normal(size=(5, 3)), rng.normal(size=3)
    found = []
    for kind in (AdamW, keras.optimizers.AdamW):
        optimizer = kind(0.1, weight_decay=0.5)
        assert optimizer.weight_decay == 0.5
        variables = [
            keras.Variable(kernel, name="kernel"),
            keras.Variable(bias, name="bias"),
        ]
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        values = []
        for decay in (0.5, 0.25, None, 0.0, keras.Variable(2.0)):
            optimizer.weight_decay = decay
            optimizer.learning_rate = 0.1 if decay == 0.5 else 0.2
            optimizer.apply([0 * v.value + 1e-3 for v in variables], variables)
            values += [v.numpy() for v in variables]
        optimizer.weight_decay = 0.125
        assert optimizer.get_config()["weight_decay"] == 0.125
        found.append(values)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_adamw__takes_the_arguments_of_keras_in_its_order():
    arguments = (1e-2, 0.1, 0.8, 0.9, 1e-5, True, 0.5)
    ours, theirs = AdamW(*arguments), keras.optimizers.AdamW(*arguments)
    assert isinstance(ours, keras.optimizers.AdamW)
    expected = theirs.get_config() | {"name": ours.name, "layer_decay": 1.0}
    assert ours.get_config() == expected
    assert AdamW.from_config(ours.get_config()).get_config() == expected
    with pytest.raises(ValueError, match="`weight_decay` must be a float"):
        AdamW(weight_decay=None)


def test_adamw__updates_variables_of_tensorflow(rng):
    values = rng.normal(size=(5, 3)), rng.normal(size=3)
    found = []
    for kind in (AdamW, keras.optimizers.AdamW):
        optimizer = kind(0.1, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        variables = [
            tf.Variable(value, dtype="float32", name=f"dense/{name}")
            for value, name in zip(values, ("kernel", "bias"), strict=True)
        ]
        optimizer.apply([tf.ones_like(v) for v in variables], variables)
        found.append([v.numpy() for v in variables])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def decayed(optimizer, variables):
    """The variables that a step with zero gradients changes: all by the same share."""
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.zeros(value.shape) for value in before], variables)
    changed = []
    for variable, value in zip(variables, before, strict=True):
        if np.any(variable.numpy() != value):
            np.testing.assert_allclose(variable, value * (1 - 0.1 * 0.5), rtol=1e-6)
            changed.append(variable.path)
    return changed


def kernels(variables):
    return [variable.path for variable in variables if variable.name == "kernel"]


def test_adamw__only_kernels_decay():
    model = small(se_ratio=0.25, qkv_bias=True)
    variables = model.trainable_variables
    expected = kernels(variables)
    assert 0 < len(expected) < len(variables) / 2
    assert decayed(AdamW(0.1, weight_decay=0.5), variables) == expected
    frozen = [v for v in variables if v.path.startswith(("block_2", "predictions"))]
    assert decayed(AdamW(0.1, weight_decay=0.5), frozen) == kernels(frozen)


# Official and timm names of what does not decay, whatever its rank.
NO_WEIGHT_DECAY = {"outer_pos", "inner_pos", "patch_pos", "pixel_pos", "cls_token"}


@pytest.fixture(scope="module")
def decay_by_name():
    """Whether the variable of an upstream tensor decays, for the deepest models."""
    optimizer = AdamW(0.1, weight_decay=0.5)
    size = {"weights": None, "classes": 3}
    depths = VARIANTS["pyramid_tnt_base"]["depths"]
    models = (
        TNT(12, 2, 12, 1, 1, input_shape=(16, 16, 3), **size),
        PyramidTNT(4, 2, depths, 1, 1, input_shape=(32, 32, 3), **size),
    )
    return {
        name: optimizer._decays(entry.variable)
        for model in models
        for entry in converter_for(model).entries(model)
        if entry.variable.trainable
        for name in entry.names
    }


@pytest.mark.parametrize(
    "manifest",
    [
        "timm/tnt_s_patch16_224.in1k",
        "timm/tnt_b_patch16_224.in1k",
        "official/ptnt_ti_patch16_192",
        "official/ptnt_s_patch16_256",
        "official/ptnt_m_patch16_256",
        "official/ptnt_b_patch16_256",
    ],
)
def test_adamw__decays_what_the_published_training_decays(manifest, decay_by_name):
    """All of rank over 1 in the published file, but positions and class token."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    expected = {
        name: len(shape) > 1 and name not in NO_WEIGHT_DECAY
        for name, shape in reference.MANIFESTS[manifest].items()
        if not name.endswith(statistics)
    }
    assert {name: decay_by_name[name] for name in expected} == expected
    biases = [name for name in expected if name.endswith("relative_pos")]
    assert all(expected[name] for name in biases)
    assert len(biases) == (4 if "ptnt" in manifest else 0)


def test_adamw__position_biases_decay():
    stage = PyramidStage(1, outer_num_heads=1, inner_num_heads=1)
    stage.build((None, 2, 2, 16, 2), (None, 2, 2, 4))
    found = decayed(AdamW(0.1, weight_decay=0.5), stage.trainable_variables)
    assert stage.position_bias.path in found


def reloaded(model, path):
    model.save(path)
    return keras.saving.load_model(path)


def test_adamw__only_kernels_decay_after_reload(tmp_path):
    model = small()
    model.compile(AdamW(0.1, weight_decay=0.5), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    fresh = reloaded(model, tmp_path / "model.keras")
    assert type(fresh.optimizer) is AdamW
    assert fresh.optimizer.get_config() == model.optimizer.get_config()
    variables = fresh.trainable_variables
    assert decayed(fresh.optimizer, variables) == kernels(variables)


def test_adamw__reload_continues(tmp_path):
    schedule = warmup_cosine(1e-2, 1e-4, warmup_steps=2, total_steps=6)
    model = perceptron(AdamW(schedule, weight_decay=0.5))
    model.fit(IMAGES, LABELS, epochs=3, verbose=0)
    fresh = reloaded(model, tmp_path / "model.keras")
    assert int(fresh.optimizer.iterations) == 3
    for trained in (model, fresh):
        trained.fit(IMAGES, LABELS, epochs=2, verbose=0)
    for ours, theirs in zip(fresh.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


@pytest.mark.slow
def test_adamw__two_replicas():
    weights = []
    for strategy in (tf.distribute.OneDeviceStrategy("/cpu:0"), two_replicas()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = perceptron(AdamW(0.01, weight_decay=0.5))
        model.fit(IMAGES, LABELS, epochs=3, verbose=0, shuffle=False)
        weights.append([weight.numpy() for weight in model.weights])
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_layer_decay__rates_by_depth():
    variables = small(depth=3, inner_blocks=(1,)).trainable_variables
    scales = learning_rate_scales(variables, 0.5)
    found = {}
    for variable, scale in zip(variables, scales, strict=True):
        found.setdefault(variable.path.split("/")[0], set()).add(scale)
    assert found == {
        "pixel_embedding": {0.5**4},
        "patch_embedding": {0.5**4},
        "block_1": {0.5**3},
        "block_2": {0.5**2},
        "block_3": {0.5},
        "norm": {1.0},
        "predictions": {1.0},
    }


def test_layer_decay__step(tmp_path):
    """Adam's first step moves all by the learning rate, whatever the gradient."""
    model = small(depth=2)
    model.compile(AdamW(0.1, weight_decay=0.0, layer_decay=0.5), "mse")
    model.optimizer.build(model.trainable_variables)
    model = reloaded(model, tmp_path / "model.keras")
    variables = model.trainable_variables
    before = [variable.numpy() for variable in variables]
    model.optimizer.apply([tf.ones(value.shape) for value in before], variables)
    scales = learning_rate_scales(variables, 0.5)
    assert sorted(set(scales)) == [0.125, 0.25, 0.5, 1]
    for variable, value, scale in zip(variables, before, scales, strict=True):
        np.testing.assert_allclose(
            variable, value - 0.1 * scale, atol=1e-5, err_msg=variable.path
        )


@pytest.mark.parametrize("layer_decay", [0, -1, 1.1])
def test_layer_decay__invalid(layer_decay):
    with pytest.raises(ValueError, match="layer_decay must be above 0 and at most 1"):
        AdamW(layer_decay=layer_decay)
