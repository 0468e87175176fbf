"""Average precision (AP) against counts by hand.

The AP of a class at one IoU threshold is the mean, over the 101 recalls 0, 0.01, ...,
1, of the best precision at this recall or a higher one; 0 where no recall is that high.
A recall of 1/2 covers 51 of the recalls (0 to 0.50), 1/3 covers 34, 2/3 covers 67, 1/4
covers 26, 3/4 covers 76. There are 10 thresholds: 0.50, 0.55, ..., 0.95.

By default, boxes are 10x10 pixels at one of `PLACES`, which are far from each other. A
box as wide as another and x times as high, x below 1, has the IoU x with it.
"""

import dataclasses
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_tnt.evaluation import BoxReport, average_precision

PLACES = np.arange(0, 20_000, 100.0)
NAN = float("nan")


def truth(place=0, size=10.0, index=0, crowd=0, area=None, height=None):
    left = PLACES[place]
    height = size if height is None else height
    area = size * height if area is None else area
    return [left, 0, left + size, height, index, crowd, area]


def found(score, place=0, height=10.0, size=10.0, index=0):
    left = PLACES[place]
    return [left, 0, left + size, height, index, score]


def report(*images, classes=1):
    """The report on images, each a pair: list of truths, list of detections."""
    truths = [np.reshape(boxes, (-1, 7)) for boxes, _ in images]
    detections = [np.reshape(boxes, (-1, 6)) for _, boxes in images]
    return average_precision(truths, detections, [f"c{i}" for i in range(classes)])


def check(result, ap, ap50):
    assert [result.ap, result.ap50] == pytest.approx([ap, ap50], abs=1e-9, nan_ok=True)


def measures(result):
    """All that is measured, in one list."""
    values = dataclasses.asdict(result)
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    return [values[name] for name in names] + values["class_ap"]


TWO = [truth(0), truth(1)]
THREE = [truth(0), truth(1), truth(2)]
FOUR = [*THREE, truth(3)]
CROWD = truth(9, size=60, crowd=1)
# The AP is that of every threshold, as every IoU is 1 or less than 0.5.
ONE_IMAGE = {
    "nothing": ([], [], NAN),
    "no truth": ([], [found(0.9)], NAN),
    "no detection": ([truth()], [], 0),
    "perfect": ([truth()], [found(0.9)], 1),
    # Precision 0 at recall 0.
    "elsewhere": ([truth()], [found(0.9, 5)], 0),
    # 1/1 up to recall 1/2, then 0.
    "one of two": (TWO, [found(0.9)], 51 / 101),
    # Only the order of the scores counts, not their range.
    "scores below 0": (TWO, [found(-7, 0), found(-9, 1)], 1),
    # 0/1, 1/2: 1/2 at recall 1.
    "wrong, right": ([truth()], [found(0.9, 5), found(0.8)], 1 / 2),
    # 1/1 at recall 1; what comes after adds no recall.
    "right, wrong": ([truth()], [found(0.9), found(0.8, 5)], 1),
    # The scores order detections, not their places in the array.
    "right, wrong, mixed": ([truth()], [found(0.8, 5), found(0.9)], 1),
    # 1/1 up to recall 1/2; the second of object 0 is wrong (1/2); 2/3 up to recall 1.
    "duplicate": (
        TWO,
        [found(0.9), found(0.8), found(0.7, 1)],
        (51 * 1 + 50 * 2 / 3) / 101,
    ),
    # 1/1, 1/2, 1/3, 2/4 up to recall 1.
    "two duplicates": (
        TWO,
        [found(0.9), found(0.8), found(0.7), found(0.6, 1)],
        (51 * 1 + 50 * 2 / 4) / 101,
    ),
    # Of equal scores the first in the array comes first: 0/1, 1/2.
    "tie, wrong first": ([truth()], [found(0.9, 5), found(0.9)], 1 / 2),
    "tie, right first": ([truth()], [found(0.9), found(0.9, 5)], 1),
    # R W R W W R: 1/1 to recall 1/4, 2/3 to 2/4, 3/6 to 3/4, then 0.
    "mixed ranking": (
        FOUR,
        [
            found(0.9, 0),
            found(0.8, 5),
            found(0.7, 1),
            found(0.6, 6),
            found(0.5, 7),
            found(0.4, 2),
        ],
        (26 * 1 + 25 * 2 / 3 + 25 * 3 / 6) / 101,
    ),
    # W R R: 1/2 at recall 1/2, 2/3 at recall 1, which is better: 2/3 everywhere.
    "precision that rises": (
        TWO,
        [found(0.9, 5), found(0.8, 0), found(0.7, 1)],
        2 / 3,
    ),
    # R W W R R: 1/1 to recall 1/3; 2/4 at 2/3 is below the 3/5 at recall 1.
    "precision that falls and rises": (
        THREE,
        [
            found(0.9, 0),
            found(0.8, 5),
            found(0.7, 6),
            found(0.6, 1),
            found(0.5, 2),
        ],
        (34 * 1 + 67 * 3 / 5) / 101,
    ),
    # No area in common, so wrong: 0/1, 1/2.
    "box without area": ([truth()], [found(0.9, height=0), found(0.8)], 1 / 2),
    # It cannot be found: 1/1 up to recall 1/2, then 0.
    "object without area": (
        [truth(0), truth(1, height=0)],
        [found(0.9), found(0.8, 1, height=0)],
        51 / 101,
    ),
    # The detection in the crowd (IoU with it 1/36) does not count: 1/1.
    "in a crowd": ([truth(), CROWD], [found(0.9, 9), found(0.8)], 1),
    "several in a crowd": (
        [truth(), CROWD],
        [found(0.9, 9), found(0.8, 9), found(0.7, 9, 60, size=60), found(0.6)],
        1,
    ),
    # Next to the crowd is wrong: 0/1, then 1/2.
    "next to a crowd": ([truth(), CROWD], [found(0.9, 8), found(0.8)], 1 / 2),
    # A crowd is no object that could be found.
    "crowd, missed": ([truth(), CROWD], [found(0.9)], 1),
    "only a crowd": ([CROWD], [found(0.9, 9)], NAN),
    "only a crowd, no detection": ([CROWD], [], NAN),
    # The object in the crowd is found (1/1 at recall 1/2); the second detection of it
    # belongs to the crowd; 2/2 at recall 1.
    "object in a crowd, twice": (
        [truth(9), CROWD, truth(0)],
        [found(0.9, 9), found(0.8, 9), found(0.7, 0)],
        1,
    ),
    # As above in another order of the true boxes.
    "crowd first": (
        [CROWD, truth(9), truth(0)],
        [found(0.9, 9), found(0.8, 9), found(0.7, 0)],
        1,
    ),
}


