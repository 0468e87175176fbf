"""Loading a data set with masks by its name or directory."""

import os

from keras_tnt.data.datasets import builder_or_directory
from keras_tnt.data.mask_folders import load_mask_folder
from keras_tnt.data.mask_records import load_prepared_masks
from keras_tnt.data.mask_source import MaskSource
from keras_tnt.utils.typing import PathLike


def load_mask_dataset(
    data: str, split: str | None = None, data_dir: PathLike | None = None
) -> MaskSource:
    """Load a data set of images with a class for every pixel.

    A mask is a PNG file of one channel, 8 or 16 bits or a palette, whose values are
    labels. A pixel of label 255 has no class, unless there are so many.

    Args:
        data: one of

            - a directory with the directories `images` and `masks`, and the names of
              the classes in `classes.txt`, one a line in the order of their labels,
              which begin with 0. A mask has the name of its image, but for the suffix.
              Both directories may have splits as subdirectories, `images/train` and
              `masks/train`, by their usual names, such as `training` and `val`;
            - a directory of the layout of ADE20K's challenge: `annotations` in place
              of `masks`. Its labels begin with 1; 0 means that a pixel has no class.
              The names are in `classes.txt` or in ADE20K's `objectInfo150.txt`;
            - `"oxford_iiit_pet"`, the name of a tfds data set with a `LabeledImage`,
              or a directory that tfds has prepared, with its `dataset_info.json`.
        split: the split; for tfds also a slice such as `"train[:10%]"`. `None` for
            directories without splits.
        data_dir: directory of tfds' data sets; `~/tensorflow_datasets` by default.

    Returns:
        A `MaskSource`.

    Raises:
        FileNotFoundError: if there is no such directory, it has not these directories
            and names, or tfds cannot prepare the data set.
        ImportError: if tensorflow_datasets is needed and not installed.
        ValueError: for an unknown name or split, a directory without images, images
            without masks, or a tfds data set without masks.

    Example:
        ```python
        from keras_tnt.data import load_mask_dataset

        source = load_mask_dataset("ADEChallengeData2016", "train")
        print(len(source), source.class_names[:3])
        ```
    """
    data = os.fspath(data)
    expected = "a directory with images and masks"
    builder, directory = builder_or_directory(data, data_dir, expected)
    if builder is not None:
        return load_prepared_masks(builder, split)
    return load_mask_folder(directory, split)
