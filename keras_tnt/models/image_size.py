"""The same model on images of another size."""

import keras

from keras_tnt.structure import architecture
from keras_tnt.weights.transfer import transfer_weights


def at_image_size(model: keras.Model, image_size: tuple[int, int]) -> keras.Model:
    """Return a copy of a TNT on images of another size.

    The position embeddings are resampled, as by `keras_tnt.load_weights`.

    Args:
        model: a model made by `keras_tnt.TNT`, `keras_tnt.PyramidTNT` or one of their
            sizes.
        image_size: height and width.

    Returns:
        A functional `keras.Model`; `model` itself if it has that size.

    Raises:
        ValueError: for another kind of model, or a size that it cannot have.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.models.image_size import at_image_size
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=2,
        ...                       input_shape=(32, 32, 3))
        >>> at_image_size(model, (48, 64)).input_shape
        (None, 48, 64, 3)
    """
    height, width = image_size
    if model.input_shape[1:3] == (height, width):
        return model
    if not isinstance(model, keras.Model) or architecture(model) is None:
        raise ValueError(
            f"This model takes images of size {tuple(model.input_shape[1:3])} only. "
            "Another size needs a Keras model made by keras_tnt.TNT, "
            "keras_tnt.PyramidTNT or one of their sizes."
        )
    images = keras.Input((height, width, model.input_shape[-1]), name="images")
    resized = keras.models.clone_model(model, input_tensors=images, call_function=_call)
    transfer_weights(resized, model)
    return resized


def _call(layer, *args, **kwargs):
    """Call a layer; the one that keeps the first of all tokens knows their number."""
    if layer.name == "first_token":
        others = (0, args[0].shape[1] - 1)
        layer = layer.from_config(layer.get_config() | {"cropping": others})
    return layer(*args, **kwargs)
