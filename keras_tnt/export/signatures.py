"""The functions behind the signatures of a SavedModel, as TensorFlow ops alone."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_tnt.export.comparison import PROBABILITIES, output_activation
from keras_tnt.export.validation import as_functional, choose_image_size
from keras_tnt.images import decode_image, preprocess_input, rgb_to_gray
from keras_tnt.layers.layer_norm import decomposed_layer_norm, layer_norm_for_cpus
from keras_tnt.models.tokens import patch_map
from keras_tnt.structure import architecture, class_token_alone, find_head, stem
from keras_tnt.utils.lazy import tensorflow as tf

SMALLEST_PROBABILITY = np.finfo("float32").tiny  # positive, so that it has a logarithm


class Signatures(tf.Module):
    """The content of a SavedModel: the signatures and variables of a classifier.

    Args:
        model: an image classifier; it is not changed.
        labels: names of the classes.
        top_k: number of classes in a prediction.
        crop_fraction: central share of an image that the model sees.
        image_size: ``(height, width)`` that images are decoded to, for a model on
            images of any size.
        for_cpus: whether layer norms are the operation that TensorFlow fuses on CPUs,
            and not primitive ones for any device.

    Attributes:
        functions: the signatures, by name.
        input_shape: ``(height, width, channels)`` of decoded images.
    """

    def __init__(
        self,
        model: keras.Model,
        labels: Sequence[str],
        top_k: int,
        crop_fraction: float,
        image_size: tuple[int, int] | None = None,
        for_cpus: bool = False,
    ):
        super().__init__()
        model = as_functional(model)
        image_size = choose_image_size(model, image_size)
        self.input_shape = (*image_size, model.input_shape[-1])
        predict, self.model_variables = _predictions(
            model,
            output_activation(model, image_size),
            layer_norm_for_cpus if for_cpus else decomposed_layer_norm,
        )
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "images")
        # All signatures call this function: the network is traced and saved once.
        predict = tf.function(predict, input_signature=[images], autograph=False)
        classify = _classify(predict, self.input_shape, labels, top_k, crop_fraction)
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


def _predictions(model, activation, layer_norms):
    """Return a function for all predictions and features, and its variables.

    One run of the network gives all of them. Logits are the tensor before the
    activation. If a Dense layer contains the activation, a copy of the layer without it
    computes them; in a nested model, they are computed back from the probabilities.
    `layer_norms` is a context in which the network is traced.
    """
    head = find_head(model)
    tensors, layers = {}, []
    if activation == "linear":
        tensors["logits"] = model.output
    elif head.logits is not None:
        tensors["logits"] = head.logits
    elif head.features is not None and head.dense_activates:
        layers = [_without_activation(head.dense)]
    else:
        tensors["probabilities"] = model.output
    feature_map = None if head.features is None else _feature_map(model)
    if feature_map is not None:
        tensors["feature_map"] = feature_map
    if layers or feature_map is not None:
        tensors["embedding"] = head.features
    body = class_token_alone(keras.Model(model.inputs, list(tensors.values())))

    def predict(images):
        with layer_norms():
            outputs = keras.tree.flatten(body(images, training=False))
        found = {
            name: tf.cast(value, tf.float32)
            for name, value in zip(tensors, outputs, strict=True)
        }
        for linear in layers:
            found["logits"] = tf.cast(linear(found["embedding"]), tf.float32)
        if "logits" in found:
            found["probabilities"] = PROBABILITIES[activation](found["logits"])
        else:
            found["logits"] = LOGITS[activation](found["probabilities"])
        return found

    return predict, _tensorflow_variables(body, *layers)


def _log(probabilities):
    return tf.math.log(tf.maximum(probabilities, SMALLEST_PROBABILITY))


LOGITS = {"softmax": _log, "sigmoid": lambda p: _log(p) - _log(1 - p)}


def _tensorflow_variables(*layers):
    return [variable.value for layer in layers for variable in layer.variables]


def _without_activation(head):
    config = head.get_config() | {"activation": "linear"}
    linear = type(head).from_config(config)
    linear.build((None, head.kernel.shape[0]))
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
        first = stem(model)
        patches = patch_map(patches, first.input, first.patch_size)
    return patches


def _classify(predict, input_shape, labels, top_k, crop_fraction):
    """The function behind ``serving_default``."""
    height, width, channels = input_shape
    names = tf.constant(labels)

    def read(contents):
        image = decode_image(contents)
        if channels == 1:
            image = rgb_to_gray(image)
        return preprocess_input(image, (height, width), crop_fraction)

    def classify(image_bytes):
        images, ok = _read_all(read, image_bytes, (height, width, channels))
        scores, ids = tf.math.top_k(predict(images)["probabilities"], top_k)
        known = ok[:, tf.newaxis]
        return {
            "classes": tf.where(known, tf.gather(names, ids), ""),
            "class_ids": tf.where(known, tf.cast(ids, tf.int64), -1),
            "scores": tf.where(known, scores, 0.0),
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
