"""Setting a model's weights from upstream tensors, or from another model's."""

import logging
from collections.abc import Iterable
from types import ModuleType

import keras
import numpy as np

from keras_tnt.structure import architecture, find_tnt, position_grid
from keras_tnt.weights import convert_pyramid_tnt, convert_tnt
from keras_tnt.weights.lora import has_lora, merge_lora
from keras_tnt.weights.mapping import Tensors, check_finite
from keras_tnt.weights.resample import Grid

CONVERTERS = {"tnt": convert_tnt, "pyramid_tnt": convert_pyramid_tnt}
HEAD = ("head.weight", "head.bias")

logger = logging.getLogger("keras_tnt")


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
        saved: a model that is one or has one among its layers, of any image size. Its
            LoRA adapters are added to its kernels.

    Raises:
        ValueError: if the weights do not fit the model; the first one is named.
    """
    if has_lora(saved):
        saved = merge_lora(saved)
    tnt = find_tnt(saved)
    others = _pair_others(model, tnt)
    assign_upstream(model, to_upstream(tnt), position_grid(tnt), others)


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
    for entry in table:
        parts = (np.asarray(tensors[name]) for name in entry.names)
        entry.variable.assign(entry.mapping.to_keras(*parts))
    for variable, value in others:
        variable.assign(value)


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
    kernel = np.asarray(tensors[name])
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
