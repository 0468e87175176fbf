"""The published recipes, each with its source.

Any field can be replaced: `dataclasses.replace(tnt_small_imagenet(), epochs=100)`, or
`keras-tnt train --recipe tnt_small_imagenet --epochs 100`.
"""

import dataclasses

from keras_tnt.data import (
    FINETUNE_AUGMENTATION,
    FLIP_AUGMENTATION,
    IMAGENET_AUGMENTATION,
)
from keras_tnt.training.recipe import Recipe


def tnt_small_imagenet() -> Recipe:
    """Train TNT-S on ImageNet from scratch: 81.5 % top-1 in the paper.

    Source: the paper, section 3.1 and Table 3 (DeiT's recipe), and the command of the
    official code: 310 epochs on 8 GPUs with 128 images each, AdamW, 5 epochs of warm-up
    from 1e-6, a cosine from 1e-3 to 1e-5 up to epoch 300 and 10 epochs at 1e-5, the
    rate constant within an epoch, weight decay 0.05, label smoothing 0.1, stochastic
    depth 0.1, exponential moving average 0.99996, RandAugment rand-m9-mstd0.5-inc1,
    MixUp 0.8, CutMix 1.0, random erasing 0.25, repeated augmentation.

    As officially, the result has the averaged weights of the epoch with the highest
    accuracy. The average starts at the initial weights, its decay is constant and
    batch normalization's statistics are averaged too; gradients are not clipped. The
    official command's color jitter has no effect beside RandAugment and is left out.

    Command: `keras-tnt train --recipe tnt_small_imagenet`; see docs/tested.md for what
    was run.

    What still differs from the official run, and why:

    - bfloat16 on GPUs and TPUs instead of float16 with loss scaling: it needs none;
      `precision="float16"` has it.
    - RandAugment rotates, shears and moves with bilinear interpolation, the only
      suitable one in TensorFlow; officially bilinear or bicubic is drawn at random. It
      combines the image and the fill value at the border differently from Pillow.
    - The noise of random erasing is clipped to 0-255, as all images of the pipeline.
    - JPEG decoding and resizing are TensorFlow's, about a gray level from Pillow's.
    - Everything random is a function of seed and step, from other generators: so a run
      resumes, and does not depend on the number of processes. With PyTorch 1.7 all
      loader workers repeat NumPy's draws each epoch, an accident that is not copied.
    - Groups of 128 images are mixed, whatever the number of devices; officially the
      groups are those of the eight processes.
    - Evaluation counts every image once; officially the processes' parts are padded
      with repeated images.
    - One best checkpoint is kept, officially ten.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import tnt_small_imagenet
        >>> tnt_small_imagenet().learning_rate
        0.001
    """
    return Recipe(
        model="TNTSmall",
        model_options={"drop_path_rate": 0.1},
        data="imagenet2012",
        augmentation=IMAGENET_AUGMENTATION,
        epochs=310,
        batch_size=1024,
        learning_rate=1e-3,
        reference_batch_size=1024,
        schedule="epoch",
        warmup_learning_rate=1e-6,
        final_learning_rate=1e-5,
        warmup_epochs=5,
        cooldown_epochs=10,
        ema_decay=0.99996,
        keep="best",
    )


def pyramid_tnt_small_imagenet() -> Recipe:
    """Train PyramidTNT-S on ImageNet from scratch: 82.0 % top-1 in its paper.

    Source: PyramidTNT (arXiv 2201.00978), section 3.1: TNT's recipe with 20 epochs of
    warm-up, at 256x256. As officially, batch normalization uses the statistics of each
    replica's own images, so they depend on the number of replicas; the official run
    has 128 images on each of 8.

    Command: `keras-tnt train --recipe pyramid_tnt_small_imagenet`; see docs/tested.md
    for what was run.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import pyramid_tnt_small_imagenet
        >>> pyramid_tnt_small_imagenet().warmup_epochs
        20
    """
    return dataclasses.replace(
        tnt_small_imagenet(), model="PyramidTNTSmall", image_size=256, warmup_epochs=20
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
        tnt_small_finetune_384,
        fashion_mnist_demo,
        pyramid_tnt_small_imagenet,
    )
}
