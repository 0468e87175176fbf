"""Loading weights into a TNT and writing them for others, all or nothing."""

import pathlib

import keras
import numpy as np

from keras_tnt.weights import native, registry, upstream
from keras_tnt.weights.checks import (
    check_finite,
    fit_positions,
    patch_grid,
    report_kept_head,
)
from keras_tnt.weights.files import read_tensors, write_tensors

UPSTREAM_SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".keras", ".weights.h5")
GRID = "patch_grid"


def load_weights(model, source):
    """Loads weights of the published models, or of a Keras file, into a TNT.

    Everything is checked before the first weight is set: every tensor of the source
    is used once, every weight of the model is set once, shapes agree and all values
    are finite. Three differences are bridged:

    - another image size: the patch positions are resampled (bicubic, antialias);
    - another number of classes, or a source without head: the model's head stays as
      it is, and a log message says so;
    - one channel where the source has three: the kernels of the three are summed.

    Args:
        model: a model made by `keras_tnt.TNT` or one of its sizes, or one that was
            grown from its input and output.
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
    _check_is_tnt(model)
    path = registry.fetch(source)
    if path.name.endswith(KERAS_SUFFIXES):
        native.load_keras_file(model, path)
        return
    if not path.name.endswith(UPSTREAM_SUFFIXES):
        raise ValueError(
            f"Cannot tell what {path} is by its name: expected one of "
            f"{', '.join(UPSTREAM_SUFFIXES + KERAS_SUFFIXES)}, or hf://owner/name."
        )
    tensors, metadata = read_tensors(path)
    grid = _parse_grid(metadata.get(GRID))
    try:
        assign_upstream(model, tensors, grid)
    except ValueError as error:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}. {error}"
        ) from None


def save_upstream_weights(model, path):
    """Writes a TNT's weights with timm's names and layouts, as safetensors.

    timm and `keras_tnt.load_weights` read the file; the round trip is exact.

    Args:
        model: a model made by `keras_tnt.TNT` or one of its sizes.
        path: the file to write, ``….safetensors``; written to a temporary name and
            moved into place.

    Raises:
        ValueError: if ``path`` has another suffix or ``model`` is no TNT.

    Example:
        >>> import keras_tnt
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(64, 64, 3))
        >>> keras_tnt.save_upstream_weights(model, "tnt.safetensors")
    """
    _check_is_tnt(model)
    if pathlib.Path(path).suffix != ".safetensors":
        raise ValueError(f"The file must end in .safetensors, got {path}.")
    rows, columns = patch_grid(model)
    metadata = {"format": "pt", GRID: f"{rows}x{columns}"}
    write_tensors(path, to_upstream(model), metadata)


def to_upstream(model):
    """Returns a TNT's weights as a dict from timm names to float32 arrays."""
    tensors = {}
    for entry in upstream.entries(model):
        _check_is_float(entry)
        value = np.asarray(entry.variable, "float32")
        tensors.update(zip(entry.names, entry.layout.to_upstream(value), strict=True))
    return tensors


def assign_upstream(model, tensors, grid=None):
    """Sets a TNT's weights from upstream tensors, or raises and sets none.

    Args:
        model: a TNT.
        tensors: dict from official or timm names to float32 arrays.
        grid: ``(rows, columns)`` of the patch positions in ``tensors``, if known.
    """
    tensors = upstream.to_timm_names(tensors)
    table = list(upstream.entries(model))
    _check_assignable(table)
    table = _without_foreign_head(model, tensors, table)
    _check_names(table, tensors)
    tensors["patch_pos"] = fit_positions(model, tensors["patch_pos"], grid, "patch_pos")
    _fit_channels(model, tensors)
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


def _check_is_tnt(model):
    names = {layer.name for layer in getattr(model, "layers", ())}
    if not {"pixel_embedding", "patch_embedding", "norm"} <= names:
        raise ValueError(
            "Expected a model made by keras_tnt.TNT or one of its sizes, got "
            f"{getattr(model, 'name', model)!r}. If the TNT is a layer of this model, "
            "give that layer: model.get_layer(NAME)."
        )


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


def _without_foreign_head(model, tensors, table):
    """Takes the head out of tensors and table where the two do not belong together."""
    head = [entry for entry in table if entry.names[0] in upstream.HEAD]
    classes = model.get_layer("predictions").units if head else None
    found = tensors["head.weight"].shape[0] if "head.weight" in tensors else None
    if classes == found:
        return table
    for name in upstream.HEAD:
        tensors.pop(name, None)
    if head:
        report_kept_head(model, classes, found)
    return [entry for entry in table if entry.names[0] not in upstream.HEAD]


def _check_names(table, tensors):
    expected = [name for entry in table for name in entry.names]
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in set(expected)]
    if missing or unknown:
        raise ValueError(
            f"First offending tensor: {(missing + unknown)[0]!r}. Of the model's "
            f"tensors {len(missing)} are missing in the file: {_list(missing)}; of the "
            f"file's {len(unknown)} are unknown to the model: {_list(unknown)}. Build "
            "the model with the depth, inner_blocks, qkv_bias and se_ratio that the "
            "weights were made with."
        )


def _list(names, limit=8):
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join(names[:limit] + more) or "none"


def _fit_channels(model, tensors):
    kernel = tensors["pixel_embed.proj.weight"]
    channels = model.get_layer("pixel_embedding").projection.kernel.shape[2]
    if channels == 1 and kernel.ndim == 4 and kernel.shape[1] == 3:
        tensors["pixel_embed.proj.weight"] = kernel.sum(axis=1, keepdims=True)


def _check_shapes(table, tensors):
    for entry in table:
        for name, shape in zip(entry.names, entry.upstream_shapes(), strict=True):
            if tensors[name].shape != shape:
                raise ValueError(
                    f"First offending tensor: {name!r} has shape "
                    f"{tensors[name].shape}, the model's has {shape}. Build the model "
                    "with the widths, patch_size, inner_stride and channels of the "
                    "weights."
                )
