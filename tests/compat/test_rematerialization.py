"""Rematerialized blocks train like others; Keras's own scope does not work yet."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.layers import FeedForward, PyramidStage
from tests.helpers.checks import two_replicas
from tests.helpers.faults import still_raises
from tests.helpers.small import pixels, small

LABELS = np.array([0, 3, 6, 3])
RANDOM = {"inner_blocks": (1,), "dropout_rate": 0.2, "drop_path_rate": 0.3}


def build(**arguments):
    """A model whose dropout masks depend on the arguments only."""
    keras.utils.set_random_seed(0)
    return small(**(RANDOM | arguments))


def gradients(model, compiler=lambda step: step):
    """The losses of two steps, whose masks differ, and the last gradients."""
    images = tf.constant(pixels(model, batch=len(LABELS)))

    def step(images):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(LABELS, outputs)
        variables = [weight.value for weight in model.trainable_weights]
        return losses, tape.gradient(losses, variables)

    step = compiler(step)
    (first, _), (second, found) = step(images), step(images)
    assert np.any(first != second)
    return [first, second, *found]


@pytest.mark.parametrize(
    "policy",
    [
        "float32",
        "mixed_float16",
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_rematerialize__same_masks_losses_and_gradients(policy):
    keras.config.set_dtype_policy(policy)
    plain, remat = gradients(build()), gradients(build(remat=True))
    for ours, theirs in zip(remat, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rematerialize__same_gradients_of_a_pyramid_stage(rng):
    inputs = [
        tf.constant(rng.normal(size=shape), "float32")
        for shape in ((2, 4, 6, 16, 8), (2, 4, 6, 16))
    ]
    results = []
    for remat in (False, True):
        keras.utils.set_random_seed(0)
        stage = PyramidStage(2, 2, 4, 2, drop_path_rates=[0.3, 0.3], remat=remat)
        stage.build(*[value.shape for value in inputs])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = sum(tf.reduce_sum(o**2) for o in stage(*inputs, training=True))
        variables = [weight.value for weight in stage.trainable_weights]
        results.append([loss, *tape.gradient(loss, inputs + variables)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rematerialize__same_in_a_graph(jit_compile):
    def compiler(step):
        return tf.function(step, jit_compile=jit_compile)

    plain = gradients(build(depth=1), compiler)
    remat = gradients(build(depth=1, remat=True), compiler)
    for ours, theirs in zip(remat, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_rematerialize__blocks_run_again_for_the_gradient_only(monkeypatch):
    calls = []
    call = FeedForward.call

    def counted(self, *arguments, **options):
        calls.append(self)
        return call(self, *arguments, **options)

    model = build(remat=True)
    monkeypatch.setattr(FeedForward, "call", counted)
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(model(pixels(model), training=True) ** 2)
    forward = len(calls)
    assert forward == 3  # inner and outer of block 1, outer of block 2
    tape.gradient(loss, model.trainable_weights[0].value)
    assert len(calls) == 2 * forward
    calls.clear()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(pixels(model)) ** 2)
    tape.gradient(loss, model.trainable_weights[0].value)
    assert len(calls) == forward


def test_rematerialize__frozen_weights_pass_gradients_on():
    results = []
    for remat in (False, True):
        model = build(remat=remat)
        model.get_layer("block_1").trainable = False
        model.get_layer("block_2").attention.qkv.trainable = False
        results.append(gradients(model))
    assert len(results[0]) == len(small(**RANDOM).weights) - 27 - 1 + 2
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rematerialize__uses_values_of_an_outer_stateless_scope():
    results = []
    for remat in (False, True):
        model = build(remat=remat)
        trained = [2 * weight for weight in model.trainable_variables]
        outputs, state = model.stateless_call(
            trained, model.non_trainable_variables, pixels(model), training=True
        )
        results.append([outputs, *state])
        for before, after in zip(model.non_trainable_variables, state, strict=True):
            assert np.any(before != after)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_rematerialize__fit_gives_the_same_losses(replicas):
    strategy = (
        two_replicas() if replicas == 2 else tf.distribute.OneDeviceStrategy("/cpu:0")
    )
    losses = []
    for remat in (False, True):
        with strategy.scope():
            model = build(depth=1, remat=remat)
            model.compile(
                keras.optimizers.SGD(0.1),
                "sparse_categorical_crossentropy",
                # Two steps in one graph; Keras cannot do that on two replicas.
                steps_per_execution=2 // replicas,
            )
        images = pixels(model, batch=len(LABELS))
        history = model.fit(
            images, LABELS, batch_size=2, epochs=2, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.slow
def test_remat__is_saved_and_does_not_change_inference(tmp_path):
    model = build(remat=True)
    assert [w.path for w in model.weights] == [w.path for w in build().weights]
    expected = model(pixels(model))
    np.testing.assert_array_equal(build()(pixels(model)), expected)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(pixels(model)), expected)
    for block in ("block_1", "block_2"):
        assert reloaded.get_layer(block).remat
    assert len(gradients(reloaded)) == len(model.weights) + 2
    model.export(tmp_path / "saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved_model")
    images = pixels(model).astype("float32")
    np.testing.assert_allclose(served.serve(images), expected, atol=1e-5)


def test_rematerialize__still_present():
    with keras.RematScope(mode="full"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    workaround = "keras_tnt.compat.rematerialization.rematerialize"
    with still_raises(ValueError, "keywords arguments only when eager", workaround):
        model.train_on_batch(np.ones((2, 4)), np.ones((2, 4)))
