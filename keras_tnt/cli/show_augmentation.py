"""`keras-tnt data`."""

import argparse
from pathlib import Path

ROWS, COLUMNS = 4, 6


def add_command(commands: argparse._SubParsersAction) -> None:
    """Adds the command's arguments to the command line."""
    data = commands.add_parser(
        "data", help="show what training does to the images of a data set"
    )
    data.add_argument(
        "--show",
        action="store_true",
        required=True,
        help="draw a batch of augmented images and their labels",
    )
    data.add_argument(
        "--data",
        default="fashion_mnist_mini",
        help="fashion_mnist_mini (the default), a tfds name, or a directory of class "
        "directories",
    )
    data.add_argument("--split", help="by default train, where there are splits")
    data.add_argument("--data-dir", help="where tfds keeps its data sets")
    data.add_argument(
        "--augmentation",
        choices=["imagenet", "finetune", "flip"],
        default="imagenet",
        help="whose recipe (imagenet)",
    )
    data.add_argument("--image-size", type=int, default=224, help="in pixels (224)")
    data.add_argument("--gray", action="store_true", help="one channel, not three")
    data.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    data.add_argument("--step", type=int, default=0, help="of training (0)")
    data.add_argument(
        "--out", type=Path, default="augmented.png", help="the image to write"
    )
    data.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_tnt import data
    from keras_tnt.visualization.plot_results import (
        plot_augmented_images,
        require_matplotlib,
    )

    require_matplotlib()
    augmentation = getattr(data, f"{options.augmentation.upper()}_AUGMENTATION")
    source = _open(data.load_dataset, options)
    batch = min(ROWS * COLUMNS, len(source) // 2 * 2)
    batches = data.image_dataset(
        source,
        batch_size=batch,
        image_size=options.image_size,
        channels=1 if options.gray else 3,
        augmentation=augmentation,
        seed=options.seed,
        first_step=options.step,
        epochs=options.step // (len(source) // batch) + 1,
    )
    images, labels = next(iter(batches))
    plot_augmented_images(
        images.numpy(), labels.numpy(), source.class_names, options.out
    )
    print(f"{options.out}: {batch} of {len(source)} images, {source.name}")


def _open(load_dataset, options):
    if options.split is not None:
        return load_dataset(options.data, options.split, options.data_dir)
    try:
        return load_dataset(options.data, "train", options.data_dir)
    except ValueError:  # a directory without splits, or what the next line explains
        return load_dataset(options.data, None, options.data_dir)
