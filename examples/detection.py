"""Detect objects with a RetinaNet on a TNT: train by a recipe, evaluate and plot.

The example trains KerasHub's RetinaNet on a small TNT from scratch, on scenes made of
the bundled images, for a few minutes on two cores. It prints the average precision, and
plots detections. The same command again resumes. It needs the extra `detect`.

    python examples/detection.py
    python examples/detection.py --scenes 8000 --epochs 5    # longer, and better

For your own images, write their boxes in COCO's format, as
`keras_tnt.data.load_box_dataset` describes it, and start from the published weights:
`Recipe(task="detection", model="TNTSmall", weights="imagenet", image_size=640, …)`.
"""

import argparse
from pathlib import Path

from scenes import KINDS, SMALL_TNT, make_scenes, write_scenes

from keras_tnt.data import Augmentation, load_box_dataset
from keras_tnt.evaluation import evaluate_detector
from keras_tnt.inference import Detector, detect
from keras_tnt.training import Recipe, train
from keras_tnt.visualization import plot_boxes


def scene_recipe(directory, epochs):
    """Return the recipe: a TNT of four blocks over 6x6 patches, and a RetinaNet.

    Args:
        directory: where `write_scenes` wrote the scenes with boxes.
        epochs: passes over the training scenes.
    """
    return Recipe(
        task="detection",
        task_options={
            "levels": (2, 4),  # strides 4 to 16, anchors of 16 pixels and more
            "convolutions": 1,  # in each head; RetinaNet has 4
            "dim": 96,
            "iou_threshold": 0.3,  # objects hardly overlap
            "max_boxes": 6,
        },
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
        batch_size=16,
        learning_rate=1e-3,
        warmup_epochs=max(epochs // 10, 1),
        clip_norm=1.0,
        ema_decay=0.99,
        ema_warmup=True,
    )


def plot(model, path, least=0.4):
    """Plot confident detections and true boxes in ten test scenes."""
    few = make_scenes("test", 10, seed=1)
    detector = Detector(model, list(KINDS))
    found = [
        [(*each.box, each.label, each.score) for each in objects if each.score > least]
        for objects in (detect(detector, image) for image in few.images.repeat(3, -1))
    ]
    truths = [
        [(*box, kind) for box, kind in zip(*objects, strict=True) if kind >= 0]
        for objects in zip(few.boxes, few.kinds, strict=True)
    ]
    plot_boxes(few.images, found, KINDS, path, truths)
    print(f"Wrote {path} with {len(few.images)} scenes.")


def main():
    """Train, evaluate and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=1600, help="training scenes")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", default="runs/detection", help="directory")
    options = parser.parse_args()
    out = Path(options.out)

    scenes = out / f"scenes_{options.scenes}"
    out.mkdir(parents=True, exist_ok=True)
    splits = {
        "train": {"split": "train[:90%]", "count": options.scenes},
        "validation": {"split": "train[90%:]", "count": 100, "seed": 2},
        "test": {"split": "test", "count": 300, "seed": 1},
    }
    write_scenes(scenes, splits, boxes=True)
    model = train(scene_recipe(scenes, options.epochs), out / "run").model

    source = load_box_dataset(str(scenes), "test")
    report = evaluate_detector(model, source, batch_size=50)
    print(f"AP50 {report.ap50:.3f} on {report.images} scenes, AP {report.ap:.3f}.")
    plot(model, out / "boxes.png")


if __name__ == "__main__":
    main()
