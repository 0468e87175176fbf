"""What all builders share: the image at one end, the head at the other."""

import keras

from keras_tnt.layers.initializers import normal_initializer
from keras_tnt.weights import load_weights


def check_channels_last():
    """Raises a `ValueError` if Keras is set to channels-first images."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_tnt works on channels-last images, and image_data_format is "
            f"{keras.config.image_data_format()!r}. Call "
            'keras.config.set_image_data_format("channels_last") before.'
        )


def check_widths(outer_dim, inner_dim, outer_num_heads, inner_num_heads):
    """Raises a `ValueError` if heads do not divide their width."""
    for side, dim, heads in (
        ("outer", outer_dim, outer_num_heads),
        ("inner", inner_dim, inner_num_heads),
    ):
        if dim < 1 or heads < 1 or dim % heads:
            raise ValueError(
                f"{side}_dim must be a positive multiple of {side}_num_heads, got "
                f"{side}_dim={dim} and {side}_num_heads={heads}."
            )


def check_pooling(pooling, poolings):
    """Raises a `ValueError` if there is no such pooling."""
    if pooling not in poolings:
        raise ValueError(f"pooling must be one of {poolings}, got {pooling!r}.")


def image_input(input_tensor, input_shape, default_shape):
    """Returns the model's input, a Keras tensor ``(batch, height, width, channels)``.

    Args:
        input_tensor: a Keras tensor to use, or ``None``.
        input_shape: shape beyond the batch, or ``None``.
        default_shape: the shape with neither.

    Raises:
        ValueError: if the two disagree, or ``input_tensor`` is no Keras tensor.
    """
    if input_tensor is None:
        return keras.Input(input_shape or default_shape, name="images")
    if not keras.utils.is_keras_tensor(input_tensor):
        raise ValueError(
            "input_tensor must be a Keras tensor, such as keras.Input gives, got "
            f"{type(input_tensor).__name__}. To run a model on values, call it."
        )
    shape = tuple(input_tensor.shape[1:])
    if input_shape and shape != tuple(input_shape):
        raise ValueError(
            f"input_tensor has shape {shape} beyond the batch, input_shape says "
            f"{tuple(input_shape)}. Leave input_shape out, or make them agree."
        )
    return input_tensor


def rescale(images):
    """Scales pixel values 0-255, uint8 or float, to ±1."""
    return keras.layers.Rescaling(
        1 / 127.5, offset=-1.0, name="rescaling", dtype="float32"
    )(images)


def classification_head(features, classes, activation):
    """Returns class probabilities (or logits) of vectors, in float32."""
    return keras.layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=normal_initializer(),
        name="predictions",
        dtype="float32",
    )(features)


def build_model(images, outputs, name, weights):
    """Returns the model from what ``images`` were made of, with its weights loaded."""
    sources = keras.utils.get_source_inputs(images)
    model = keras.Model(
        sources[0] if len(sources) == 1 else sources, outputs, name=name
    )
    if weights is not None:
        load_weights(model, weights)
    return model
