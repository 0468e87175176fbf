"""Loading weights into a model, all or nothing, and writing them for others."""

import contextlib
import pathlib
import tempfile

import h5py
import keras
import ml_dtypes

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.structure import position_grid
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights import registry
from keras_tnt.weights.mapping import check_finite
from keras_tnt.weights.tensor_files import (
    GRID_KEY,
    read_tensors,
    recorded_grid,
    write_tensors,
)
from keras_tnt.weights.transfer import (
    assign_upstream,
    converter_for,
    to_upstream,
    transfer_weights,
)

UPSTREAM_SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".keras", ".weights.h5")


def load_weights(model: keras.Model, source: PathLike) -> None:
    """Load weights of the published models, or of a Keras file, into a model.

    Everything is checked before the first weight is set: every tensor of the source
    is used once, every weight of the model is set once, shapes agree and all values
    are finite. Three differences are bridged, except from a ``.weights.h5`` file,
    which does not record its architecture:

    - another image size: the patch positions are resampled (bicubic, antialias), and
      a PyramidTNT's position biases over queries and over keys;
    - another number of classes, or a source without head: the model's head keeps its
      values, and a log message says so;
    - another number of channels where the source has three, as in timm: one channel
      gets the sum of their kernels; n channels get them repeated, R, G, B, R, …, and
      multiplied by 3/n.

    Args:
        model: a model made by `keras_tnt.TNT`, `keras_tnt.PyramidTNT` or one of their
            sizes, or one that was extended from its input and output.
        source: a path to ``.safetensors``, ``.pth``, ``.pt`` or ``.pth.tar`` (official
            or timm names; PyTorch files need PyTorch), ``.keras`` or ``.weights.h5``;
            or ``"hf://owner/name"`` for ``model.safetensors`` of that Hugging Face
            repository.

    Raises:
        ValueError: if the weights do not fit; the first offending tensor is named,
            and the model is left as it was.
        FileNotFoundError: if there is no such file.
        OSError: if a download fails.
        ImportError: for a PyTorch file without PyTorch.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...               input_shape=(64, 64, 3)).save("tnt.keras")
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(96, 96, 3))
        >>> keras_tnt.load_weights(model, "tnt.keras")
    """
    converter_for(model)
    path = registry.fetch(source)
    if path.name.endswith(".keras"):
        load = _load_keras_file
    elif path.name.endswith(".weights.h5"):
        load = _load_weights_file
    elif path.name.endswith(UPSTREAM_SUFFIXES):
        load = _load_upstream_file
    else:
        raise ValueError(
            f"Unknown kind of weight file: {path}. Expected a name that ends in one of "
            f"{', '.join(UPSTREAM_SUFFIXES + KERAS_SUFFIXES)}, or hf://owner/name."
        )
    load(model, path)


def save_upstream_weights(model: keras.Model, path: PathLike) -> None:
    """Write a model's weights with upstream names and layouts, as safetensors.

    A TNT's tensors have timm's names, a PyramidTNT's the official ones. The published
    code and `keras_tnt.load_weights` read the file, and the round trip is exact.
    PyTorch's counters of BatchNorm batches, which nothing uses, are left out.

    Args:
        model: a model made by `keras_tnt.TNT`, `keras_tnt.PyramidTNT` or one of their
            sizes.
        path: the file to write, ``….safetensors``. It is written to a temporary name
            and moved into place.

    Raises:
        ValueError: if ``path`` has another suffix or ``model`` is not a TNT.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(64, 64, 3))
        >>> keras_tnt.save_upstream_weights(model, "tnt.safetensors")
    """
    converter_for(model)
    if pathlib.Path(path).suffix != ".safetensors":
        raise ValueError(f"The file name must end in .safetensors, got {path}.")
    rows, columns = position_grid(model)
    metadata = {"format": "pt", GRID_KEY: f"{rows}x{columns}"}
    write_tensors(path, to_upstream(model), metadata)


def _load_upstream_file(model, path):
    tensors, metadata = read_tensors(path)
    with _naming(path, model):
        assign_upstream(model, tensors, recorded_grid(metadata))


def _load_keras_file(model, path):
    """Load a model with its architecture, and carry its weights over."""
    try:
        saved = load_keras_file(path)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    with _naming(path, model):
        transfer_weights(model, saved)


def _load_weights_file(model, path):
    """Load a file of weights without architecture: everything must be equal.

    The optimizer in the file is ignored, and the model's own is kept.
    """
    with tempfile.TemporaryDirectory() as directory:
        own_path = pathlib.Path(directory) / "own.weights.h5"
        model.save_weights(own_path)
        own, found = _read_layers(own_path, model), _read_layers(path, model)
        _check_equal(path, model, own, found)
        with h5py.File(own_path, "r+") as file:
            for name, value in found.items():
                if not isinstance(value, str):
                    is_raw = file[name].dtype.kind == "V"
                    value = value.astype(ml_dtypes.bfloat16 if is_raw else "float32")
                    file[name][...] = value.view(file[name].dtype) if is_raw else value
        model.load_weights(own_path)


def _read_layers(path, model):
    """The tensors of a weight file by path, and the names of its TNT layers."""
    ours = {
        layer.name
        for layer in model.layers
        if type(layer).__module__.startswith("keras_tnt.")
    }
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            if value.dtype.kind == "V":  # how Keras stores bfloat16
                value = value.view(ml_dtypes.bfloat16).astype("float32")
            found[f"layers/{name}"] = value
        elif item.attrs.get("name") in ours:
            found[f"name of layers/{name}"] = item.attrs["name"]

    try:
        with h5py.File(path) as file:
            if "layers" in file:
                file["layers"].visititems(visit)
    except OSError as error:
        raise ValueError(f"{path} is not a complete HDF5 file: {error}.") from error
    return found


def _check_equal(path, model, own, found):
    def describe(values, name):
        value = values.get(name, "missing")
        return value if isinstance(value, str) else value.shape

    for name in own | found:
        if describe(own, name) != describe(found, name):
            raise ValueError(
                f"{path} does not fit the model {model.name!r}. First difference: "
                f"{name!r} is {describe(found, name)} in the file, "
                f"{describe(own, name)} in the model. A .weights.h5 file fits only a "
                "model of equal options, image size and classes; save as .keras to "
                "load into another model."
            )
    tensors = {name: v for name, v in found.items() if not isinstance(v, str)}
    check_finite(tensors.items(), str(path))


@contextlib.contextmanager
def _naming(path, model):
    """Name file and model in the error of weights that do not fit."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}. {error}"
        ) from None
