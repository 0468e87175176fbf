"""Base class of the composite layers: sublayers and their configuration."""

from typing import Any

import keras
from keras import ops

from keras_tnt.compat import keras_layers, sublayer_state
from keras_tnt.compat.checkpoint_dependencies import VisibleSublayers
from keras_tnt.layers.dropout import Dropout
from keras_tnt.layers.initializers import convolution_initializer, normal_initializer
from keras_tnt.layers.layer_norm import LayerNorm
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import Shape, Tensor


class TNTLayer(VisibleSublayers, keras_layers.WeightStates):
    """A layer composed of Keras layers that share its dtype policy.

    The config also stores what differs in sublayers: whether they and their weights are
    trainable, LoRA adapters, and the dtype policy of quantized ones. Keras drops all of
    it, which breaks reloading of adapted, quantized and partly frozen models.

    Args:
        sublayers: what differs in the sublayers, as in the config.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`, and
            ``frozen_weights`` or ``trained_weights``, as in the config.
    """

    # Whether the outputs, attention scores aside, have the shapes of the inputs. With
    # ``num_queries``, the last output has as many tokens.
    keeps_shapes = False

    def __init__(
        self,
        *,
        sublayers: dict[str, dict[str, Any]] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Until `build`, some sublayers do not exist.
        self._sublayer_states = sublayers or {}

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shapes of the outputs for shapes of the inputs, as for `build`."""
        named = {
            name.removesuffix("_shape"): keras.KerasTensor(shape, self.compute_dtype)
            for name, shape in kwargs.items()
        }
        specs = [keras.KerasTensor(shape, self.compute_dtype) for shape in args]
        outputs = self.compute_output_spec(*specs, **named)
        return keras.tree.map_structure(lambda output: tuple(output.shape), outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the Keras tensors of the outputs, for tensors or arrays.

        They follow from the call, whose outputs depend on ``return_attention_scores``.
        Blocks keep the shapes: tracing their calls would double the time that it takes
        to build a model.
        """
        args, kwargs = keras.tree.map_structure(self._as_input, (args, kwargs))
        scores = kwargs.get("return_attention_scores")
        if self.keeps_shapes and not scores and self._is_built_for(args):
            *others, last = args
            num_queries = kwargs.get("num_queries")
            if num_queries is not None:
                shape = (last.shape[0], num_queries, *last.shape[2:])
                last = keras.KerasTensor(shape, last.dtype)
            return (*others, last) if others else last
        if self.built:
            return keras.Operation.compute_output_spec(self, *args, **kwargs)
        return type(self).from_config(self.get_config())(*args, **kwargs)

    def _is_built_for(self, args):
        """Whether the arguments are just the inputs that the layer was built for."""
        config = self.get_build_config() or {}
        shapes = config.get("shapes_dict", config).values()
        return all(isinstance(each, keras.KerasTensor) for each in args) and (
            [tuple(each.shape[1:]) for each in args]
            == [tuple(shape[1:]) for shape in shapes]
        )

    def _as_input(self, value):
        """The Keras tensor that `call` gets for an input."""
        if not hasattr(value, "shape"):
            return value
        dtype = keras.backend.standardize_dtype(value.dtype)
        if self.autocast and keras.backend.is_float_dtype(dtype):
            dtype = self.compute_dtype
        return keras.KerasTensor(tuple(value.shape), dtype)

    def get_config(self) -> dict[str, Any]:
        states = sublayer_state.sublayer_states(self)
        if not self.built:
            states = {**self._sublayer_states, **states}
        config = super().get_config()
        return {**config, "sublayers": states} if states else config

    def _sublayer(self, name):
        """Return the arguments that every sublayer has: name, policy and trainable."""
        policy = self.dtype_policy
        if self.path and isinstance(policy, keras.dtype_policies.DTypePolicyMap):
            # Keras can neither save nor quantize a Dense that has a map.
            policy = policy[f"{self.path}/{name}"]
        return sublayer_state.sublayer_arguments(
            name, self._sublayer_states, self.trainable, policy
        )

    def _dense(self, units, name, **arguments):
        return keras_layers.Dense(
            units,
            kernel_initializer=normal_initializer(),
            **self._sublayer(name),
            **arguments,
        )

    def _norm(self, name, axis=-1):
        return LayerNorm(axis=axis, **self._sublayer(name))

    def _convolution(self, dim, name, strides=1):
        """Create a 3x3 convolution for inputs that `pad_image` padded."""
        return keras_layers.Conv2D(
            dim,
            3,
            strides=strides,
            padding="valid",
            data_format="channels_last",
            kernel_initializer=convolution_initializer(),
            **self._sublayer(name),
        )

    def _dropout(self, rate, name, noise_shape=None):
        return Dropout(rate, noise_shape, **self._sublayer(name))


def check_image_shape(layer: keras.layers.Layer, shape: Shape) -> None:
    """Check that a layer's input shape is that of images of static size.

    Raises:
        ValueError: if it is another shape.
    """
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            f"{layer.name}: expected images (batch, height, width, channels) of static "
            f"size, got shape {tuple(shape)}. Give the input a fixed height, width and "
            "number of channels."
        )


def fix_image_shape(layer: keras.layers.Layer, images: Tensor, shape: Shape) -> Tensor:
    """Give images of unknown size or channels the shape that a layer was built with.

    Data sets may leave the shape open, as ``tf.TensorSpec((None, None, 3))`` and
    `tf.io.decode_jpeg` without channels do.

    Args:
        layer: the layer, to name in the error.
        images: tensor ``(batch, height, width, channels)``, any of them not static.
        shape: static shape of the images, batch included.

    Returns:
        The same images, of static height, width and channels. When the graph runs,
        TensorFlow raises an `InvalidArgumentError` for images of another shape.
    """
    has_rank = getattr(images.shape, "rank", 4) is not None
    if has_rank and None not in images.shape[1:]:
        return images
    return tf.ensure_shape(images, (None, *shape[1:]), f"{layer.name}_images")


def sizes(x: Tensor) -> tuple[Any, ...]:
    """Return the sizes of a tensor's axes without the batch's.

    They are numbers if all are static, and no operation is added to a graph then.
    Otherwise those that are not static are int32 scalars.

    Args:
        x: tensor ``(batch, …)``.
    """
    static = x.shape[1:]
    return tuple(ops.shape(x)[1:] if None in static else static)


def count_patches(side: Any, patch_size: int) -> Any:
    """Return the number of patches in a side of an image; a part of one counts as one.

    Args:
        side: height or width in pixels, a number or an int32 scalar.
        patch_size: side of a patch in pixels.
    """
    # ONNX divides negative numbers otherwise than Python.
    return (side + patch_size - 1) // patch_size


def pad_image(images: Tensor, margin: int = 1) -> Tensor:
    """Pad height and width with zeros on all sides, as PyTorch's convolutions do.

    With stride 2, Keras's ``padding="same"`` pads the bottom and the right only.

    Args:
        images: tensor ``(batch, height, width, channels)``.
        margin: rows and columns of zeros on each side.

    Returns:
        A tensor ``(batch, height + 2 · margin, width + 2 · margin, channels)``.
    """
    return ops.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
