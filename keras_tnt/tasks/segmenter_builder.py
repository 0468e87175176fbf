"""Semantic segmentation with a TNT or PyramidTNT."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from keras_tnt.layers.resize_like import ResizeLike
from keras_tnt.models.functional import Functional
from keras_tnt.structure import find_tnt, stem
from keras_tnt.tasks.feature_pyramid import feature_pyramid
from keras_tnt.tasks.trans2seg import trans2seg
from keras_tnt.tasks.upernet import upernet
from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import DType

HEADS: dict[str, Callable] = {"upernet": upernet, "trans2seg": trans2seg}


def segmenter(
    backbone: keras.Model,
    classes: int,
    head: str = "upernet",
    dim: int = 256,
    blocks: int | Sequence[int] | None = None,
    name: str = "segmenter",
    dtype: DType | None = None,
) -> keras.Model:
    """Build a model from images to a class for every pixel.

    The paper's Table 11 reports Trans2Seg with TNT-S: 43.6 mIoU on ADE20K.

    Args:
        backbone: a TNT or PyramidTNT, of a static or of any image size, or a functional
            model of one input with one among its layers. The segmenter shares its
            layers and weights, and what it does to images first. Its classification
            head is not used.
        classes: number of classes.
        head: ``"upernet"``, pyramid pooling and a feature pyramid (arXiv 1807.10221);
            or ``"trans2seg"``, a transformer decoder of class embeddings (arXiv
            2101.08461).
        dim: channels of the head; for ``"trans2seg"`` a multiple of 32.
        blocks: blocks of a TNT whose maps the head gets, as in
            `keras_tnt.feature_extractor`; by default those after every quarter of the
            blocks, 3, 6, 9 and 12 of twelve, as in the paper's Table 13. A PyramidTNT
            gives the maps of all four stages.
        name: name of the model.
        dtype: dtype policy of the head's layers; that of the backbone by default.

    Returns:
        A functional `keras.Model` from images ``(batch, height, width, channels)``, as
        the backbone takes them, to logits ``(batch, height, width, classes)``, float32
        under every policy. Logits are enlarged to the size of the images, bilinear.

    Raises:
        ValueError: if the backbone has no TNT, more than one, or several inputs; if
            there are no such blocks; or if another argument is out of range.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.tasks import segmenter
        >>> backbone = keras_tnt.TNT(48, 12, depth=4, outer_num_heads=3,
        ...                          input_shape=(32, 64, 3))
        >>> segmenter(backbone, classes=21, dim=32).output_shape
        (None, 32, 64, 21)
    """
    check_counts(classes=classes)
    check_counts(dim=dim)
    if head not in HEADS:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head!r}.")
    pyramid = feature_pyramid(backbone, blocks, dim)
    policy = stem(find_tnt(backbone)).dtype_policy if dtype is None else dtype
    logits = HEADS[head](pyramid, classes, dim, policy)
    logits = ResizeLike(name="logits", dtype="float32")(logits, pyramid.images)
    return Functional(pyramid.images, logits, name=name)
