"""What an evaluation of a detector found: average precision as on COCO."""

import contextlib
import dataclasses
import io
from collections.abc import Sequence

import numpy as np

BOX_COLUMNS = ("left", "top", "right", "bottom", "class index")
TRUTH_COLUMNS = (*BOX_COLUMNS, "is_crowd", "area")
DETECTION_COLUMNS = (*BOX_COLUMNS, "score")


@dataclasses.dataclass(frozen=True, eq=False)
class BoxReport:
    """Average precision (AP) of the detections in a data set, 0 to 1.

    A measure is NaN if no true box counts for it. Crowds do not count.

    Attributes:
        class_names: names of the classes.
        ap: mean AP over the IoU thresholds 0.50, 0.55, ..., 0.95.
        ap50: AP at the IoU threshold 0.50.
        ap75: AP at the IoU threshold 0.75.
        ap_small: `ap` of the objects with an area up to 32² pixels.
        ap_medium: `ap` of the objects with an area from 32² to 96² pixels.
        ap_large: `ap` of the objects with an area from 96² pixels on.
        class_ap: `ap` of each class; the other measures are means over the classes.
        images: number of images.
        corrupt: number of images that could not be decoded.

    Example:
        >>> from keras_tnt.evaluation import BoxReport
        >>> means = dict(ap=0.4, ap50=0.6, ap75=0.45)
        >>> areas = dict(ap_small=0.2, ap_medium=0.4, ap_large=0.5)
        >>> rest = dict(class_ap=[0.3, 0.5], images=9, corrupt=0)
        >>> report = BoxReport(("cat", "dog"), **means, **areas, **rest)
        >>> dict(zip(report.class_names, report.class_ap))
        {'cat': 0.3, 'dog': 0.5}
    """

    class_names: tuple[str, ...]
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    class_ap: list[float]
    images: int
    corrupt: int


def average_precision(
    truths: Sequence[np.ndarray],
    detections: Sequence[np.ndarray],
    class_names: Sequence[str],
    corrupt: int = 0,
) -> BoxReport:
    """Compare detections with true boxes by the protocol of COCO, with pycocotools.

    Detections are matched with true boxes of their class and image, the best score
    first. Of each class and image, the 100 best scores count. Precision is interpolated
    at the recalls 0, 0.01, ..., 1. A crowd is a region of many objects: detections
    in it are neither right nor wrong.

    Args:
        truths: one float array ``(boxes, 7)`` per image, with the columns left, top,
            right and bottom in pixels of the original image, class index, is_crowd (0
            or 1) and area of the object in pixels.
        detections: one float array ``(boxes, 6)`` per image, with the columns left,
            top, right, bottom, class index and score.
        class_names: names of the classes.
        corrupt: number of images that could not be decoded, for the report.

    Returns:
        A `BoxReport`.

    Raises:
        ImportError: if pycocotools is not installed.
        ValueError: if a box has a value that it cannot have, or there is not an array
            for each image.

    Example:
        >>> import numpy
        >>> from keras_tnt.evaluation import average_precision
        >>> cat = [10, 10, 50, 50, 0, 0, 1600]
        >>> dog = [60, 0, 90, 40, 1, 0, 1200]
        >>> found = [[10, 10, 50, 50, 0, 0.9], [60, 0, 90, 25, 1, 0.7]]
        >>> report = average_precision(
        ...     [numpy.array([cat, dog])], [numpy.array(found)], ("cat", "dog")
        ... )
        >>> [round(value, 4) for value in report.class_ap]  # the dog's IoU is 0.625
        [1.0, 0.3]
        >>> round(report.ap50, 4)
        1.0
    """
    coco, cocoeval = _import_pycocotools()
    classes = len(class_names)
    if not classes:
        raise ValueError("class_names is empty, expected the name of each class.")
    if len(truths) != len(detections):
        raise ValueError(
            f"Got truths of {len(truths)} images and detections of {len(detections)}, "
            "expected one array per image in both. An image without boxes has an array "
            "without rows."
        )
    truths = _check_boxes("truths", truths, TRUTH_COLUMNS, classes)
    detections = _check_boxes("detections", detections, DETECTION_COLUMNS, classes)
    true, found = coco.COCO(), coco.COCO()
    with contextlib.redirect_stdout(io.StringIO()):  # they print what they do
        _fill(true, [_truth_records(boxes) for boxes in truths], classes)
        _fill(found, [_detection_records(boxes) for boxes in detections], classes)
        evaluation = cocoeval.COCOeval(true, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # By IoU threshold, recall, class, range of area and number of detections: all
    # thresholds from 0.50 to 0.95; all areas, small, medium, large; 1, 10, 100.
    precision = evaluation.eval["precision"][..., -1]
    return BoxReport(
        tuple(class_names),
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[0, ..., 0]),
        ap75=_mean(precision[5, ..., 0]),
        ap_small=_mean(precision[..., 1]),
        ap_medium=_mean(precision[..., 2]),
        ap_large=_mean(precision[..., 3]),
        class_ap=[_mean(precision[:, :, index, 0]) for index in range(classes)],
        images=len(truths),
        corrupt=corrupt,
    )


