"""The checks that every layer and every model must pass."""

import functools
import inspect
import math

import keras
import numpy as np
import tensorflow as tf

BASE_CONFIG = {"name", "trainable", "dtype"}


def check_layer(layer, *shapes, weights, training=True):
    """Check a new layer on inputs of the given shapes, batch included.

    ``training=False`` takes the gradients of inference. In training, the gradient of a
    bias before a BatchNorm is nothing but rounding errors.
    """
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape).astype("float32") for shape in shapes]
    check_config(layer)
    symbolic = layer(*[keras.KerasTensor((None, *shape[1:])) for shape in shapes])
    assert len(layer.weights) == weights
    for weight in layer.weights:  # every weight matters: none is 0 or 1
        weight.assign(weight + rng.normal(scale=0.3, size=weight.shape))
    outputs = layer(*inputs)
    for spec, value in zip(_flat(symbolic), _flat(outputs), strict=True):
        assert spec.shape == (None, *value.shape[1:])
        assert np.isfinite(value).all()
    check_gradients(layer, inputs, training)
    check_batches(layer, inputs, outputs)
    check_mixed_precision(layer, inputs, outputs)


def check_config(layer):
    """The config is exactly the constructor's arguments, and rebuilds the layer."""
    arguments = set(inspect.signature(type(layer).__init__).parameters)
    if isinstance(layer, keras.layers.LayerNormalization):
        keras_norm = keras.layers.LayerNormalization.__init__
        arguments |= {*inspect.signature(keras_norm).parameters, "rms_scaling"}
    config = layer.get_config()
    assert set(config) == arguments - {"self", "kwargs"} | BASE_CONFIG
    data = keras.saving.serialize_keras_object(layer)
    assert data["registered_name"] == f"keras_tnt>{type(layer).__name__}"
    assert keras.saving.deserialize_keras_object(data).get_config() == config


def check_gradients(layer, inputs, training):
    """Every trainable weight and every input gets a gradient."""
    rng = np.random.default_rng(1)
    inputs = [tf.convert_to_tensor(value) for value in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = _flat(
            layer(*inputs, training=training) if _trains(layer) else layer(*inputs)
        )
        loss = sum(tf.reduce_sum(o * rng.normal(size=o.shape)) for o in outputs)
    variables = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(loss, variables + inputs)
    names = [weight.path for weight in layer.trainable_weights] + ["input"] * len(
        inputs
    )
    for name, gradient in zip(names, gradients, strict=True):
        assert gradient is not None, f"{name} has no gradient"
        assert np.isfinite(gradient).all(), f"{name} has a gradient that is not finite"
        assert np.abs(gradient).max() > 0, f"{name} has a zero gradient"


def check_batches(layer, inputs, outputs):
    """A graph of dynamic batch size, plain and under XLA, computes the eager values."""
    signature = [tf.TensorSpec((None, *value.shape[1:])) for value in inputs]
    for jit_compile in (False, True):
        graph = tf.function(
            lambda *values: layer(*values),
            input_signature=signature,
            jit_compile=jit_compile,
        )
        # XLA compiles each batch size: one is enough.
        for batch in (len(inputs[0]),) if jit_compile else (1, len(inputs[0])):
            found = graph(*[value[:batch] for value in inputs])
            for value, expected in zip(_flat(found), _flat(outputs), strict=True):
                np.testing.assert_allclose(
                    value, expected[:batch], rtol=1e-4, atol=1e-4
                )


def check_mixed_precision(layer, inputs, outputs):
    """Both policies compute in half precision with float32 weights."""
    for policy in ("mixed_float16", "mixed_bfloat16"):
        config = layer.get_config() | {"dtype": policy}
        half = type(layer).from_config(config)
        half(*inputs)
        half.set_weights(layer.get_weights())
        for value, expected in zip(_flat(half(*inputs)), _flat(outputs), strict=True):
            assert value.dtype == policy.removeprefix("mixed_")
            expected = np.asarray(expected)
            error = np.linalg.norm(np.asarray(value, "float32") - expected)
            assert error < 0.05 * np.linalg.norm(expected)
        assert all(weight.dtype == "float32" for weight in half.weights)


def check_model(build, parameters, directory):
    """Check the small model of 7 classes that ``build(**arguments)`` returns."""
    rng = np.random.default_rng(0)
    model = build()
    assert trainable_parameters(model) == parameters
    pixels = rng.integers(0, 256, (3, *model.input_shape[1:]), "uint8")
    probabilities = model.predict(pixels, verbose=0)
    assert probabilities.shape == (3, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    check_files(model, build, pixels, directory)
    check_saved_model(model, pixels, directory)
    check_features(build, pixels)
    check_two_replicas(build, pixels)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        half = build()
        half.set_weights(model.get_weights())
        found = half.predict(pixels, verbose=0)
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, probabilities, atol=0.02)
    keras.config.set_dtype_policy("float32")


def trainable_parameters(model):
    """Count parameters as the papers do, without the moving statistics of BatchNorm."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def check_files(model, build, pixels, directory):
    """Both file formats restore the model bit for bit."""
    expected = model(pixels)
    model.save(directory / "model.keras")
    reloaded = keras.saving.load_model(directory / "model.keras")
    np.testing.assert_array_equal(reloaded(pixels), expected)
    model.save_weights(directory / "model.weights.h5")
    fresh = build()
    assert np.abs(np.subtract(fresh(pixels), expected)).max() > 0
    fresh.load_weights(directory / "model.weights.h5")
    np.testing.assert_array_equal(fresh(pixels), expected)


def check_saved_model(model, pixels, directory):
    """The model exports with a dynamic batch size."""
    model.export(directory / "saved_model", verbose=False)
    served = tf.saved_model.load(directory / "saved_model")
    for batch in (1, 3):
        images = pixels[:batch].astype("float32")
        np.testing.assert_allclose(served.serve(images), model(images), atol=1e-5)


def check_features(build, pixels):
    """Without top the model returns a feature map or a vector."""
    feature_map = build(include_top=False)(pixels)
    batch, height, width, dim = feature_map.shape
    assert (batch, height < pixels.shape[1], width < pixels.shape[2]) == (3, True, True)
    for pooling in ("avg", "max"):
        assert build(include_top=False, pooling=pooling)(pixels).shape == (3, dim)
    assert build(classes=2)(pixels).shape == (3, 2)


def check_two_replicas(build, pixels):
    """A step of fit on two replicas equals one on a single replica."""
    labels = np.arange(2) % 7
    losses = []
    for strategy in (tf.distribute.OneDeviceStrategy("/cpu:0"), two_replicas()):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = build()
            freeze_batch_norms(model)
            model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        history = model.fit(pixels[:2], labels, batch_size=2, epochs=2, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)


def freeze_batch_norms(model):
    """Make BatchNorms use moving statistics; a batch's differ between replicas."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


@functools.cache
def two_replicas():
    """The only strategy of two replicas; a second would share its collective keys."""
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def _flat(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _trains(layer):
    return "training" in inspect.signature(layer.call).parameters
