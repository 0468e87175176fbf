"""Loading Keras's own weight files, also those of another image size or head.

Keras pairs the layers of a model and of a file by class and order, and wants equal
shapes. Here they are paired by name first, so that no block gets another's weights, and
what may differ is fitted; the result is written in the model's own layout, which Keras
then loads.
"""

import json
import pathlib
import tempfile
import zipfile

import ml_dtypes

from keras_tnt.layers import PyramidStem
from keras_tnt.weights.checks import check_finite, report_kept_head

# Where Keras keeps the head's bias: layer, and place within it.
HEAD_BIAS = ("predictions", "vars/1")


def load_keras_file(model, path, family):
    """Loads a ``.keras`` or ``.weights.h5`` file into a model, or raises.

    Args:
        model: a TNT or PyramidTNT, or a model grown from one.
        path: the file, a `pathlib.Path`.
        family: the module that knows the model's weights.

    Raises:
        ValueError: if the file is damaged or does not fit; the model is left as it
            was.
    """
    import h5py

    with tempfile.TemporaryDirectory() as directory:
        weights_path, grid = path, None
        if path.suffix == ".keras":
            weights_path, grid = _unpack(path, directory)
        try:
            with h5py.File(weights_path) as file:
                stored = _read_layers(file)
        except OSError as error:
            raise ValueError(f"{path} is no whole HDF5 file: {error}.") from error
        own_path = pathlib.Path(directory) / "own.weights.h5"
        model.save_weights(own_path)
        with h5py.File(own_path, "r+") as file:
            own = _read_layers(file)
            pairs = _pair(own, stored)
            try:
                _check_family(stored, family)
                _fit_sizes(model, own, stored, grid, family)
                _fit_head(model, own, stored, pairs)
                _check(own, stored, pairs, family.OPTIONS)
            except ValueError as error:
                raise ValueError(
                    f"{path} does not fit the model {model.name!r}. {error}"
                ) from None
            for name, source in pairs.items():
                group = file[own[name]["group"]]
                for key, value in stored[source]["tensors"].items():
                    _write(group[key], value)
        model.load_weights(own_path)


def _unpack(path, directory):
    """Takes the weights and the grid of patches out of a ``.keras`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extract("model.weights.h5", directory)
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no whole .keras file: {error}.") from error
    return pathlib.Path(directory) / "model.weights.h5", _recorded_grid(config)


def _recorded_grid(config):
    for layer in config.get("config", {}).get("layers", ()):
        name = layer.get("registered_name")
        if name in ("keras_tnt>PixelEmbedding", "keras_tnt>PyramidStem"):
            _, height, width, _ = layer["build_config"]["input_shape"]
            patch_size = layer["config"].get("patch_size", PyramidStem.patch_size)
            return height // patch_size, width // patch_size
    return None


def _read_layers(file):
    """Reads the layers that have weights: by name, their group and their tensors."""
    layers = {}
    for key, group in file.get("layers", {}).items():
        tensors = {}
        group.visititems(
            lambda name, item, tensors=tensors: (
                tensors.update({name: _read(item)}) if hasattr(item, "shape") else None
            )
        )
        if tensors:
            name = group["vars"].attrs.get("name", key)
            layers[name] = {"group": f"layers/{key}", "tensors": tensors}
    return layers


def _read(dataset):
    """Reads a tensor; HDF5 knows no bfloat16, which Keras keeps as raw bytes."""
    value = dataset[()]
    return value.view(ml_dtypes.bfloat16) if value.dtype.kind == "V" else value


def _write(dataset, value):
    raw = dataset.dtype.kind == "V"
    value = value.astype(ml_dtypes.bfloat16 if raw else dataset.dtype)
    dataset[...] = value.view(dataset.dtype)


def _pair(own, stored):
    """Pairs the model's layers with the file's: by name, then as Keras does.

    The second is for layers that a user let Keras name: their numbers change from
    process to process.
    """
    pairs = {name: name for name in own if name in stored}
    left = {stored[name]["group"]: name for name in stored if name not in pairs}
    for name in own:
        source = left.get(own[name]["group"])
        if name not in pairs and source and "predictions" not in (name, source):
            pairs[name] = source
    return pairs


def _check_family(stored, family):
    missing = sorted(family.LAYERS - set(stored))
    if missing:
        raise ValueError(
            f"It holds no {family.NAME}: layers {', '.join(missing)} are missing. Use "
            "the weights of one."
        )


def _fit_sizes(model, own, stored, grid, family):
    """Fits positions and channels of the file to the model."""
    places = family.SIZED
    sized = {
        name: stored[layer]["tensors"][key] for name, (layer, key) in places.items()
    }
    for name, value in family.resample(model, sized, grid).items():
        layer, key = places[name]
        stored[layer]["tensors"][key] = value
    _, (layer, key) = family.FIRST_KERNEL
    tensors = stored[layer]["tensors"]
    if own[layer]["tensors"][key].shape[2] == 1 and tensors[key].shape[2] == 3:
        tensors[key] = tensors[key].sum(axis=2, keepdims=True)


def _fit_head(model, own, stored, pairs):
    """Leaves out the head of a file with another number of classes, or none."""
    layer, key = HEAD_BIAS
    classes = [
        len(layers[layer]["tensors"][key]) if layer in layers else None
        for layers in (own, stored)
    ]
    if classes[0] != classes[1]:
        pairs.pop(layer, None)
        stored.pop(layer, None)
        if own.pop(layer, None):
            report_kept_head(model, *classes)


def _check(own, stored, pairs, options):
    """Every weight of the file and of the model is in one pair, of the same shape."""
    used = set(pairs.values())
    missing = [name for name in own if name not in pairs]
    unknown = [name for name in stored if name not in used]
    if missing or unknown:
        raise ValueError(
            f"Layers only in the model: {missing or 'none'}, only in the file: "
            f"{unknown or 'none'}. Build the model with the {options} that the "
            "weights were made with."
        )
    for name, source in pairs.items():
        shapes, found = (
            {f"{layer}/{key}": value.shape for key, value in tensors.items()}
            for layer, tensors in (
                (name, own[name]["tensors"]),
                (name, stored[source]["tensors"]),
            )
        )
        if shapes != found:
            first = min(dict(shapes.items() ^ found.items()))
            raise ValueError(
                f"First offending tensor: {first!r} has shape {found.get(first)} in "
                f"the file, {shapes.get(first)} in the model. Build the model with the "
                f"widths, {options} of the weights."
            )
        tensors = stored[source]["tensors"]
        check_finite(((f"{source}/{key}", tensors[key]) for key in tensors), "The file")