@pytest.mark.parametrize("case", ONE_IMAGE)
def test_average_precision__one_image(case):
    truths, detections, ap = ONE_IMAGE[case]
    result = report((truths, detections))
    check(result, ap, ap)
    assert [result.ap75, *result.class_ap] == pytest.approx(
        [ap, ap], abs=1e-9, nan_ok=True
    )


# Height of the one detection, and how many thresholds up to 0.50, 0.55, ... it reaches.
# 5.0 and 7.5 are exact: an IoU equal to the threshold is enough.
HEIGHTS = [(4.999, 0), (5.0, 1), (5.2, 1), (7.499, 5), (7.5, 6), (9.2, 9), (9.99, 10)]


@pytest.mark.parametrize(("height", "reached"), HEIGHTS)
def test_average_precision__iou_threshold(height, reached):
    result = report(([truth()], [found(0.9, height=height)]))
    check(result, reached / 10, float(reached >= 1))
    assert result.ap75 == pytest.approx(float(reached >= 6), abs=1e-9)


def test_average_precision__worse_box_first():
    """IoU 0.62 with score 0.9, then IoU 1 with score 0.8."""
    detections = [found(0.9, height=6.2), found(0.8)]
    # At 0.50, 0.55 and 0.60 the first is right: 1. At 7 others wrong, right: 1/2.
    check(report(([truth()], detections)), (3 * 1 + 7 * 1 / 2) / 10, 1)


def test_average_precision__takes_the_best_free_box():
    """Objects with heights 10 and 7.2 in one place; detections with 9.2, then 10."""
    truths = [truth(), truth(height=7.2)]
    detections = [found(0.9, height=9.2), found(0.8)]
    # IoU of the first detection: 0.92 and 7.2/9.2 = 0.78; of the second: 1 and 0.72.
    # 5 thresholds up to 0.70: first with first, second with second, 1.
    # 4 up to 0.90: the second finds its object taken, 1/1 up to recall 1/2.
    # 0.95: the first is wrong, the second right, 1/2 up to recall 1/2.
    ap = (5 * 1 + 4 * 51 / 101 + 51 / 101 / 2) / 10
    check(report((truths, detections)), ap, 1)


