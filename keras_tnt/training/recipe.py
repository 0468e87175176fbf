"""Recipes: everything that a training run is made of, in one record."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a model is trained with.

    Attributes:
        model: arguments of `keras_tnt.TNT`.
        epochs: passes over the training set.
        batch_size: pictures a step, on all devices together.
        learning_rate: at the end of the warm-up.
        final_learning_rate: at the end of the cosine.
        warmup_epochs: epochs of linear warm-up from 0.
        weight_decay: AdamW's, on matrices and kernels only.
        label_smoothing: probability given to all classes alike.
        crop_fraction: central share of a picture that is evaluated.
        seed: of weights, order, augmentation and dropout.

    Raises:
        ValueError: if the warm-up takes all epochs.

    Example:
        >>> import dataclasses
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> dataclasses.replace(fashion_mnist_demo(), epochs=3).epochs
        3
    """

    model: dict
    epochs: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    warmup_epochs: int
    weight_decay: float
    label_smoothing: float
    crop_fraction: float
    seed: int = 0

    def __post_init__(self):
        if self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"epochs must be more than the {self.warmup_epochs} of the warm-up, "
                f"got {self.epochs}."
            )


def fashion_mnist_demo():
    """A small TNT on the embedded 12,000 pictures of Fashion-MNIST.

    Made for this package: a few minutes on two CPU cores. The shape follows TNT-Ti,
    with 16 patches of 7x7 and 16 pixels in each; optimizer and schedule follow the
    paper's Table 1, with a higher learning rate for the few steps.

    Returns:
        A `Recipe`.

    Example:
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> fashion_mnist_demo().model["patch_size"]
        7
    """
    return Recipe(
        model={
            "outer_dim": 64,
            "inner_dim": 8,
            "depth": 4,
            "outer_num_heads": 4,
            "inner_num_heads": 2,
            "patch_size": 7,
            "inner_stride": 2,
            "classes": 10,
            "input_shape": [28, 28, 1],
            "name": "tnt_fashion_mnist",
        },
        epochs=12,
        batch_size=64,
        learning_rate=4e-3,
        final_learning_rate=4e-5,
        warmup_epochs=1,
        weight_decay=0.05,
        label_smoothing=0.1,
        crop_fraction=1.0,
    )
