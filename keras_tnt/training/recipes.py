"""All recipes by name, and those of this package's own.

Any field can be replaced: `dataclasses.replace(tnt_small_imagenet(), epochs=100)`, or
`keras-tnt train --recipe tnt_small_imagenet --epochs 100`.
"""

from keras_tnt.data import FINETUNE_AUGMENTATION, FLIP_AUGMENTATION
from keras_tnt.training.detection_recipes import tnt_small_detection
from keras_tnt.training.imagenet_recipes import (
    pyramid_tnt_small_imagenet,
    tnt_small_imagenet,
    tnt_tiny_distilled,
)
from keras_tnt.training.recipe import Recipe
from keras_tnt.training.segmentation_recipes import tnt_small_segmentation
from keras_tnt.training.transfer_recipes import (
    transfer_cifar10,
    transfer_cifar100,
    transfer_flowers,
    transfer_inaturalist2019,
    transfer_pets,
)


def tnt_small_finetune_384() -> Recipe:
    """Fine-tune the published TNT-S on another data set, at 384x384.

    Source: the paper, section 3.5. It fine-tunes at 384x384 with the settings of the
    pre-training and all of its augmentation, for 64 epochs on CIFAR-10 and CIFAR-100
    and for 300 on Flowers, Pets and iNaturalist-2019. The image size, RandAugment,
    MixUp, CutMix, label smoothing and stochastic depth of this recipe are the paper's.

    The other settings are choices of this package, which were not tuned: 30 epochs of
    512 images a step and weight decay 1e-8, as in DeiT's command for ImageNet at 384;
    a learning rate of 5e-5 for a fresh head, where DeiT has a constant 5e-6; 3 epochs
    of warm-up and a cosine to 1e-6, by step and without a cool-down; no repeated
    augmentation, no random erasing and no moving average; the weights of the last
    epoch; evaluation of whole images. The data set, Pets, is an example.

    Command: `keras-tnt train --recipe tnt_small_finetune_384 --data DIRECTORY`.
    `examples/finetune.py` runs the same code on a small scale.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import tnt_small_finetune_384
        >>> tnt_small_finetune_384().image_size
        384
    """
    return Recipe(
        model="TNTSmall",
        model_options={"drop_path_rate": 0.1},
        weights="imagenet",
        data="oxford_iiit_pet",
        validation_split="test",
        image_size=384,
        crop_fraction=1.0,
        augmentation=FINETUNE_AUGMENTATION,
        epochs=30,
        batch_size=512,
        learning_rate=5e-5,
        reference_batch_size=512,
        warmup_learning_rate=1e-6,
        final_learning_rate=1e-6,
        warmup_epochs=3,
        weight_decay=1e-8,
    )


def fashion_mnist_demo() -> Recipe:
    """Train a small TNT on the 12,000 bundled images of Fashion-MNIST.

    It takes a few minutes on two CPU cores. The model resembles TNT-Ti, with 16
    patches of 7x7 and 16 pixels in each. Optimizer and schedule follow the paper's
    Table 3, with a higher learning rate for the few steps.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> fashion_mnist_demo().model_options["patch_size"]
        7
    """
    return Recipe(
        model="TNT",
        model_options={
            "outer_dim": 64,
            "inner_dim": 8,
            "depth": 4,
            "outer_num_heads": 4,
            "inner_num_heads": 2,
            "patch_size": 7,
            "inner_stride": 2,
            "name": "tnt_fashion_mnist",
        },
        data="fashion_mnist_mini",
        validation_split="test",
        image_size=28,
        channels=1,
        crop_fraction=1.0,
        augmentation=FLIP_AUGMENTATION,
        cache=True,
        epochs=12,
        batch_size=64,
        learning_rate=4e-3,
        final_learning_rate=4e-5,
        warmup_epochs=1,
        deterministic=True,
        checkpoint_every=200,
    )


RECIPES = {
    recipe.__name__: recipe
    for recipe in (
        tnt_small_imagenet,
        pyramid_tnt_small_imagenet,
        tnt_tiny_distilled,
        tnt_small_finetune_384,
        transfer_cifar10,
        transfer_cifar100,
        transfer_flowers,
        transfer_pets,
        transfer_inaturalist2019,
        tnt_small_segmentation,
        tnt_small_detection,
        fashion_mnist_demo,
    )
}