def test_average_precision__partly_in_a_crowd():
    """62 % of the area of the first detection are in the crowd, the second is right."""
    inside = [PLACES[9] - 3.8, 0, PLACES[9] + 6.2, 10, 0, 0.9]
    # 3 thresholds up to 0.60: it is ignored, 1. 7 others: wrong, right, 1/2.
    result = report(([truth(), CROWD], [inside, found(0.8)]))
    check(result, (3 * 1 + 7 * 1 / 2) / 10, 1)


def test_average_precision__object_before_crowd():
    """All of the detection is in the crowd; its IoU with an object there is 0.82."""
    result = report(([CROWD, truth(9)], [found(0.9, 9, height=8.2)]))
    # 7 thresholds up to 0.80: the object is found. 3 others: missed, nothing wrong.
    check(result, 7 / 10, 1)


def test_average_precision__crowd_of_another_class():
    crowd = truth(9, size=60, crowd=1, index=1)
    result = report(([truth(), crowd], [found(0.9, 9), found(0.8)]), classes=2)
    # Class 0: wrong, right, 1/2. Class 1 has no object.
    check(result, 1 / 2, 1 / 2)
    np.testing.assert_allclose(result.class_ap, [1 / 2, NAN], atol=1e-9)


def test_average_precision__wrong_class():
    result = report(([truth()], [found(0.9, index=1)]), classes=2)
    check(result, 0, 0)
    np.testing.assert_allclose(result.class_ap, [0, NAN], atol=1e-9)


def test_average_precision__swapped_classes():
    truths = [truth(0, index=0), truth(1, index=1)]
    detections = [found(0.9, 0, index=1), found(0.9, 1, index=0)]
    result = report((truths, detections), classes=2)
    check(result, 0, 0)
    np.testing.assert_allclose(result.class_ap, [0, 0], atol=1e-9)


def test_average_precision__mean_over_classes_with_objects():
    truths = [truth(0), truth(1, index=2), truth(2, index=2), truth(3, index=3)]
    detections = [
        found(0.9, 0),
        found(0.8, 0, index=1),
        found(0.7, 1, index=2),
        found(0.6, 3, height=7.5, index=3),
    ]
    result = report((truths, detections), classes=4)
    # Class 1 has no object. Of class 2, one of two is found. The IoU in class 3 is
    # 0.75, which is enough for 6 thresholds.
    expected = [1, NAN, 51 / 101, 6 / 10]
    np.testing.assert_allclose(result.class_ap, expected, atol=1e-9)
    check(result, (1 + 51 / 101 + 6 / 10) / 3, (1 + 51 / 101 + 1) / 3)
    assert result.class_names == ("c0", "c1", "c2", "c3")


def test_average_precision__images_are_ranked_together():
    right, wrong = [truth()], []
    # Wrong in the first image with 0.9, right in the second with 0.8: 0/1, 1/2.
    check(report((wrong, [found(0.9)]), (right, [found(0.8)])), 1 / 2, 1 / 2)
    check(report((wrong, [found(0.7)]), (right, [found(0.8)])), 1, 1)
    # Of equal scores, the first image comes first.
    check(report((wrong, [found(0.8)]), (right, [found(0.8)])), 1 / 2, 1 / 2)
    check(report((right, [found(0.8)]), (wrong, [found(0.8)])), 1, 1)


def test_average_precision__match_in_the_same_image_only():
    # The detection is wrong in its image, the object of the other is missed.
    check(report(([truth()], []), ([], [found(0.9)])), 0, 0)


def test_average_precision__empty_images():
    result = report(([], []), ([truth()], [found(0.9)]), ([], []), ([truth()], []))
    # One of two objects.
    check(result, 51 / 101, 51 / 101)
    assert result.images == 4


def test_average_precision__no_images():
    result = average_precision([], [], ["cat", "dog"], corrupt=3)
    np.testing.assert_array_equal(measures(result), [NAN] * 8)
    assert (result.images, result.corrupt) == (0, 3)


