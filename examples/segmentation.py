"""Segment images with a TNT: train by a recipe, evaluate and plot.

The example trains a small TNT with the head of UPerNet from scratch, on scenes made of
the bundled images, for a few minutes on two cores. It prints the mean intersection over
union of background and five kinds, and plots predictions. The same command again
resumes.

    python examples/segmentation.py
    python examples/segmentation.py --scenes 8000 --epochs 24    # longer, and better

For your own images, write them and their masks into a directory as
`keras_tnt.data.load_mask_dataset` describes it, and start from the published weights:
`Recipe(task="segmentation", model="TNTSmall", weights="imagenet", image_size=512, …)`.
"""

import argparse
from pathlib import Path

import numpy as np
from scenes import KINDS, SMALL_TNT, make_scenes, write_scenes

from keras_tnt.data import Augmentation, load_mask_dataset
from keras_tnt.evaluation import evaluate_segmenter
from keras_tnt.training import Recipe, train
from keras_tnt.visualization import plot_masks


def scene_recipe(directory, epochs):
    """Return the recipe: a TNT of four blocks over 6x6 patches, and a head.

    Args:
        directory: where `write_scenes` wrote the scenes.
        epochs: passes over the training scenes.
    """
    return Recipe(
        task="segmentation",
        task_options={"head": "upernet", "dim": 32},
        model="TNT",
        model_options=SMALL_TNT,
        data=str(directory),
        validation_split="validation",
        image_size=48,
        channels=1,
        augmentation=Augmentation(flip=0.5),
        label_smoothing=0.0,
        cache=True,
        epochs=epochs,
        batch_size=32,
        learning_rate=3e-3,
        warmup_epochs=max(epochs // 10, 1),
        clip_norm=1.0,
        ema_decay=0.99,
        ema_warmup=True,
    )


def plot(model, path):
    """Plot predicted and true masks of eight test scenes."""
    few = make_scenes("test", 8, seed=1)
    predicted = np.argmax(model.predict(few.images, verbose=0), axis=-1)
    plot_masks(few.images, predicted, ("background", *KINDS), path, few.masks)
    print(f"Wrote {path} with {len(few.images)} scenes.")


def main():
    """Train, evaluate and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000, help="training scenes")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", default="runs/segmentation", help="directory")
    options = parser.parse_args()
    out = Path(options.out)

    scenes = out / f"scenes_{options.scenes}"
    out.mkdir(parents=True, exist_ok=True)
    splits = {
        "train": {"split": "train[:90%]", "count": options.scenes},
        "validation": {"split": "train[90%:]", "count": 100, "seed": 2},
        "test": {"split": "test", "count": 300, "seed": 1},
    }
    write_scenes(scenes, splits)
    model = train(scene_recipe(scenes, options.epochs), out / "run").model

    report = evaluate_segmenter(model, load_mask_dataset(str(scenes), "test"))
    print(f"mIoU {report.mean_iou:.3f} on {report.images} scenes.")
    plot(model, out / "masks.png")


if __name__ == "__main__":
    main()
