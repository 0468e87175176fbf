"""The precision of a Keras model, and copies that compute in another."""

import keras

HALF = ("float16", "bfloat16")


def precision_of(model: keras.Model) -> str:
    """What a model computes in, but for what always stays in float32.

    Args:
        model: a `keras.Model`.

    Returns:
        ``"int8"`` if it is quantized, ``"float16"`` or ``"bfloat16"`` if layers of it
        compute in that, else ``"float32"``.
    """
    if any(weight.dtype == "int8" for weight in model.weights):
        return "int8"
    computed = {layer.compute_dtype for layer in model.layers}
    return next((dtype for dtype in HALF if dtype in computed), "float32")


def with_policy(model: keras.Model, policy: str) -> keras.Model:
    """Copies a model with other dtypes; what scales the pixels and the head stay.

    Args:
        model: a functional model, not quantized.
        policy: ``"float32"`` or ``"float16"``: both weights and arithmetic. Layer
            normalization and the answer are computed in float32 all the same.

    Returns:
        A model of its own with the same weights, as far as the precision goes.
    """
    kept = model.layers[-1].name

    def copy(layer):
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Rescaling) and layer.name != kept:
            config["dtype"] = policy
        return type(layer).from_config(config)

    copied = keras.models.clone_model(model, clone_function=copy)
    copied.set_weights(model.get_weights())
    return copied


def in_int8(model: keras.Model) -> keras.Model:
    """Copies a model with int8 weights in all Dense layers but the head.

    What goes into these layers is rounded to 8 bits too, with the scale of each row.

    Args:
        model: a functional model in float32.

    Returns:
        A model of its own.
    """
    copied = with_policy(model, "float32")
    head = copied.layers[-1]
    copied.quantize(
        "int8",
        filters=lambda layer: (
            isinstance(layer, keras.layers.Dense) and layer is not head
        ),
    )
    return copied