def test_average_precision__only_100_detections_per_image_and_class():
    wrong = [found(0.9 - 0.001 * n, 1 + n) for n in range(100)]
    # The right one is number 101 of its class.
    check(report(([truth()], [*wrong, found(0.1)])), 0, 0)
    # Number 100: precision 1/100.
    check(report(([truth()], [*wrong[1:], found(0.1)])), 1 / 100, 1 / 100)
    # Number 1 of another class: 0 and 1.
    truths = [truth(), truth(index=1)]
    result = report((truths, [*wrong, found(0.1, index=1)]), classes=2)
    np.testing.assert_allclose(result.class_ap, [0, 1], atol=1e-9)
    # Number 1 of another image, after all 100 wrong ones: 1/101.
    check(report(([], wrong), ([truth()], [found(0.1)])), 1 / 101, 1 / 101)


def areas(result):
    return [result.ap, result.ap_small, result.ap_medium, result.ap_large]


def test_average_precision__areas():
    sizes = {0: 10, 1: 50, 2: 99}
    truths = [truth(place, size) for place, size in sizes.items()]
    detections = [found(0.9, 0), found(0.8, 2, height=99, size=99)]
    # Two of three objects; the one of medium area is missed.
    result = report((truths, detections))
    np.testing.assert_allclose(areas(result), [67 / 101, 1, 0, 1], atol=1e-9)


def test_average_precision__wrong_box_of_another_area():
    large = found(0.9, 5, height=99, size=99)
    # Wrong, right: 1/2; a wrong box of large area does not count for small objects.
    result = report(([truth()], [large, found(0.8)]))
    np.testing.assert_allclose(areas(result), [1 / 2, 1, NAN, NAN], atol=1e-9)
    # A wrong box of small area does: 1/2.
    result = report(([truth()], [found(0.9, 5), found(0.8)]))
    np.testing.assert_allclose(areas(result), [1 / 2, 1 / 2, NAN, NAN], atol=1e-9)


def test_average_precision__object_of_another_area():
    truths = [truth(0), truth(1, 50)]
    detections = [found(0.9, 1, height=50, size=50), found(0.8, 0), found(0.7, 1)]
    # Right, right, wrong: 1. The last, of small area, is wrong for small objects, too,
    # but after recall 1. The first is right, but not for small objects.
    result = report((truths, detections))
    np.testing.assert_allclose(areas(result), [1, 1, 1, NAN], atol=1e-9)


def test_average_precision__area_is_that_of_the_object():
    """A mask of 500 pixels in a box of 99x99."""
    result = report(([truth(0, 99, area=500)], [found(0.9, height=99, size=99)]))
    np.testing.assert_allclose(areas(result), [1, 1, NAN, NAN], atol=1e-9)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (32**2 - 1, [1, 1, NAN, NAN]),
        (32**2, [1, 1, 1, NAN]),  # at the bound, it counts on both sides
        (32**2 + 1, [1, NAN, 1, NAN]),
        (96**2, [1, NAN, 1, 1]),
        (96**2 + 1, [1, NAN, NAN, 1]),
    ],
)
def test_average_precision__area_bounds(area, expected):
    result = report(([truth(area=area)], [found(0.9)]))
    np.testing.assert_allclose(areas(result), expected, atol=1e-9)


def test_average_precision__report(capsys):
    truths, detections = np.array([truth()], "float32"), np.array([found(0.9)])
    result = average_precision([truths], [detections], ["cat"], corrupt=2)
    assert isinstance(result, BoxReport)
    assert (result.class_names, result.images, result.corrupt) == (("cat",), 1, 2)
    assert all(type(value) is float for value in measures(result))
    assert capsys.readouterr() == ("", "")
    assert truths.tolist() == [truth()]  # not changed


@st.composite
def scenes(draw):
    """Images with boxes on a small grid, so that many overlap; no two scores equal."""
    image_count = draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = generator.integers(0, 6, (2, image_count))
    scores = generator.permutation(counts[1].sum()) / 100

    def boxes(count):
        corner = generator.integers(0, 4, (count, 2)) * 4.0
        size = generator.integers(1, 12, (count, 2)) * 4.0
        index = generator.integers(0, 2, (count, 1))
        return np.concatenate([corner, corner + size, index], 1), size.prod(1)

    truths, detections = [], []
    for true_count, count, score in zip(
        *counts, np.split(scores, counts[1].cumsum()[:-1]), strict=True
    ):
        box, area = boxes(true_count)
        crowd = generator.random(true_count) < 0.2
        truths.append(np.column_stack([box, crowd, area]))
        detections.append(np.column_stack([boxes(count)[0], score]))
    return truths, detections


