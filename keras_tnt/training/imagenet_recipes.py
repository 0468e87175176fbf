"""The published recipes for training on ImageNet, each with its source."""

import dataclasses

from keras_tnt.data import IMAGENET_AUGMENTATION
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


def tnt_tiny_distilled() -> Recipe:
    """Train TNT-Ti on ImageNet from scratch, with the published TNT-B as its teacher.

    No paper has such a run, and it was not run here: its accuracy is not known. The
    paper reports 73.9 % top-1 for TNT-Ti without a teacher, and no weights of it are
    published.

    From DeiT (arXiv 2012.12877): the hard loss with half of the weight, and a teacher
    that sees the student's augmented and mixed images. DeiT trains its distilled models
    with the same settings as the others, so all other settings are those of
    `tnt_small_imagenet`.

    Choices of this package, which were not tuned: the teacher, a TNT (DeiT found
    convolutional teachers better than transformers); the class token learns from labels
    and teacher, as there is no distillation token; stochastic depth 0.1 for a model of
    this size.

    Command: `keras-tnt train --recipe tnt_tiny_distilled`. The teacher's weights are
    downloaded, or given as a file: `--teacher TNTBase:tnt_b.safetensors`.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import tnt_tiny_distilled
        >>> tnt_tiny_distilled().teacher
        'TNTBase:imagenet'
    """
    return dataclasses.replace(
        tnt_small_imagenet(), model="TNTTiny", teacher="TNTBase:imagenet"
    )
