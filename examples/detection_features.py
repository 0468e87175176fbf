"""Detect objects with KerasHub's RetinaNet on a feature pyramid of a TNT.

The paper's Faster R-CNN (Table 13) uses blocks 3, 6, 9 and 12 of a TNT at strides 4, 8,
16 and 32. This example builds the same pyramid for KerasHub's RetinaNet
(`pip install ".[hub]"`) and trains it on small scenes made of the bundled images, for a
few minutes on two cores:

    python examples/detection_features.py
    python examples/detection_features.py --scenes 8000 --epochs 20    # longer, better

For a head of your own, use `pyramid(keras_tnt.TNTSmall(...))` alone.
"""

import argparse
import math

import keras
import numpy as np
from scenes import KINDS, make_scenes, small_tnt

import keras_tnt
from keras_tnt.compat.libraries import reset_retinanet_biases
from keras_tnt.visualization.plot_results import require_matplotlib


def pyramid(tnt, blocks=(3, 6, 9, 12)):
    """Return a model from images to feature maps at four strides.

    All four blocks have the stride of the patches. Transposed convolutions enlarge the
    first map four times and the second twice. Max pooling halves the last. `"P4"` has
    stride 2⁴. Patches of 16 give strides 4, 8, 16 and 32.
    """
    features = keras_tnt.feature_extractor(tnt, blocks)
    finest, fine, same, coarse = features.output.values()
    dim = same.shape[-1]
    maps = [
        _enlarge(_enlarge(finest, dim, "finest_1"), dim, "finest_2"),
        _enlarge(fine, dim, "fine"),
        same,
        keras.layers.MaxPooling2D(2, padding="same", name="coarse")(coarse),
    ]
    level = int(math.log2(features.input.shape[1] // same.shape[1])) - 2
    outputs = {f"P{level + index}": value for index, value in enumerate(maps)}
    return keras.Model(features.input, outputs, name="pyramid")


def _enlarge(maps, dim, name):
    up = keras.layers.Conv2DTranspose(dim, 2, strides=2, name=f"{name}_up")
    norm = keras.layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")
    return keras.layers.Activation("gelu", name=f"{name}_gelu")(norm(up(maps)))


def build(tnt, blocks, classes, levels):
    """Return a RetinaNet on consecutive levels of the pyramid, finest first."""
    import keras_hub  # here, because the pyramid works without it

    maps = pyramid(tnt, blocks)
    wanted = {f"P{level}": maps.output[f"P{level}"] for level in levels}
    encoder = keras_hub.models.FeaturePyramidBackbone(maps.inputs, wanted)
    encoder.pyramid_outputs = wanted
    backbone = keras_hub.models.RetinaNetBackbone(
        encoder,
        min_level=levels[0],
        max_level=levels[-1],
        use_p5=False,
        image_shape=tnt.input_shape[1:],
    )
    model = keras_hub.models.RetinaNetObjectDetector(
        backbone,
        num_classes=classes,
        bounding_box_format="xyxy",
        prediction_decoder=keras_hub.layers.NonMaxSuppression(
            bounding_box_format="xyxy",
            from_logits=True,
            iou_threshold=0.3,  # objects hardly overlap
            confidence_threshold=0.05,
            max_detections=20,
        ),
        pre_logits_num_conv_layers=1,  # of 256 channels; RetinaNet has 4
    )
    reset_retinanet_biases(model)
    return model


def iou(boxes, others):
    """Return the intersection over union of all pairs: `(boxes, others)`."""
    corners = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = corners - np.maximum(boxes[:, None, :2], others[None, :, :2])
    inside = np.prod(np.clip(sides, 0, None), axis=-1)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others)]
    return inside / np.maximum(areas[0][:, None] + areas[1] - inside, 1e-6)


def average_precision(scenes, found, kind):
    """Return the average precision of one kind at an IoU of 0.5."""
    hits, total = [], 0
    for index in range(len(scenes.images)):
        truth = scenes.boxes[index][scenes.kinds[index] == kind]
        total += len(truth)
        chosen = found["labels"][index] == kind
        boxes, scores = (
            found["boxes"][index][chosen],
            found["confidence"][index][chosen],
        )
        free = np.ones(len(truth), bool)
        for rank in np.argsort(-scores):
            overlap = iou(boxes[rank : rank + 1], truth)[0] * free
            hit = len(truth) > 0 and overlap.max() > 0.5
            if hit:
                free[overlap.argmax()] = False
            hits.append((scores[rank], hit))
    right = np.array([hit for _, hit in sorted(hits, key=lambda pair: -pair[0])])
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right.astype(bool)].sum() / max(total, 1))


def plot_detections(scenes, found, path, least=0.4):
    """Plot scenes with detected boxes, and the ground truth dashed."""
    matplotlib = require_matplotlib()
    colors = matplotlib.colormaps["tab10"].colors
    count = len(scenes.images)
    figure = matplotlib.figure.Figure((2 * count / 2, 4.6), layout="constrained")
    for index, axis in enumerate(figure.subplots(2, count // 2).flat):
        axis.imshow(scenes.images[index, ..., 0], cmap="gray")
        axis.set_axis_off()
        drawn = [
            (box, kind, "--", 1)
            for box, kind in zip(scenes.boxes[index], scenes.kinds[index], strict=True)
        ]
        drawn += [
            (box, kind, "-", 2)
            for box, kind, score in zip(
                *(found[key][index] for key in ("boxes", "labels", "confidence")),
                strict=True,
            )
            if score > least
        ]
        for (left, top, right, bottom), kind, style, width in drawn:
            if kind >= 0:
                place = (left - 0.5, top - 0.5), right - left, bottom - top
                look = {"fill": False, "linestyle": style, "linewidth": width}
                axis.add_patch(
                    matplotlib.patches.Rectangle(*place, color=colors[kind], **look)
                )
    lines = [
        matplotlib.patches.Patch(color=colors[kind], label=name)
        for kind, name in enumerate(KINDS)
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(KINDS))
    figure.savefig(path, dpi=120)


def main():
    """Train, evaluate and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=1600, help="training scenes")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", default="detection.png", help="output image")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)

    train = make_scenes("train", options.scenes)
    test = make_scenes("test", 100, seed=1)
    model = build(small_tnt(), (1, 2, 3, 4), len(KINDS), levels=(2, 3, 4))
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, weight_decay=0.05, global_clipnorm=1.0),
        box_loss="auto",
        classification_loss="auto",
    )
    model.fit(
        train.images,
        {"boxes": train.boxes, "labels": train.kinds},
        batch_size=16,
        epochs=options.epochs,
        shuffle=False,  # KerasHub makes a tf.data.Dataset; scenes are in random order
        verbose=2,
    )
    found = model.predict(test.images, batch_size=20, verbose=0)
    precisions = [average_precision(test, found, kind) for kind in range(len(KINDS))]
    print(f"AP50 {np.mean(precisions):.3f} on {len(test.images)} scenes:", end=" ")
    print(
        ", ".join(f"{name} {p:.2f}" for name, p in zip(KINDS, precisions, strict=True))
    )
    few = type(test)(*(value[:10] for value in test))
    plot_detections(few, found, options.out)
    print(f"Wrote {options.out} with {len(few.images)} of them.")


if __name__ == "__main__":
    main()
