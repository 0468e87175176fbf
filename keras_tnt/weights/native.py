"""Reading Keras's own weight files, also those of another image size or head."""

import math
import re
import zipfile

import keras

from keras_tnt.layers import TNTBlock, TransformerBlock


def read_model(model, path):
    """Reads a ``.keras`` or ``.weights.h5`` file as a model of its own size.

    Args:
        model: the TNT that the weights are for.
        path: the file, a `pathlib.Path`.

    Returns:
        A `keras.Model` with the weights of the file. For ``.weights.h5``, which holds
        no architecture, it is the given model's, but for image size, channels and
        classes.

    Raises:
        ValueError: if the file is damaged or of another architecture.
    """
    if path.suffix == ".keras":
        return _read_keras(path)
    return _read_h5(model, path)


def same_variables(model, other):
    """Whether two models have the same weights, by path and shape."""
    return [(w.path, w.shape) for w in model.weights] == [
        (w.path, w.shape) for w in other.weights
    ]


def _read_keras(path):
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no whole .keras file: it cannot be opened as a zip."
        )
    stored = keras.saving.load_model(path, compile=False)
    if not any(layer.name == "pixel_embedding" for layer in stored.layers):
        raise ValueError(
            f"{path} holds the model {stored.name!r}, which is no TNT: layer "
            "'pixel_embedding' is missing."
        )
    return stored


def _read_h5(model, path):
    import h5py

    try:
        with h5py.File(path) as file:
            stored = {
                group["vars"].attrs.get("name", key): group
                for key, group in file.get("layers", {}).items()
                if "vars" in group
            }
            _check_blocks(model, stored, path)
            positions = stored["patch_embedding"]["vars/1"].shape[1] - 1
            channels = stored["pixel_embedding"]["projection/vars/0"].shape[2]
            head = stored.get("predictions")
            classes = head["vars/1"].shape[0] if head else None
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} is no whole file of TNT weights: {error}.") from error
    like = _rebuild(model, _image_shape(model, positions, channels, path), classes)
    like.load_weights(path)
    return like


def _check_blocks(model, stored, path):
    """Keras matches blocks by their order: the file must have the same ones."""
    for kind, key in ((TNTBlock, "tnt_block"), (TransformerBlock, "transformer_block")):
        expected = {layer.name for layer in model.layers if isinstance(layer, kind)}
        found = {
            name
            for name, group in stored.items()
            if re.fullmatch(rf"/layers/{key}(_\d+)?", group.name)
        }
        if expected != found:
            raise ValueError(
                f"{path} does not fit the model {model.name!r}. It has a "
                f"{kind.__name__} at {_numbers(found)}, the model at "
                f"{_numbers(expected)}. Build the model with the depth and "
                "inner_blocks that the weights were made with."
            )


def _numbers(names):
    return sorted(int(name.removeprefix("block_")) for name in names) or "no block"


def _image_shape(model, positions, channels, path):
    """The image shape that gives as many patches as the file has positions."""
    embedding = model.get_layer("pixel_embedding")
    _, height, width, _ = embedding.input.shape
    if positions == height * width // embedding.patch_size**2:
        return height, width, channels
    side = math.isqrt(positions)
    if side**2 != positions:
        raise ValueError(
            f"{path} has {positions} patch positions, no square number: the image "
            "size cannot be told. Load it into a model of its own image size first, "
            "and save that as .keras, which records the size."
        )
    return side * embedding.patch_size, side * embedding.patch_size, channels


def _rebuild(model, image_shape, classes):
    """Builds the same architecture for another image size and number of classes."""
    own_shape = model.get_layer("pixel_embedding").input.shape
    config = model.get_config()
    for layer in config["layers"]:
        layer.pop("build_config", None)
        if layer["config"].get("batch_shape") == own_shape:
            layer["config"]["batch_shape"] = (None, *image_shape)
        if layer["name"] == "predictions" and classes:
            layer["config"]["units"] = classes
    return model.__class__.from_config(config)
