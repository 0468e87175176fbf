"""Loading weights into a model and writing them for others, all or nothing."""

import pathlib

import keras
import numpy as np

from keras_tnt.structure import patch_grid
from keras_tnt.weights import native, registry
from keras_tnt.weights.architectures import converter_for
from keras_tnt.weights.checks import check_finite, report_kept_head
from keras_tnt.weights.files import read_tensors, write_tensors

UPSTREAM_SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".keras", ".weights.h5")
GRID_KEY = "patch_grid"
HEAD = ("head.weight", "head.bias")


def load_weights(model, source):
    """Loads weights of the published models, or of a Keras file, into a model.

    Everything is checked before the first weight is set: every tensor of the source
    is used once, every weight of the model is set once, shapes agree and all values
    are finite. Three differences are bridged:

    - another image size: the patch positions are resampled (bicubic, antialias), and
      a PyramidTNT's position biases over queries and over keys;
    - another number of classes, or a source without head: the model's head stays as
      it is, and a log message says so;
    - one channel where the source has three: the kernels of the three are summed.

    Args:
        model: a model made by `keras_tnt.TNT`, `keras_tnt.PyramidTNT` or one of their
            sizes, or one that was grown from its input and output.
        source: a path to ``.safetensors``, ``.pth``, ``.pt`` or ``.pth.tar`` (official
            or timm names; PyTorch files need PyTorch), ``.keras`` or ``.weights.h5``;
            or ``"hf://owner/name"`` for ``model.safetensors`` of that Hugging Face
            repository.

    Raises:
        ValueError: for weights that do not fit, naming the first offending tensor;
            the model is left as it was.
        FileNotFoundError: if there is no such file.
        OSError: if a download fails.
        ImportError: for a PyTorch file without PyTorch.

    Example:
        >>> import keras_tnt
        >>> keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...               input_shape=(64, 64, 3)).save_weights("tnt.weights.h5")
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(96, 96, 3))
        >>> keras_tnt.load_weights(model, "tnt.weights.h5")
    """
    family = converter_for(model)
    path = registry.fetch(source)
    if path.name.endswith(KERAS_SUFFIXES):
        native.load_keras_file(model, path, family)
        return
    if not path.name.endswith(UPSTREAM_SUFFIXES):
        raise ValueError(
            f"Cannot tell what {path} is by its name: expected one of "
            f"{', '.join(UPSTREAM_SUFFIXES + KERAS_SUFFIXES)}, or hf://owner/name."
        )
    tensors, metadata = read_tensors(path)
    grid = _parse_grid(metadata.get(GRID_KEY))
    try:
        assign_upstream(model, tensors, grid)
    except ValueError as error:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}. {error}"
        ) from None


def save_upstream_weights(model, path):
    """Writes a model's weights with upstream names and layouts, as safetensors.

    A TNT's have timm's names, a PyramidTNT's the official ones; the published code and
    `keras_tnt.load_weights` read the file, and the round trip is exact. Of a
    PyramidTNT's BatchNorms, PyTorch's counters of batches, which nothing uses, are left
    out.

    Args:
        model: a model made by `keras_tnt.TNT`, `keras_tnt.PyramidTNT` or one of their
            sizes.
        path: the file to write, ``….safetensors``; written to a temporary name and
            moved into place.

    Raises:
        ValueError: if ``path`` has another suffix or ``model`` is of neither kind.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(64, 64, 3))
        >>> keras_tnt.save_upstream_weights(model, "tnt.safetensors")
    """
    converter_for(model)
    if pathlib.Path(path).suffix != ".safetensors":
        raise ValueError(f"The file must end in .safetensors, got {path}.")
    rows, columns = patch_grid(model)
    metadata = {"format": "pt", GRID_KEY: f"{rows}x{columns}"}
    write_tensors(path, to_upstream(model), metadata)


def to_upstream(model):
    """Returns a model's weights as a dict from upstream names to float32 arrays.

    The names are timm's for a TNT, the official ones for a PyramidTNT.
    """
    tensors = {}
    for entry in converter_for(model).entries(model):
        _check_is_float(entry)
        value = np.asarray(entry.variable, "float32")
        tensors.update(zip(entry.names, entry.layout.to_upstream(value), strict=True))
    return tensors


def assign_upstream(model, tensors, grid=None):
    """Sets a model's weights from upstream tensors, or raises and sets none.

    Args:
        model: a TNT or a PyramidTNT.
        tensors: dict from official or timm names to float32 arrays.
        grid: ``(rows, columns)`` of the patch positions in ``tensors``, if known.
    """
    family = converter_for(model)
    tensors = family.standard_names(tensors)
    table = list(family.entries(model))
    _check_assignable(table)
    table = _drop_mismatched_head(model, tensors, table)
    _check_names(table, tensors, family.OPTIONS)
    tensors.update(family.resample(model, tensors, grid))
    _fit_channels(table, tensors, family.FIRST_KERNEL[0])
    _check_shapes(table, tensors)
    check_finite(tensors.items(), "The file")
    values = [
        (
            entry.variable,
            entry.layout.to_keras(*(tensors[name] for name in entry.names)),
        )
        for entry in table
    ]
    for variable, value in values:
        variable.assign(value)


def _check_is_float(entry):
    if keras.backend.is_int_dtype(
        keras.backend.standardize_dtype(entry.variable.dtype)
    ):
        raise ValueError(
            f"The weights of {entry.names[0]!r} are quantized. Load or save upstream "
            "weights first, and quantize after."
        )


def _check_assignable(table):
    for entry in table:
        _check_is_float(entry)
        if not isinstance(entry.variable, keras.Variable):
            raise ValueError(
                f"The weights of {entry.names[0]!r} are adapted by LoRA. Load upstream "
                "weights first, and call enable_lora after."
            )


def _parse_grid(text):
    return tuple(int(side) for side in text.split("x")) if text else None


def _drop_mismatched_head(model, tensors, table):
    """Takes the head out of tensors and table where the two do not belong together."""
    head = [entry for entry in table if entry.names[0] in HEAD]
    classes = model.get_layer("predictions").units if head else None
    found = tensors["head.weight"].shape[0] if "head.weight" in tensors else None
    if classes == found:
        return table
    for name in HEAD:
        tensors.pop(name, None)
    if head:
        report_kept_head(model, classes, found)
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
    kernel = tensors[name]
    (own,) = (entry.variable for entry in table if name in entry.names)
    if own.shape[2] == 1 and kernel.ndim == 4 and kernel.shape[1] == 3:
        tensors[name] = kernel.sum(axis=1, keepdims=True)


def _check_shapes(table, tensors):
    for entry in table:
        for name, shape in zip(entry.names, entry.upstream_shapes(), strict=True):
            if tensors[name].shape != shape:
                raise ValueError(
                    f"First offending tensor: {name!r} has shape "
                    f"{tensors[name].shape}, the model's has {shape}. Build the model "
                    "with the widths, channels and other sizes of the weights."
                )
