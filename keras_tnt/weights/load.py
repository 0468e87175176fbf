"""Loading weights into a model, all or nothing, and writing them for others."""

import contextlib
import logging
import pathlib
import tempfile
from collections.abc import Iterable
from types import ModuleType

import h5py
import keras
import ml_dtypes
import numpy as np

from keras_tnt.compat.model_files import load_keras_file
from keras_tnt.structure import architecture, find_tnt, patch_grid
from keras_tnt.utils.typing import PathLike
from keras_tnt.weights import convert_pyramid_tnt, convert_tnt, registry
from keras_tnt.weights.mapping import Tensors, check_finite
from keras_tnt.weights.resample import Grid
from keras_tnt.weights.tensor_files import read_tensors, write_tensors

UPSTREAM_SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".keras", ".weights.h5")
CONVERTERS = {"tnt": convert_tnt, "pyramid_tnt": convert_pyramid_tnt}
GRID_KEY = "patch_grid"
HEAD = ("head.weight", "head.bias")

logger = logging.getLogger("keras_tnt")


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
    rows, columns = patch_grid(model)
    metadata = {"format": "pt", GRID_KEY: f"{rows}x{columns}"}
    write_tensors(path, to_upstream(model), metadata)


def converter_for(model: keras.Model) -> ModuleType:
    """Return the module that maps a model's weights to upstream tensors.

    Raises:
        ValueError: if the model itself is neither a TNT nor a PyramidTNT.
    """
    names = {layer.name for layer in getattr(model, "layers", ())}
    kind = architecture(model)
    if kind is None or "norm" not in names:
        raise ValueError(
            "Expected a model made by keras_tnt.TNT, keras_tnt.PyramidTNT or one of "
            f"their sizes, got {getattr(model, 'name', model)!r}. If the TNT is a "
            "layer of this model, pass that layer: model.get_layer(NAME)."
        )
    return CONVERTERS[kind]


def to_upstream(model: keras.Model) -> Tensors:
    """Return a model's weights as a dict from upstream names to float32 arrays.

    The names are timm's for a TNT, the official ones for a PyramidTNT.
    """
    tensors: Tensors = {}
    for entry in converter_for(model).entries(model):
        _check_is_float(entry)
        value = np.asarray(entry.variable, "float32")
        tensors.update(zip(entry.names, entry.mapping.to_upstream(value), strict=True))
    return tensors


def transfer_weights(model: keras.Model, saved: keras.Model) -> None:
    """Set a model's weights from those of another one, or raise and set none.

    Args:
        model: a TNT or a PyramidTNT.
        saved: a model that is one or has one among its layers, of any image size.

    Raises:
        ValueError: if the weights do not fit the model; the first one is named.
    """
    tnt = find_tnt(saved)
    others = _pair_others(model, tnt)
    assign_upstream(model, to_upstream(tnt), patch_grid(tnt), others)


def assign_upstream(
    model: keras.Model,
    tensors: Tensors,
    grid: Grid | None = None,
    others: Iterable[tuple[keras.Variable, np.ndarray]] = (),
) -> None:
    """Set a model's weights from upstream tensors, or raise and set none.

    Args:
        model: a TNT or a PyramidTNT.
        tensors: dict from official or timm names to float32 arrays.
        grid: ``(rows, columns)`` of the patch positions in ``tensors``, if known.
        others: more variables to set, with their values.

    Raises:
        ValueError: if the tensors do not fit the model; the first one is named.
    """
    converter = converter_for(model)
    tensors = converter.standard_names(tensors)
    table = list(converter.entries(model))
    _check_assignable(table)
    table = _drop_mismatched_head(model, tensors, table)
    _check_names(table, tensors, converter.OPTIONS)
    tensors.update(converter.resample(model, tensors, grid))
    _fit_channels(table, tensors, converter.FIRST_KERNEL)
    _check_shapes(table, tensors)
    check_finite(tensors.items(), "The file")
    values = [
        (
            entry.variable,
            entry.mapping.to_keras(*(tensors[name] for name in entry.names)),
        )
        for entry in table
    ]
    for variable, value in [*values, *others]:
        variable.assign(value)


