"""The recipes of the paper's transfer experiments (section 3.5, Table 9).

They fine-tune the published TNT-S; `dataclasses.replace(recipe, model="TNTBase")`, or
`--model TNTBase`, fine-tunes TNT-B.
"""

import dataclasses
from typing import Any

from keras_tnt.training.imagenet_recipes import tnt_small_imagenet
from keras_tnt.training.recipe import Recipe

PRETRAINING_STEPS = 310 * 1251  # ImageNet's 1,281,167 images, 1,024 a step
GROUP_SIZE = 16  # images on a GPU, as the official repository says for CIFAR
BATCH_SIZE = 8 * GROUP_SIZE


def transfer_cifar10() -> Recipe:
    """Fine-tune TNT-S on CIFAR-10: 98.7 % in the paper, TNT-B 99.1 % (Table 9).

    Source: the paper, section 3.5. All its transfer experiments have the settings of
    the pre-training, `tnt_small_imagenet`, with all its augmentation, at 384x384: on
    CIFAR-10 and CIFAR-100 for 64 epochs, on Flowers, Pets and iNaturalist-2019 for 300.

    What the paper does not give is from an answer about TNT-B on CIFAR in the official
    repository (huawei-noah/Efficient-AI-Backbones, issue 76): a learning rate of 5e-5,
    after 5 epochs of warm-up from 1e-6, and 16 images on a GPU. MixUp and CutMix have a
    draw for each GPU, so here for each 16 images.

    The rest are choices of this package, which were not tuned:

    - 128 images a step: the answer does not say how many GPUs there were; the
      pre-training had 8. With another `batch_size` the learning rates scale linearly.
    - The same settings for Flowers, Pets and iNaturalist-2019, about which there is no
      answer.
    - Weight decay 0.05, as in the pre-training; the answer has 5e-4.
    - No cool-down. The pre-training has ten epochs of it after those that its paper
      counts.
    - A decay of the moving average that covers the same share of the training as in
      the pre-training, see `scaled_ema_decay`. With 0.99996, the initial weights and
      the random head would still be 37 % of the average after the 24,960 steps on
      CIFAR, and 84 % after the 4,500 on Flowers.

    As in the pre-training, the central 90 % of images is evaluated, and the result has
    the averaged weights of the epoch with the highest accuracy. Here that epoch is
    chosen by the test images; `keep="last"` chooses none.

    Command: `keras-tnt train --recipe transfer_cifar10`; see docs/tested.md for what
    was run.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import transfer_cifar10
        >>> recipe = transfer_cifar10()
        >>> recipe.epochs, recipe.image_size, recipe.ema_decay
        (64, 384, 0.999379)
    """
    return _transfer("cifar10", images=50_000, epochs=64)


def transfer_cifar100() -> Recipe:
    """Fine-tune TNT-S on CIFAR-100: 90.1 % in the paper, TNT-B 91.1 % (Table 9).

    `transfer_cifar10` says where the settings are from and which of them are ours.

    Command: `keras-tnt train --recipe transfer_cifar100`.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import transfer_cifar100
        >>> transfer_cifar100().epochs
        64
    """
    return _transfer("cifar100", images=50_000, epochs=64)


def transfer_flowers() -> Recipe:
    """Fine-tune TNT-S on Oxford Flowers: 98.8 % in the paper, TNT-B 99.0 % (Table 9).

    The paper's 2,040 training images are those for training and for validation
    together; the 6,149 test images are evaluated. `transfer_cifar10` says where the
    settings are from and which of them are ours.

    Command: `keras-tnt train --recipe transfer_flowers`.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import transfer_flowers
        >>> transfer_flowers().train_split
        'train+validation'
    """
    return _transfer(
        "oxford_flowers102", images=2040, epochs=300, train_split="train+validation"
    )


def transfer_pets() -> Recipe:
    """Fine-tune TNT-S on Oxford-IIIT Pets: 94.7 % in the paper, TNT-B 95.0 % (Table 9).

    `transfer_cifar10` says where the settings are from and which of them are ours.

    Command: `keras-tnt train --recipe transfer_pets`.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import transfer_pets
        >>> transfer_pets().epochs
        300
    """
    return _transfer("oxford_iiit_pet", images=3680, epochs=300)


def transfer_inaturalist2019() -> Recipe:
    """Fine-tune TNT-S on iNaturalist-2019: 81.4 % in the paper, TNT-B 83.2 % (Table 9).

    tfds does not have this data set. `data` is the directory into which its archives
    were unpacked, see docs/data.md, or an image folder with the splits `train` and
    `validation`. Its files divide the 268,243 images into 265,213 and 3,030, the
    paper's table into 265,240 and 3,003. `transfer_cifar10` says where the settings are
    from and which of them are ours.

    Command: `keras-tnt train --recipe transfer_inaturalist2019 --data DIRECTORY`.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import transfer_inaturalist2019
        >>> transfer_inaturalist2019().data
        './inaturalist2019'
    """
    return _transfer(
        "./inaturalist2019",
        images=265_213,
        epochs=300,
        validation_split="validation",
    )


def _transfer(data: str, images: int, epochs: int, **changes: Any) -> Recipe:
    """The recipe of the pre-training, changed as `transfer_cifar10` says."""
    pretraining = tnt_small_imagenet()
    settings: dict[str, Any] = {
        "weights": "imagenet",
        "data": data,
        "validation_split": "test",
        "image_size": 384,
        "augmentation": dataclasses.replace(
            pretraining.augmentation, mix_group_size=GROUP_SIZE
        ),
        "epochs": epochs,
        "batch_size": BATCH_SIZE,
        "reference_batch_size": BATCH_SIZE,
        "learning_rate": 5e-5,
        "cooldown_epochs": 0,
        "ema_decay": scaled_ema_decay(epochs * (images // BATCH_SIZE)),
    }
    return dataclasses.replace(pretraining, **(settings | changes))


def scaled_ema_decay(steps: int) -> float:
    """Return the EMA decay for a training of a number of steps.

    The average covers the same share of it as 0.99996 does of the 387,810 steps of
    `tnt_small_imagenet`, about a sixteenth. So as there, nothing remains of the initial
    weights at the end.

    Args:
        steps: number of steps, more than 15.

    Example:
        >>> from keras_tnt.training.transfer_recipes import scaled_ema_decay
        >>> scaled_ema_decay(4500)
        0.996553
    """
    share = (1 - tnt_small_imagenet().ema_decay) * PRETRAINING_STEPS
    return round(1 - share / steps, 6)
