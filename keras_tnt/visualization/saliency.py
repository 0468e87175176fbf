"""Saliency: Grad-CAM and integrated gradients."""

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.structure import blocks, find_tnt, patch_grid, rebuild_graph, stages
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.gradients import gradient_of_sum
from keras_tnt.visualization.image_range import check_model_images


def grad_cam(
    model: keras.Model, images: ArrayLike, classes: ArrayLike | None = None
) -> np.ndarray:
    """Compute Grad-CAM: the patches that contribute to a class (arXiv 1610.02391).

    It is ``relu(Σ_c g_c · a_c)`` over the channels ``c`` of each patch. ``a`` is the
    last map of patches on which the whole prediction depends: the input of the last
    block of a TNT, the output of the last stage of a PyramidTNT. ``g`` is the gradient
    of the class score with respect to ``a``. Each patch has its own gradient, not the
    mean of all patches (as in HiResCAM, arXiv 2011.08891), because a class token does
    not treat patches equally. A patch without influence gets zero.

    Args:
        model: a TNT or PyramidTNT, a model extended from one, or one with it as a
            layer, at any depth; its only output is ``(batch, classes)``.
        images: a batch of images for ``model``, ``(batch, height, width, channels)``.
        classes: class of each image, or one for all; the predicted ones by default.

    Returns:
        A float32 array ``(batch, rows, columns)``, scaled so that the highest is 1; all
        zero if no gradient is positive. `keras_tnt.visualization.resize_maps` scales it
        to the image's size.

    Raises:
        ValueError: if ``model`` has no TNT, or one on images of any size; is not
            functional, or there is no such class; or if it scales images itself and
            these look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import grad_cam
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> grad_cam(model, numpy.zeros((2, 32, 64, 3)), classes=3).shape
        (2, 2, 4)
    """
    tnt = find_tnt(model)
    grid = patch_grid(tnt)
    offsets = _Offset(dtype="float32")

    def before(block, *inputs, **options):
        return block(*inputs[:-1], offsets(inputs[-1]), **options)

    def after(stage, *inputs, **options):
        pixels, patches = stage(*inputs, **options)
        return pixels, offsets(patches)

    if stages(tnt):
        scores = _scores_model(model, {stages(tnt)[-1]: after})
    else:
        scores = _scores_model(model, {blocks(tnt)[-1]: before})
    check_model_images(model, images)
    chosen = _choose_classes(scores, images, classes)

    def score(offset):
        offsets.value = offset
        return _of_classes(scores(images, training=False), chosen)

    zeros = keras.ops.zeros((len(chosen), *offsets.shape[1:]))
    gradient = gradient_of_sum(score, zeros)
    weights = keras.ops.sum(gradient * offsets.tokens, axis=-1)
    weights = keras.ops.convert_to_numpy(weights)
    weights = np.maximum(weights, 0)
    if not stages(tnt):  # tokens, the class token first
        weights = weights[:, 1:].reshape(-1, *grid)
    highest = weights.max(axis=(1, 2), keepdims=True)
    return weights / np.where(highest > 0, highest, 1)


