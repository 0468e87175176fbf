"""The classes of ImageNet-1k."""

import functools
from importlib import resources

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.utils.counts import as_whole_number


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """The classes of ImageNet-1k in index order.

    A name is the first WordNet lemma, with underscores for spaces as in
    `keras.applications`. Two pairs that share theirs are told apart: `crane_bird` and
    `crane_machine`, `maillot` and `tank_suit`. The dog `Cardigan` and the garment
    `cardigan` differ in case only.

    Returns:
        A tuple of 1,000 pairs (WordNet id, name).

    Example:
        >>> from keras_tnt.images import imagenet_classes
        >>> imagenet_classes()[207]
        ('n02099601', 'golden_retriever')
    """
    file = resources.files("keras_tnt.images") / "imagenet_classes.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return tuple((wordnet_id, name) for wordnet_id, name in rows)


def decode_predictions(
    probabilities: ArrayLike, top: int = 5
) -> list[list[tuple[str, str, float]]]:
    """Name the best ImageNet classes of every image.

    Args:
        probabilities: what a model with the 1,000 ImageNet classes predicts, an array
            or tensor (batch, 1000).
        top: how many classes to return for an image.

    Returns:
        For every image a list of `top` tuples (WordNet id, name, score), best first.

    Raises:
        ValueError: for another shape, or `top` outside 1-1000.

    Example:
        >>> import numpy as np
        >>> from keras_tnt.images import decode_predictions
        >>> decode_predictions(np.eye(1000)[[207]], top=1)
        [[('n02099601', 'golden_retriever', 1.0)]]
    """
    scores = keras.ops.convert_to_numpy(probabilities)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "Expected predictions of the 1,000 ImageNet classes, shape (batch, 1000); "
            f"got shape {scores.shape}. For a model with other classes take the labels "
            "it was trained with; one image needs a batch axis."
        )
    if as_whole_number(top) not in range(1, 1001):
        raise ValueError(f"`top` must be from 1 to 1000; got {top!r}.")
    classes = imagenet_classes()
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in best]
        for row, best in zip(scores, order, strict=True)
    ]
