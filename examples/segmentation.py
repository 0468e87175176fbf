"""Segment images with a light head on the feature maps of four blocks of a TNT.

The example trains a small TNT from scratch on scenes made of the bundled images, for a
few minutes on two cores. It prints the mean intersection over union of background and
five kinds, and plots predictions.

    python examples/segmentation.py
    python examples/segmentation.py --scenes 8000 --epochs 12    # longer, and better

For your own images, use the published weights, a larger image size and your masks:
`build(keras_tnt.TNTSmall(input_shape=(512, 512, 3)), classes, blocks=(3, 6, 9, 12))`.
"""

import argparse

import keras
import numpy as np
from scenes import KINDS, make_scenes, small_tnt

import keras_tnt
from keras_tnt.visualization.plot_results import require_matplotlib


def build(tnt, classes, blocks):
    """Return a model from images to class probabilities per pixel.

    The head projects every map to 32 channels and concatenates them. Transposed
    convolutions double the size until it equals that of the image.
    """
    features = keras_tnt.feature_extractor(tnt, blocks, final_norm=True)
    maps = [
        keras.layers.Conv2D(32, 1, name=f"reduce_{name}")(value)
        for name, value in features.output.items()
    ]
    x = keras.layers.Concatenate()(maps)
    height = features.input.shape[1]
    while 2 * x.shape[1] < height:
        x = keras.layers.Conv2DTranspose(48, 2, strides=2, activation="gelu")(x)
    x = keras.layers.Conv2DTranspose(classes, 2, strides=2)(x)
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(features.input, probabilities, name="segmentation")


def mean_iou(model, scenes):
    """Return the mean intersection over union of all classes, with background."""
    metric = keras.metrics.MeanIoU(model.output_shape[-1], sparse_y_pred=False)
    metric.update_state(scenes.masks, model.predict(scenes.images, verbose=0))
    return float(metric.result())


def plot_masks(scenes, predicted, path):
    """Plot scenes, ground truth and predictions in three rows."""
    matplotlib = require_matplotlib()
    count = len(scenes.images)
    figure = matplotlib.figure.Figure((1.5 * count, 5.2), layout="constrained")
    colors = matplotlib.colors.ListedColormap(
        ["black", *matplotlib.colormaps["tab10"].colors[: len(KINDS)]]
    )
    axes = figure.subplots(3, count, squeeze=False)
    for column in range(count):
        axes[0][column].imshow(scenes.images[column, ..., 0], cmap="gray")
        for row, mask in ((1, scenes.masks[column]), (2, predicted[column])):
            axes[row][column].imshow(mask, colors, vmin=0, vmax=len(KINDS))
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for row, title in zip(axes, ("scene", "truth", "predicted"), strict=True):
        row[0].set_ylabel(title)
    patches = [
        matplotlib.patches.Patch(color=colors(index + 1), label=name)
        for index, name in enumerate(KINDS)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    """Train, evaluate and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000, help="training scenes")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", default="segmentation.png", help="output image")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)

    train = make_scenes("train", options.scenes)
    test = make_scenes("test", 300, seed=1)

    model = build(small_tnt(), 1 + len(KINDS), blocks=(1, 2, 3, 4))
    steps = options.epochs * -(-options.scenes // 32)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=3e-3, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.05),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        train.images, train.masks, batch_size=32, epochs=options.epochs, verbose=2
    )

    print(f"mIoU {mean_iou(model, test):.3f} on {len(test.images)} scenes.")
    few = type(test)(*(value[:8] for value in test))
    predicted = np.argmax(model.predict(few.images, verbose=0), axis=-1)
    plot_masks(few, predicted, options.out)
    print(f"Wrote {options.out} with {len(few.images)} of them.")


if __name__ == "__main__":
    main()
