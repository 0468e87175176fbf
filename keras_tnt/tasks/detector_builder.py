"""Object detection with a TNT or PyramidTNT."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_tnt.utils.counts import check_counts
from keras_tnt.utils.typing import DType


def detector(
    backbone: keras.Model,
    classes: int,
    dim: int = 256,
    blocks: int | Sequence[int] | None = None,
    levels: tuple[int, int] = (3, 7),
    convolutions: int = 4,
    max_detections: int = 100,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    name: str = "detector",
    dtype: DType | None = None,
) -> keras.Model:
    """Build KerasHub's RetinaNet (arXiv 1708.02002) on a TNT or PyramidTNT.

    The paper's Table 13 reports Faster R-CNN with TNT-S: 41.5 AP on COCO. KerasHub has
    no Faster R-CNN. The maps are the same, those of blocks 3, 6, 9 and 12.

    `fit` takes the batches of `keras_tnt.data.box_dataset`, after
    ``detector.compile(optimizer)``. `predict` returns detections:

    - ``boxes``: float32 ``(batch, max_detections, 4)``, left, top, right and bottom in
      pixels of the model's input, by falling score; -1 after the last one.
    - ``confidence``: float32 ``(batch, max_detections)``, scores from 0 to 1.
    - ``labels``: int32 ``(batch, max_detections)``, classes.
    - ``num_detections``: int32 ``(batch,)``.

    Args:
        backbone: a TNT or PyramidTNT of a static image size, or a functional model of
            one input with one among its layers. The detector shares its layers and
            weights, and what it does to images first. Its classification head is not
            used.
        classes: number of classes.
        dim: width of the enlarged maps of a TNT. KerasHub's feature pyramid and heads
            have 256 channels.
        blocks: blocks of a TNT whose maps the detector gets, as in
            `keras_tnt.feature_extractor`; by default those after every quarter of the
            blocks. A PyramidTNT gives the maps of all four stages.
        levels: the first and the last level of the feature pyramid. A map of level n
            has the stride 2**n, its anchors have sides of about 4 to 10 strides. The
            first must be a level of the maps, 2 to 5 with patches of 16. The last may
            be above those, if they reach level 5.
        convolutions: number of convolutions in each of the two heads.
        max_detections: largest number of detections of an image.
        score_threshold: lowest score of a detection.
        iou_threshold: overlap (IoU) of two detections of a class from which the one of
            the lower score is left out.
        name: name of the model.
        dtype: dtype policy of the feature pyramid and heads; that of the backbone by
            default.

    Returns:
        A `keras.Model` from images ``(batch, height, width, channels)``, as the
        backbone takes them, to offsets and logits of all anchors, with the methods of
        `keras_hub.models.RetinaNetObjectDetector`.

    Raises:
        ImportError: if KerasHub is not installed.
        ValueError: if the backbone has no TNT, more than one, several inputs or no
            static size; if there are no such blocks or levels; or if another argument
            is out of range.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.tasks import detector
        >>> backbone = keras_tnt.TNT(48, 12, depth=4, outer_num_heads=3,
        ...                          input_shape=(64, 64, 3))
        >>> model = detector(backbone, classes=3, dim=32, levels=(2, 5))
        >>> model.output["cls_logits"].shape
        (None, 3060, 3)
    """
    check_counts(classes=classes)
    check_counts(dim=dim)
    check_counts(max_detections=max_detections)
    check_counts(convolutions=convolutions)
    for threshold, value in (
        ("score_threshold", score_threshold),
        ("iou_threshold", iou_threshold),
    ):
        if not 0 <= value <= 1:
            raise ValueError(f"{threshold} must be from 0 to 1, got {value}.")
    try:
        from keras_tnt.tasks.retinanet import TNTObjectDetector
    except ImportError as error:
        raise ImportError(
            "A detector needs KerasHub, which cannot be imported. Install it: pip "
            'install "keras-tnt[detect]"'
        ) from error
    return TNTObjectDetector(
        backbone,
        classes,
        dim,
        blocks,
        levels,
        convolutions,
        max_detections,
        score_threshold,
        iou_threshold,
        name,
        dtype,
    )