def _import_pycocotools():
    try:
        from pycocotools import coco, cocoeval
    except ImportError as error:
        raise ImportError(
            "Average precision needs pycocotools, which could not be imported. Install "
            'it: pip install "keras-tnt[detect]"'
        ) from error
    return coco, cocoeval


def _check_boxes(name, arrays, columns, classes):
    """Return float64 arrays, or raise an error that names the box and its fault."""
    checked = []
    for image, array in enumerate(arrays):
        boxes = np.asarray(array, "float64")
        if boxes.ndim != 2 or boxes.shape[1] != len(columns):
            raise ValueError(
                f"{name}[{image}] has the shape {boxes.shape}, expected (boxes, "
                f"{len(columns)}) with the columns {', '.join(columns)}."
            )
        for expected, right in _rules(boxes, columns, classes):
            if not right.all():
                box = int(np.argmin(right))
                values = zip(columns, boxes[box].tolist(), strict=True)
                listing = ", ".join(f"{column} {value:g}" for column, value in values)
                raise ValueError(
                    f"{name}[{image}], box {box}: expected {expected}, got {listing}."
                )
        checked.append(boxes)
    return checked


def _rules(boxes, columns, classes):
    """What is expected of boxes, and which of them meet it."""
    left, top, right, bottom, index, *others = boxes.T
    yield "finite values", np.isfinite(boxes).all(axis=1)
    yield "left <= right and top <= bottom", (left <= right) & (top <= bottom)
    # A whole number in that range.
    yield f"a class index from 0 to {classes - 1}", np.isin(index, np.arange(classes))
    if columns == TRUTH_COLUMNS:
        is_crowd, area = others
        yield "is_crowd 0 or 1", np.isin(is_crowd, (0, 1))
        yield "an area of 0 or more", area >= 0


def _truth_records(boxes):
    return [
        _record(box) | {"iscrowd": int(is_crowd), "area": area}
        for *box, is_crowd, area in boxes.tolist()
    ]


def _detection_records(boxes):
    records = []
    for *box, score in boxes.tolist():
        record = _record(box)
        *_, width, height = record["bbox"]
        records.append(record | {"score": score, "area": width * height})
    return records


def _record(box):
    left, top, right, bottom, index = box
    return {
        "category_id": int(index),
        "bbox": [left, top, right - left, bottom - top],
    }


def _fill(data, records, classes):
    """Give the records of every image to an empty ``COCO``."""
    annotations = [
        record | {"image_id": image}
        for image, of_image in enumerate(records, start=1)
        for record in of_image
    ]
    # COCOeval takes a match with id 0 for none.
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    data.dataset = {
        "images": [{"id": image} for image in range(1, len(records) + 1)],
        "categories": [{"id": index} for index in range(classes)],
        "annotations": annotations,
    }
    data.createIndex()


def _mean(precision):
    """Mean of the precision where a true box counts; -1 stands for none."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else float("nan")
