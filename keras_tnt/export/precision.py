"""The precision of a Keras model, and copies in another precision."""

import keras

HALF = ("float16", "bfloat16")


def precision_of(model: keras.Model) -> str:
    """Return the precision of a model, apart from layers that are always float32.

    Args:
        model: a `keras.Model`.

    Returns:
        ``"int8"`` if it is quantized, ``"float16"`` or ``"bfloat16"`` if any of its
        layers computes in that, otherwise ``"float32"``.
    """
    if any(weight.dtype == "int8" for weight in model.weights):
        return "int8"
    computed = {layer.compute_dtype for layer in model.layers}
    return next((dtype for dtype in HALF if dtype in computed), "float32")


def with_policy(model: keras.Model, policy: str) -> keras.Model:
    """Copy a model with another dtype policy, except for rescaling and head.

    Args:
        model: a functional model, not quantized.
        policy: ``"float32"`` or ``"float16"``, of weights and arithmetic. Layer
            normalization and the head compute in float32 under both.

    Returns:
        A new model with the same weights, rounded to the precision.
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
    """Copy a model with int8 weights in all Dense layers except the head.

    The inputs of these layers are rounded to 8 bits too, with a scale for each row.

    Args:
        model: a functional model in float32.

    Returns:
        A new model.
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