def integrated_gradients(
    model: keras.Model,
    images: ArrayLike,
    classes: ArrayLike | None = None,
    baseline: float = 0.0,
    steps: int = 32,
) -> np.ndarray:
    """Compute integrated gradients: the share of each pixel (arXiv 1703.01365).

    It is ``(x - b) · ∫ ∂score(b + t (x - b)) / ∂x dt`` for ``t`` from 0 to 1. The
    shares sum to the difference of the scores of the image ``x`` and a baseline ``b``.

    Args:
        model: any functional classifier of images; its only output is
            ``(batch, classes)``.
        images: a batch of images for ``model``, ``(batch, height, width, channels)``.
        classes: class of each image, or one for all; the predicted ones by default.
        baseline: a value or an image without content; black by default.
        steps: points of the Gauss-Legendre rule for the integral. Increase them if the
            shares do not sum to the difference.

    Returns:
        A float32 array of the images' shape. The scores are logits where ``model`` ends
        in softmax or sigmoid.

    Raises:
        ValueError: if ``model`` is not functional, has several inputs, or there is no
            such class; if it scales images itself and these look scaled to 0-1; or if
            ``steps`` is not a whole number of at least 1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import integrated_gradients
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> images = numpy.full((2, 32, 64, 3), 127)
        >>> integrated_gradients(model, images, classes=3, steps=4).shape
        (2, 32, 64, 3)
    """
    steps = check_count("steps", steps)
    scores = _scores_model(model, {})
    if len(scores.inputs) > 1:
        names = ", ".join(tensor.name for tensor in scores.inputs)
        raise ValueError(
            f"Expected a model of one input, but {model.name!r} has {names}. Give a "
            "model in which the inputs other than the images are constant."
        )
    check_model_images(model, images)
    pixels = keras.ops.cast(images, "float32")
    classes = _choose_classes(scores, pixels, classes)

    def score(pixels):
        return _of_classes(scores(pixels, training=False), classes)

    points, weights = np.polynomial.legendre.leggauss(steps)  # on -1 to 1
    total = keras.ops.zeros_like(pixels)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        between = baseline + point * (pixels - baseline)
        total = total + weight * gradient_of_sum(score, between)
    return keras.ops.convert_to_numpy((pixels - baseline) * total)


class _Offset(keras.layers.Layer):
    """Adds an offset to tokens, whose gradient is that of the tokens."""

    value: Any = None
    tokens: Any = None

    def build(self, shape):
        self.shape = shape

    def call(self, tokens):
        self.tokens = tokens
        return tokens if self.value is None else tokens + self.value

    def compute_output_shape(self, shape):
        return shape


def _scores_model(model, changed):
    """The model with logits as output, and other calls for some layers.

    Args:
        model: a functional model.
        changed: dict from layers, at any depth, to functions of the layer and its
            arguments that replace its call.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"Model {model.name!r} is not functional (or not built), so that its "
            "layers cannot be followed. Give a functional or sequential model."
        )
    last = model
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    return _rebuild(model, {last: _without_activation, **changed})


def _rebuild(model, changed):
    """The model of the same layers, nested ones too, with changed calls."""

    def call(layer, *inputs, **options):
        if isinstance(layer, keras.Model):
            return _rebuild(layer, changed)(*inputs, **options)
        if layer in changed:
            return changed[layer](layer, *inputs, **options)
        return layer(*inputs, **options)

    return rebuild_graph(model, call)


def _without_activation(layer, inputs, **options):
    """Logits, because the gradient of softmax and sigmoid vanishes at high scores."""
    squashing = (keras.activations.softmax, keras.activations.sigmoid)
    if isinstance(layer, keras.layers.Softmax):
        return inputs
    if getattr(layer, "activation", None) not in squashing:
        return layer(inputs, **options)
    if isinstance(layer, keras.layers.Activation):
        return inputs
    linear = layer.from_config({**layer.get_config(), "activation": "linear"})
    outputs = linear(inputs, **options)
    linear.set_weights(layer.get_weights())
    return outputs


def _choose_classes(scores, images, classes):
    """The class of each image, by default the one that the model predicts."""
    if classes is None:
        found = scores(images, training=False)
        classes = np.argmax(keras.ops.convert_to_numpy(found), axis=-1)
    inputs = keras.tree.flatten(images)  # a dict or list where there are several
    classes = np.broadcast_to(classes, len(inputs[0]))
    known = scores.output_shape[-1]
    if not ((classes >= 0) & (classes < known)).all():
        raise ValueError(
            f"Expected classes from 0 to {known - 1}, got {classes.tolist()}"
        )
    return classes


def _of_classes(scores, classes):
    """The score of each image's class."""
    return keras.ops.take_along_axis(scores, classes[:, None], axis=-1)[:, 0]
