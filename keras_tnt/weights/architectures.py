"""The two families of models, each with a table of its upstream weights."""

from keras_tnt.weights import convert_pyramid_tnt, convert_tnt


def converter_for(model):
    """Returns the module that knows a model's upstream weights.

    Raises:
        ValueError: if the model is of neither family.
    """
    names = {layer.name for layer in getattr(model, "layers", ())}
    for family in (convert_tnt, convert_pyramid_tnt):
        if names >= family.LAYERS:
            return family
    raise ValueError(
        "Expected a model made by keras_tnt.TNT, keras_tnt.PyramidTNT or one of their "
        f"sizes, got {getattr(model, 'name', model)!r}. If the TNT is a layer of this "
        "model, give that layer: model.get_layer(NAME)."
    )
