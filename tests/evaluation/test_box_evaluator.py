"""Evaluation of detectors."""

import numpy as np
import pytest
from PIL import Image

from keras_tnt.data import load_box_dataset
from keras_tnt.evaluation import evaluate_detector
from tests.helpers.boxes import (
    SHADE,
    box_source,
    change_annotations,
    random_objects,
    write_boxes,
)


class ByShade:
    """A detector of the rectangles in both halves of an image, by their gray level."""

    num_classes = 3
    input_shape = (None, 48, 40, 1)

    def predict_on_batch(self, images):
        found = [self._detect(image[..., 0]) for image in images]
        boxes = np.full((len(images), 2, 4), -1.0)
        labels, scores = np.full((2, len(images), 2), -1.0)
        for number, objects in enumerate(found):
            for place, (box, label, score) in enumerate(objects):
                boxes[number, place] = box
                labels[number, place] = label
                scores[number, place] = score
        return {
            "boxes": boxes,
            "labels": labels,
            "confidence": scores,
            "num_detections": np.array([len(objects) for objects in found]),
        }

    def _detect(self, image):
        objects = []
        for top in (0, 24):
            rows, columns = np.nonzero(image[top : top + 24] > SHADE / 2)
            if len(rows):
                box = columns.min(), top + rows.min(), columns.max() + 1
                shade = image[top : top + 24][rows, columns]
                box = (*box, top + rows.max() + 1)
                objects.append((box, round(np.median(shade) / SHADE) - 1, 0.5))
        return objects


@pytest.mark.slow
def test_evaluate_detector__at_the_size_of_the_images(tmp_path):
    """Also of an image of another size; a crowd and a missed object among them."""
    write_boxes(tmp_path, {"": 6})
    image, _ = random_objects(3)
    larger = Image.fromarray(image).resize((60, 72), Image.Resampling.NEAREST)
    larger.save(tmp_path / "images" / "003.png")

    def change(record):
        record["images"][3] |= {"height": 72, "width": 60}
        for row in record["annotations"]:
            if row["image_id"] == 13:
                row["bbox"] = [3 * edge for edge in row["bbox"]]

    change_annotations(tmp_path, change)
    calls = []

    class Callback:
        on_test_batch_end = staticmethod(calls.append)

    source = load_box_dataset(str(tmp_path))
    report = evaluate_detector(ByShade(), source, 4, callbacks=[Callback()])
    assert (report.ap50, report.images, report.corrupt) == (1, 6, 0)
    assert report.ap75 > 0.7  # the edges of some were moved by resizing
    assert calls == [0, 1]

    # Detections of an object that is not annotated are wrong, in a crowd they are not.
    change_annotations(tmp_path, lambda r: r["annotations"][0].update(iscrowd=1))
    crowd = evaluate_detector(ByShade(), load_box_dataset(str(tmp_path)))
    assert crowd.ap50 == 1
    change_annotations(tmp_path, lambda r: r["annotations"].pop(0))
    missing = evaluate_detector(ByShade(), load_box_dataset(str(tmp_path)))
    assert missing.ap50 < 1


def test_evaluate_detector__skips_corrupt_images(tmp_path):
    source = box_source(tmp_path, 3)
    (tmp_path / "images" / "001.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"001\.png cannot be read or decoded"):
        evaluate_detector(ByShade(), source)
    report = evaluate_detector(ByShade(), source, skip_corrupt=True)
    assert (report.images, report.corrupt) == (2, 1)


def test_evaluate_detector__another_number_of_classes(tmp_path):
    source = box_source(tmp_path, 1)
    change_annotations(
        tmp_path, lambda r: r["categories"].append({"id": 9, "name": "x"})
    )
    other = load_box_dataset(str(tmp_path))
    with pytest.raises(
        ValueError, match="has 4 classes, expected a detector of as many"
    ):
        evaluate_detector(ByShade(), other)
    with pytest.raises(ValueError, match="batch_size must be"):
        evaluate_detector(ByShade(), source, batch_size=0)
