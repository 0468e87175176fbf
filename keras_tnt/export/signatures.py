"""The functions behind the signatures of a SavedModel, as TensorFlow ops alone."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_tnt.images import decode_image, preprocess_input
from keras_tnt.structure import architecture, patch_grid

SMALLEST_PROBABILITY = np.finfo("float32").tiny  # positive, so that it has a logarithm


class Signatures(tf.Module):
    """The content of a SavedModel: the signatures and variables of a classifier.

    Args:
        model: an image classifier; it is not changed.
        labels: names of the classes.
        top_k: number of classes in a prediction.
        crop_fraction: central share of an image that the model sees.

    Attributes:
        functions: the signatures, by name.
    """

    def __init__(
        self,
        model: keras.Model,
        labels: Sequence[str],
        top_k: int,
        crop_fraction: float,
    ):
        super().__init__()
        _, height, width, channels = model.input_shape
        predict, self.model_variables = _predictions(model)
        images = tf.TensorSpec((None, height, width, channels), tf.float32, "images")
        # All signatures call this function: the network is traced and saved once.
        predict = tf.function(predict, input_signature=[images], autograph=False)
        classify = _classify(predict, model.input_shape, labels, top_k, crop_fraction)
        self.functions = {
            "serving_default": _function(
                classify, tf.TensorSpec((None,), tf.string, "image_bytes")
            ),
            "predict_images": _function(
                _pick(predict, "probabilities", "logits"), images
            ),
            "predict_images_uint8": _function(
                _pick(predict, "probabilities", "logits"),
                tf.TensorSpec(images.shape, tf.uint8, "images"),
            ),
        }
        if "feature_map" in predict.get_concrete_function().structured_outputs:
            self.functions["features"] = _function(
                _pick(predict, "embedding", "feature_map"), images
            )


def _function(python_function, spec):
    return tf.function(python_function, input_signature=[spec], autograph=False)


def _pick(predict, *names):
    def picked(images):
        outputs = predict(tf.cast(images, tf.float32))
        return {name: outputs[name] for name in names}

    return picked


def _predictions(model):
    """Return a function for all predictions and features, and its variables.

    A copy of the head without activation computes the logits, so that one run of the
    network gives both.
    """
    head = model.layers[-1]
    if not (isinstance(head, keras.layers.Dense) and head.output is model.output):
        return _predictions_of_any(model)
    outputs = {"embedding": head.input}
    feature_map = _feature_map(model)
    if feature_map is not None:
        outputs["feature_map"] = feature_map
    body, linear = keras.Model(model.inputs, outputs), _without_activation(head)
    activation = head.activation
    if activation is keras.activations.linear:
        activation = keras.activations.softmax

    def predict(images):
        found = body(images, training=False)
        logits = tf.cast(linear(found["embedding"]), tf.float32)
        found |= {"logits": logits, "probabilities": activation(logits)}
        return {name: tf.cast(value, tf.float32) for name, value in found.items()}

    return predict, _tensorflow_variables(body, linear)


def _predictions_of_any(model):
    """The same for a model whose head cannot be taken off, such as a nested one."""
    last = model
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    if activation not in (keras.activations.linear, keras.activations.softmax):
        raise ValueError(
            f"The last layer of model {model.name!r} is {last.name!r}, a "
            f"{type(last).__name__}. Expected one with the activation softmax or none, "
            "to tell probabilities from logits: end the model in a Dense layer."
        )

    def predict(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        if activation is keras.activations.linear:
            return {"logits": outputs, "probabilities": tf.nn.softmax(outputs)}
        logits = tf.math.log(tf.maximum(outputs, SMALLEST_PROBABILITY))
        return {"logits": logits, "probabilities": outputs}

    return predict, _tensorflow_variables(model)


def _tensorflow_variables(*layers):
    return [variable.value for layer in layers for variable in layer.variables]


def _without_activation(head):
    config = head.get_config() | {"activation": "linear"}
    linear = type(head).from_config(config)
    linear.build(head.input.shape)
    linear.set_weights(head.get_weights())
    return linear


def _feature_map(model):
    """The patches after the final norm, a map ``(batch, rows, columns, dim)``."""
    kind = architecture(model)
    if kind is None:
        return None
    patches = model.get_layer("norm").output
    if kind == "tnt":  # the patches are rows behind the class token
        patches = keras.layers.Cropping1D((1, 0))(patches)
        patches = keras.layers.Reshape((*patch_grid(model), -1))(patches)
    return patches


def _classify(predict, input_shape, labels, top_k, crop_fraction):
    """The function behind ``serving_default``."""
    _, height, width, channels = input_shape
    names = tf.constant(labels)

    def read(contents):
        image = decode_image(contents)
        if channels == 1:
            image = tf.image.rgb_to_grayscale(image)
        return preprocess_input(image, (height, width), crop_fraction)

    def classify(image_bytes):
        images, ok = _read_all(read, image_bytes, (height, width, channels))
        scores, ids = tf.math.top_k(predict(images)["probabilities"], top_k)
        known = ok[:, tf.newaxis]
        return {
            "classes": tf.where(known, tf.gather(names, ids), ""),
            "class_ids": tf.where(known, tf.cast(ids, tf.int64), -1),
            "scores": tf.where(known, scores, math.nan),
            "ok": ok,
        }

    return classify


def _read_all(read, image_bytes, shape):
    """A batch of images, black where one is corrupt, and which ones are not.

    Only `tf.data` continues after an op that fails: it drops the element.
    """
    count = tf.shape(image_bytes)[0]
    dataset = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    dataset = dataset.map(
        lambda index, contents: (index, read(contents)),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).ignore_errors()
    # One more element, because an empty dataset is an error.
    last = tf.data.Dataset.from_tensors((count, tf.zeros(shape)))
    batch = dataset.concatenate(last).batch(tf.cast(count + 1, tf.int64))
    indices, images = batch.get_single_element()
    rows = indices[:-1, tf.newaxis]
    ok = tf.scatter_nd(rows, tf.ones_like(indices[:-1]), [count]) > 0
    return tf.scatter_nd(rows, images[:-1], [count, *shape]), ok
