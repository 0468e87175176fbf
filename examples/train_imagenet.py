"""Train TNT-S from scratch with the paper's recipe.

By default the example trains a small model for a few minutes on the bundled images,
with all parts of the recipe. With ImageNet (prepared by tensorflow_datasets) it trains
TNT-S on all GPUs of this machine:

    python examples/train_imagenet.py --imagenet ~/tensorflow_datasets

The same command resumes an interrupted run.
"""

import argparse
import dataclasses

from keras_tnt.training import tnt_small_imagenet, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--imagenet", metavar="DIRECTORY", help="of tensorflow_datasets")
parser.add_argument("--out", default="runs/train_imagenet", help="the run directory")
parser.add_argument("--epochs", type=int, help="number of epochs")
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
        schedule="step",  # an epoch at the warm-up's first rate would be lost
        warmup_epochs=1,
        cooldown_epochs=1,
        batch_size=64,
        learning_rate=4e-3,
        reference_batch_size=None,
        ema_decay=0.99,
        ema_warmup=True,
        checkpoint_every=20,
    )
if options.epochs:
    recipe = dataclasses.replace(recipe, epochs=options.epochs)

result = train(recipe, options.out)
last = result.history[-1]
print(f"Accuracy of the weights {last['val_accuracy']:.1%}", end=", ")
print(f"of their EMA {last['val_ema_accuracy']:.1%}.")