@settings(deadline=None, max_examples=50)
@given(scenes(), st.randoms(use_true_random=False))
def test_average_precision__order_does_not_matter(scene, random):
    """Not the order of images, nor of detections, nor which class has which index."""
    truths, detections = scene
    result = average_precision(truths, detections, ["cat", "dog"])
    order = random.sample(range(len(truths)), len(truths))
    swapped = [boxes.copy() for boxes in truths]
    shuffled = [
        boxes[random.sample(range(len(boxes)), len(boxes))] for boxes in detections
    ]
    for boxes in (*swapped, *shuffled):
        boxes[:, 4] = 1 - boxes[:, 4]
    again = average_precision(
        [swapped[image] for image in order],
        [shuffled[image] for image in order],
        ["dog", "cat"],
    )
    *means, cat, dog = measures(result)
    np.testing.assert_allclose(measures(again), [*means, dog, cat], atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(scenes())
def test_average_precision__last_wrong_box_costs_nothing(scene):
    """AP is at most 1, and stays what it is if the worst score is a wrong box's."""
    truths, detections = scene
    result = measures(average_precision(truths, detections, ["cat", "dog"]))
    assert all(np.isnan(value) or 0 <= value <= 1 for value in result)
    wrong = [900, 900, 910, 910, 1, -1]
    more = [*detections[:-1], np.concatenate([detections[-1], [wrong]])]
    again = average_precision(truths, more, ["cat", "dog"])
    np.testing.assert_allclose(measures(again), result, atol=1e-9)


def truths_with(column, value):
    boxes = np.array([truth(0), truth(1), truth(2)])
    boxes[1, column] = value
    return boxes


def detections_with(column, value):
    return truths_with(column, value)[:, :6]


@pytest.mark.parametrize(
    ("truths", "detections", "message"),
    [
        (
            [],
            [np.zeros((0, 6))],
            "truths of 0 images and detections of 1, expected one",
        ),
        ([np.zeros((0, 6))], [np.zeros((0, 6))], "truths[0] has the shape (0, 6), exp"),
        ([np.zeros((0, 7))], [np.zeros(0)], "detections[0] has the shape (0,), expect"),
        (
            [np.zeros((0, 7))],
            [np.zeros((2, 7))],
            "(2, 7), expected (boxes, 6) with the columns left, top, right, bottom, "
            "class index, score.",
        ),
        (
            [truths_with(0, NAN)],
            [np.zeros((0, 6))],
            "truths[0], box 1: expected finite values, got left nan, top 0, right 110",
        ),
        ([truths_with(6, np.inf)], [np.zeros((0, 6))], "expected finite values"),
        ([truths_with(6, -1)], [np.zeros((0, 6))], "expected an area of 0 or more"),
        ([truths_with(5, 2)], [np.zeros((0, 6))], "expected is_crowd 0 or 1, got left"),
        ([truths_with(4, 2)], [np.zeros((0, 6))], "class index from 0 to 1, got left"),
        ([truths_with(2, 99)], [np.zeros((0, 6))], "box 1: expected left <= right and"),
        (
            [np.zeros((0, 7))],
            [detections_with(5, NAN)],
            "detections[0], box 1: expected finite values, got left 100, top 0, right "
            "110, bottom 10, class index 0, score nan.",
        ),
        ([np.zeros((0, 7))], [detections_with(4, -1)], "class index from 0 to 1, got "),
        ([np.zeros((0, 7))], [detections_with(4, 0.5)], "class index 0.5, score 0."),
        ([np.zeros((0, 7))], [detections_with(3, -1)], "and top <= bottom, got left 1"),
    ],
)
def test_average_precision__refuses(truths, detections, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        average_precision(truths, detections, ["cat", "dog"])


def test_average_precision__no_classes():
    with pytest.raises(ValueError, match="class_names is empty"):
        average_precision([], [], [])


def test_average_precision__missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ImportError, match=re.escape('pip install "keras-tnt[detect]"')):
        report(([], []))
