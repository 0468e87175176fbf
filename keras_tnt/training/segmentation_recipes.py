"""Recipes of segmenters."""

from keras_tnt.data import Augmentation
from keras_tnt.training.recipe import Recipe


def tnt_small_segmentation() -> Recipe:
    """Train TNT-S with the head of UPerNet from the published weights, at 512x512.

    The data set is ADE20K's challenge, or any other for `load_mask_dataset` by `data`.
    ``task_options={"head": "trans2seg"}`` takes the head of the paper's Table 11, which
    reports 43.6 mIoU. The paper does not tell how it trained it. The settings here are
    choices of this package: 16 images a step, 40,000 steps on ADE20K's 20,210 images,
    a peak rate of 1e-4, 0.05 weight decay, drop path 0.1, crops of a quarter to all of
    an image, flips and color jitter.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import tnt_small_segmentation
        >>> tnt_small_segmentation().task
        'segmentation'
    """
    return Recipe(
        task="segmentation",
        model="TNTSmall",
        model_options={"drop_path_rate": 0.1},
        weights="imagenet",
        data="ADEChallengeData2016",
        image_size=512,
        augmentation=Augmentation(crop_scale=(0.25, 1.0), flip=0.5, color_jitter=0.4),
        label_smoothing=0.0,
        epochs=32,
        batch_size=16,
        learning_rate=1e-4,
        warmup_epochs=1,
        clip_norm=1.0,
        keep="best",
    )
