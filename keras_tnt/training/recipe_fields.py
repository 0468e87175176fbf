"""The fields of a recipe: which values are valid, and what is expected."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

# Whether a value of these fields is valid, and what is expected; null always is where
# the type allows it. NaN is in no range.
RANGES: dict[tuple[str, ...], tuple[Callable[[Any], bool], str]] = {
    (
        "epochs",
        "batch_size",
        "reference_batch_size",
        "accumulation_steps",
        "steps_per_execution",
        "checkpoint_every",
        "keep_checkpoints",
        "lora_rank",
        "patience",
    ): (lambda value: value >= 1, "at least 1"),
    ("channels",): (lambda value: value in (1, 3), "1 or 3"),
    ("warmup_epochs", "cooldown_epochs"): (lambda value: value >= 0, "at least 0"),
    ("seed",): (lambda value: 0 <= value < 2**32, "from 0 to 2**32 - 1"),
    ("class_weights",): (lambda value: _are_weights(value), "numbers of at least 0"),
    ("image_size",): (lambda value: _is_size(value), "a side or a height and a width"),
    ("label_smoothing", "distillation_alpha"): (
        lambda value: 0 <= value <= 1,
        "from 0 to 1",
    ),
    ("crop_fraction", "layer_decay"): (
        lambda value: 0 < value <= 1,
        "more than 0 and at most 1",
    ),
    ("ema_decay", "target_threshold"): (
        lambda value: 0 <= value < 1,
        "at least 0 and less than 1",
    ),
    ("learning_rate", "clip_norm", "distillation_temperature"): (
        lambda value: 0 < value < math.inf,
        "more than 0 and finite",
    ),
    ("warmup_learning_rate", "final_learning_rate", "weight_decay"): (
        lambda value: 0 <= value < math.inf,
        "at least 0 and finite",
    ),
}
CHOICES = {
    "distillation": ("hard", "soft"),
    "keep": ("last", "best"),
    "loss": ("categorical_crossentropy", "binary_crossentropy"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "schedule": ("step", "epoch"),
    "task": ("classification", "segmentation", "detection"),
}


def _are_weights(values):
    """Whether values are finite numbers of at least 0, one of them more."""
    numbers = all(type(v) in (int, float) and 0 <= v < math.inf for v in values)
    return numbers and sum(values) > 0


def _is_size(value):
    """Whether a value is a side, or a height and a width."""
    sides = value if isinstance(value, tuple) else (value, value)
    return len(sides) == 2 and all(type(s) is int and s >= 1 for s in sides)


def field_types(record_type: type) -> dict[str, type]:
    """Return the types of a record's fields, by name."""
    hints = typing.get_type_hints(record_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(record_type)}


def checked_value(name: str, value: Any, kind: type) -> Any:
    """Return the value of a field of a recipe, with the type of the field.

    Args:
        name: name of the field.
        value: its value, also one from JSON, which has no tuples.
        kind: its type, from `field_types`.

    Raises:
        ValueError: if the value has another type or is out of range.
    """
    value = _of_type(name, value, kind)
    for names, (inside, expected) in RANGES.items():
        if name in names and value is not None and not inside(value):
            raise ValueError(f"{name} must be {expected}, got {value!r}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(
            f"{name} must be one of {', '.join(CHOICES[name])}, got {value!r}."
        )
    return value


def _of_type(name, value, kind):
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if isinstance(value, list) and tuple in kinds:
        value = tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in kinds:
        value = float(value)
    if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
        return value
    expected = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
    raise ValueError(f"{name} must be {expected}, got {value!r}.")


def check_names(record_type: type, names: Iterable[str]) -> None:
    """Check that a record has fields of these names.

    Raises:
        ValueError: if it does not; the message suggests a name.
    """
    known = list(field_types(record_type))
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"Unknown field {name!r} of {record_type.__name__}.{hint} "
                f"Expected one of {', '.join(known)}."
            )
