"""Loading a data set with boxes by its name or directory."""

import dataclasses
import os

from keras_tnt.data.box_folders import load_box_folder
from keras_tnt.data.box_records import load_prepared_boxes
from keras_tnt.data.box_source import MAX_BOXES, BoxSource
from keras_tnt.data.datasets import builder_or_directory
from keras_tnt.utils.counts import check_count
from keras_tnt.utils.typing import PathLike


def load_box_dataset(
    data: str,
    split: str | None = None,
    data_dir: PathLike | None = None,
    max_boxes: int = MAX_BOXES,
) -> BoxSource:
    """Load a data set of images with the boxes of their objects.

    Args:
        data: one of

            - a directory of the layout of COCO: `annotations/instances_train2017.json`,
              `annotations/instances_val2017.json`, and the images in `train2017` and
              `val2017`, or in `images/train2017` and so on. The year and `instances_`
              may be missing, and splits may have their other usual names;
            - a directory with one file `annotations.json` of COCO's format, and the
              images in `images`;
            - `"coco/2017"` or another tfds data set with a sequence of boxes with
              labels, or a directory that tfds has prepared, with its
              `dataset_info.json`.
        split: the split; for tfds also a slice such as `"train[:10%]"`. `None` for a
            directory without splits.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.
        max_boxes: largest number of objects of an image that are no crowds. Batches
            have so many boxes for each image.

    Returns:
        A `BoxSource`. The classes are in the order of the categories' ids.

    Raises:
        FileNotFoundError: if there is no such directory, it has no annotations, an
            image is missing, or tfds cannot prepare the data set.
        ImportError: if tensorflow_datasets is needed and not installed.
        ValueError: for an unknown name or split, annotations that are no JSON in COCO's
            format, or a tfds data set without boxes.

    Example:
        ```python
        from keras_tnt.data import load_box_dataset

        source = load_box_dataset("coco2017", "train")
        print(len(source), source.class_names[:3])
        ```
    """
    data = os.fspath(data)
    expected = "a directory with images and COCO's annotations"
    builder, directory = builder_or_directory(data, data_dir, expected)
    if builder is not None:
        source = load_prepared_boxes(builder, split)
    else:
        source = load_box_folder(directory, split)
    return dataclasses.replace(source, max_boxes=check_count("max_boxes", max_boxes))
