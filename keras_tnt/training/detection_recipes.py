"""Recipes of detectors."""

from keras_tnt.data import Augmentation
from keras_tnt.training.recipe import Recipe


def tnt_small_detection() -> Recipe:
    """Train TNT-S under a RetinaNet from the published weights, at 640x640.

    The data set is COCO 2017, in a directory of its own layout or by tfds, or any other
    for `load_box_dataset` by `data`. The paper's Table 13 reports Faster R-CNN, 41.5
    AP, which KerasHub does not have. The settings here are choices of this package: 16
    images a step, 24 epochs, a peak rate of 1e-4, 0.05 weight decay, drop path 0.1,
    crops of 0.3 to all of an image, flips and color jitter.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import tnt_small_detection
        >>> tnt_small_detection().task
        'detection'
    """
    return Recipe(
        task="detection",
        model="TNTSmall",
        model_options={"drop_path_rate": 0.1},
        weights="imagenet",
        data="coco/2017",
        image_size=640,
        augmentation=Augmentation(crop_scale=(0.3, 1.0), flip=0.5, color_jitter=0.4),
        label_smoothing=0.0,
        epochs=24,
        batch_size=16,
        learning_rate=1e-4,
        warmup_epochs=1,
        clip_norm=1.0,
        keep="best",
    )
