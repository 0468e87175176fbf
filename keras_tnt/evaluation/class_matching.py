"""Which output of a model belongs to which class of a data set."""

import collections
import logging
from collections.abc import Sequence

from keras_tnt.images import imagenet_classes

logger = logging.getLogger(__name__)


def match_classes(model_names: Sequence[str], data_names: Sequence[str]) -> list[int]:
    """Return the index of the model's output for each class of a data set.

    Classes are matched by name, those of ImageNet also by WordNet id. A model without
    class names, whose classes are called `"0"`, `"1"` and so on, is matched by order,
    if it has as many classes.

    Args:
        model_names: names of the model's classes.
        data_names: names of the data set's classes.

    Returns:
        A list with an index for each class of the data set.

    Raises:
        ValueError: if a class of the data set is unknown to the model, or the model has
            it twice.

    Example:
        >>> from keras_tnt.evaluation import match_classes
        >>> match_classes(["ant", "bee", "cat"], ["cat", "ant"])
        [2, 0]
    """
    known = _index_by_name(model_names)
    unknown = [name for name in data_names if name not in known]
    if not unknown:
        _check_unique(model_names, data_names)
        return [known[name] for name in data_names]
    unnamed = list(model_names) == [str(index) for index in range(len(model_names))]
    if unnamed and len(unknown) == len(data_names) == len(model_names):
        logger.warning(
            "The model has no class names: its outputs are matched with the classes of "
            "the data set by order, %s to %s.",
            data_names[0],
            data_names[-1],
        )
        return list(range(len(data_names)))
    raise ValueError(
        f"Dataset classes not known to the model (first of {len(unknown)}): "
        f"{unknown[0]!r}. The data set has {len(data_names)} classes, the model "
        f"{len(model_names)}. Use the classes that the model was trained for."
    )


def default_class_names(classes: int) -> list[str]:
    """Return the names of a model's classes that has none of its own.

    Args:
        classes: number of classes.

    Returns:
        ImageNet's names for 1,000 classes, otherwise `"0"`, `"1"` and so on.

    Example:
        >>> from keras_tnt.evaluation.class_matching import default_class_names
        >>> default_class_names(3)
        ['0', '1', '2']
    """
    if classes == 1000:
        return [name for _, name in imagenet_classes()]
    return [str(index) for index in range(classes)]


def _index_by_name(model_names):
    """The index of each name, and of ImageNet's other name for the same class."""
    indices = {name: index for index, name in enumerate(model_names)}
    ids, names = zip(*imagenet_classes(), strict=True)
    others = dict(zip(ids, names, strict=True))  # an id names one class
    if indices.keys() == set(names):  # not names of other classes
        others |= dict(zip(names, ids, strict=True))
    aliases = {others[name]: i for name, i in indices.items() if name in others}
    return aliases | indices


def _check_unique(model_names, data_names):
    counts = collections.Counter(model_names)
    repeated = [name for name in data_names if counts[name] > 1]
    if repeated:
        raise ValueError(
            f"{counts[repeated[0]]} classes of the model are called {repeated[0]!r}: "
            "it is not known which is the data set's. Give them different names."
        )
