"""Train TNT-S from scratch as the paper did.

As it stands this trains a toy for a few minutes, on the embedded images of clothing,
with everything that the paper's recipe has. With ImageNet (prepared by
tensorflow_datasets) it is the real thing, on all GPUs of this machine:

    python examples/train_imagenet.py --imagenet ~/tensorflow_datasets

Run it again after an interruption: it goes on where it was.
"""

import argparse
import dataclasses

from keras_tnt.training import tnt_small_imagenet, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--imagenet", metavar="FOLDER", help="of tensorflow_datasets")
parser.add_argument("--out", default="runs/train_imagenet", help="the run directory")
parser.add_argument("--epochs", type=int, help="fewer, for a try")
options = parser.parse_args()

recipe = tnt_small_imagenet()
if options.imagenet:
    recipe = dataclasses.replace(recipe, data_dir=options.imagenet)
else:
    recipe = dataclasses.replace(
        recipe,
        model="TNT",
        model_options={
            "outer_dim": 48,
            "inner_dim": 8,
            "depth": 3,
            "outer_num_heads": 3,
            "inner_num_heads": 2,
            "patch_size": 7,
            "inner_stride": 2,
            "drop_path_rate": 0.1,
        },
        data="fashion_mnist_mini",
        train_split="train[:20%]",
        validation_split="test",
        image_size=28,
        channels=1,
        crop_fraction=1.0,
        epochs=5,
        warmup_epochs=1,
        batch_size=64,
        learning_rate=4e-3,
        reference_batch_size=None,
        ema_decay=0.99,
        checkpoint_every=20,
    )
if options.epochs:
    recipe = dataclasses.replace(
        recipe,
        epochs=options.epochs,
        warmup_epochs=min(recipe.warmup_epochs, options.epochs - 1),
    )

result = train(recipe, options.out)
last = result.history[-1]
print(f"Accuracy of the weights {last['val_accuracy']:.1%}", end=", ")
print(f"of their average {last['val_ema_accuracy']:.1%}.")