def _load_upstream_file(model, path):
    tensors, metadata = read_tensors(path)
    text = metadata.get(GRID_KEY)
    grid = tuple(int(side) for side in text.split("x")) if text else None
    with _naming(path, model):
        assign_upstream(model, tensors, grid)


def _load_keras_file(model, path):
    """Load a model with its architecture, and carry its weights over."""
    try:
        saved = load_keras_file(path)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    with _naming(path, model):
        transfer_weights(model, saved)


def _pair_others(model, saved):
    """Pair the variables of a user's own layers: by path, else by order."""
    own, found = _other_variables(model), _other_variables(saved)
    by_path = {variable.path: variable for variable in found}
    if {variable.path for variable in own} == by_path.keys():
        found = [by_path[variable.path] for variable in own]
    shapes = [[variable.shape for variable in side] for side in (own, found)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Weights only in the model: {_list([v.path for v in own])}; only in the "
            f"file: {_list([v.path for v in found])}. Give the model the layers of the "
            "saved one, or load into keras_tnt's part of it."
        )
    values = [np.asarray(variable, "float32") for variable in found]
    check_finite(zip((v.path for v in found), values, strict=True), "The file")
    return list(zip(own, values, strict=True))


def _other_variables(model):
    """The weights that have no upstream counterpart: those of a user's own layers."""
    mapped = {id(entry.variable) for entry in converter_for(model).entries(model)}
    return [
        variable
        for variable in model.variables
        if id(variable) not in mapped and "seed_generator" not in variable.path
    ]


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


def _check_is_float(entry):
    if keras.backend.is_int_dtype(
        keras.backend.standardize_dtype(entry.variable.dtype)
    ):
        raise ValueError(
            f"The weights of {entry.names[0]!r} are quantized. Load or save upstream "
            "weights before you quantize the model."
        )


def _check_assignable(table):
    for entry in table:
        _check_is_float(entry)
        if not isinstance(entry.variable, keras.Variable):
            raise ValueError(
                f"The weights of {entry.names[0]!r} are adapted by LoRA. Load upstream "
                "weights before you call enable_lora."
            )


def _drop_mismatched_head(model, tensors, table):
    """Remove the head from tensors and table if their classes differ."""
    head = [entry for entry in table if entry.names[0] in HEAD]
    classes = model.get_layer("predictions").units if head else None
    found = tensors["head.weight"].shape[0] if "head.weight" in tensors else None
    if classes == found:
        return table
    for name in HEAD:
        tensors.pop(name, None)
    if head:
        logger.warning(
            "The head of %r (%d classes) keeps its values: the weights come %s.",
            model.name,
            classes,
            f"with {found} classes" if found else "without a head",
        )
    return [entry for entry in table if entry.names[0] not in HEAD]


def _check_names(table, tensors, options):
    expected = [name for entry in table for name in entry.names]
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in set(expected)]
    if missing or unknown:
        raise ValueError(
            f"First offending tensor: {(missing + unknown)[0]!r}. Of the model's "
            f"tensors {len(missing)} are missing in the file: {_list(missing)}; of the "
            f"file's {len(unknown)} are unknown to the model: {_list(unknown)}. Build "
            f"the model with the {options} that the weights were made with."
        )


def _list(names, limit=8):
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join(names[:limit] + more) or "none"


def _fit_channels(table, tensors, name):
    """Adapt the first kernel, of three channels, to the model's number of channels."""
    kernel = tensors[name]
    (own,) = (entry.variable for entry in table if name in entry.names)
    channels = own.shape[2]
    if kernel.ndim != 4 or kernel.shape[1] != 3 or channels == 3:
        return
    if channels == 1:
        tensors[name] = kernel.sum(axis=1, keepdims=True)
    else:
        repeated = kernel[:, np.arange(channels) % 3]
        tensors[name] = repeated * np.float32(3 / channels)


def _check_shapes(table, tensors):
    for entry in table:
        for name, shape in zip(entry.names, entry.upstream_shapes(), strict=True):
            if tensors[name].shape != shape:
                raise ValueError(
                    f"First offending tensor: {name!r} has shape "
                    f"{tensors[name].shape}, the model's has {shape}. Build the model "
                    "with the widths, channels and other sizes of the weights."
                )
