"""`keras-tnt show-augmentation`."""

import argparse
import dataclasses

from keras_tnt import data
from keras_tnt.cli.options import add_field_options, given_fields
from keras_tnt.visualization.figure import require_matplotlib
from keras_tnt.visualization.plot_results import plot_augmented_images

ROWS, COLUMNS = 4, 6


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    show = commands.add_parser(
        "show-augmentation", help="plot a batch of augmented training images"
    )
    show.add_argument(
        "--data",
        default="fashion_mnist_mini",
        help="fashion_mnist_mini (the default), a tfds data set, or an image folder",
    )
    show.add_argument(
        "--split", help="a split or slice; train by default, if there are splits"
    )
    show.add_argument("--data-dir", help="directory of tfds' data sets")
    show.add_argument(
        "--augmentation",
        choices=["imagenet", "finetune", "flip"],
        default="imagenet",
        help="the augmentation (imagenet), of which the fields below can be changed",
    )
    show.add_argument("--image-size", type=int, default=224, help="in pixels (224)")
    show.add_argument("--gray", action="store_true", help="gray images")
    show.add_argument(
        "--seed", type=int, default=0, help="seed of everything random (0)"
    )
    show.add_argument("--step", type=int, default=0, help="step of the training (0)")
    show.add_argument("--out", default="augmented.png", help="the image to write")
    add_field_options(show, data.Augmentation, "fields of the augmentation")
    show.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    require_matplotlib()
    augmentation = dataclasses.replace(
        getattr(data, f"{options.augmentation.upper()}_AUGMENTATION"),
        **given_fields(options),
    )
    source = _load(options)
    batch = min(ROWS * COLUMNS, len(source) // 2 * 2)
    if not batch:  # MixUp and CutMix need pairs
        raise ValueError(
            f"{source.name!r} has {len(source)} image, expected two or more."
        )
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


def _load(options):
    if options.split is not None:
        return data.load_dataset(options.data, options.split, options.data_dir)
    try:
        return data.load_dataset(options.data, "train", options.data_dir)
    except ValueError:  # no splits, or an error that the next line repeats
        return data.load_dataset(options.data, None, options.data_dir)
