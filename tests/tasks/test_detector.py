"""Detectors of both families."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.export import export_detector
from keras_tnt.tasks import detector
from keras_tnt.tasks.detections import detections_of
from tests.helpers.checks import two_replicas
from tests.helpers.small import build_pyramid_tnt, build_tnt, pixels, randomised


def small_detector(backbone=None, **arguments):
    backbone = backbone or build_tnt(depth=2, input_shape=(64, 96, 3))
    settings = {"dim": 32, "levels": (3, 4), "convolutions": 1}
    return detector(backbone, 5, **(settings | arguments))


def confident(model):
    """The detector with scores from 0 to 1 for noise."""
    bias = model.classification_head.weights[-1]
    bias.assign(np.random.default_rng(0).normal(0, 2, bias.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return confident(randomised(small_detector(max_detections=7)))


def objects(batch=2, size=(64, 96)):
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 0.5, (batch, 4, 2)) * size[::-1]
    sides = rng.uniform(0.2, 0.5, (batch, 4, 2)) * size[::-1]
    labels = rng.integers(-1, 5, (batch, 4))
    boxes = np.concatenate([corners, corners + sides], axis=-1)
    return {
        "boxes": (boxes * (labels >= 0)[..., None]).astype("float32"),
        "labels": labels.astype("int32"),
    }


@pytest.mark.slow
def test_detector__files_and_exports(model, tmp_path):
    images = pixels(model, batch=3).astype("float32")
    expected = model.predict_on_batch(images)
    assert expected["boxes"].shape == (3, 7, 4)
    assert expected["num_detections"].min() > 1
    assert 0.05 < expected["confidence"][0, 0] <= 1
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for found in (reloaded.predict(images, batch_size=2, verbose=0),):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-3, err_msg=name)
    path = export_detector(model, tmp_path / "served", list("abcde"))
    assert (path / "assets" / "labels.txt").read_text().split() == list("abcde")
    serve = tf.saved_model.load(path).signatures["predict_images_uint8"]
    whole = np.round(images).astype("uint8")
    found = serve(images=tf.constant(whole))
    expected = model.predict_on_batch(whole.astype("float32"))
    names = {"boxes": "boxes", "scores": "confidence", "classes": "labels"}
    for ours, theirs in (names | {"count": "num_detections"}).items():
        np.testing.assert_allclose(found[ours], expected[theirs], atol=1e-3)


def test_export_detector__refused(model, tmp_path):
    with pytest.raises(ValueError, match="Expected names of 5 classes, got 1"):
        export_detector(model, tmp_path / "served", ["cat"])
    with pytest.raises(ValueError, match="Expected a detector"):
        export_detector(build_tnt(depth=1), tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_detector__suppresses_boxes_of_a_class_only(model):
    """Equal boxes of one class are one detection, of two classes two."""
    anchors = model.output["cls_logits"].shape[1]
    offsets = np.zeros((1, anchors, 4), "float32")
    logits = np.full((1, anchors, 5), -9.0, "float32")
    center = anchors // 4  # an anchor inside of the image
    logits[0, center, 2] = 3
    for same in (center - 9, center + 9):  # anchors of the same size beside it
        logits[0, same, 2] = 2
    predicted = {"bbox_regression": offsets, "cls_logits": logits}
    images = tf.zeros((1, 64, 96, 3))
    model.prediction_decoder.iou_threshold = 0.3
    found = model.decode_predictions(predicted, images)
    assert found["num_detections"].numpy() == [1]
    logits[0, center + 9, 2], logits[0, center + 9, 4] = -9, 2
    found = model.decode_predictions(predicted, images)
    model.prediction_decoder.iou_threshold = 0.5
    assert found["labels"].numpy()[0, :3].tolist() == [2, 4, -1]
    assert found["num_detections"].numpy() == [2]
    scores = tf.sigmoid([3.0, 2.0])
    np.testing.assert_allclose(found["confidence"][0, :2], scores, rtol=1e-5)
    ours, theirs = (box.numpy() for box in found["boxes"][0, :2])
    assert abs(ours[0] - theirs[0]) == pytest.approx(8, abs=1e-2)  # the stride
    assert (found["boxes"][0, 2:].numpy() == -1).all()


def test_detector__half_precision_has_whole_pixels(model):
    rng = np.random.default_rng(0)
    anchors = model.output["cls_logits"].shape[1]
    offsets = rng.normal(0, 0.1, (1, anchors, 4))
    logits = rng.normal(-3, 2, (1, anchors, 5))
    half = {
        "bbox_regression": tf.cast(offsets, tf.bfloat16),
        "cls_logits": tf.cast(logits, tf.bfloat16),
    }
    full = {name: tf.cast(value, tf.float32) for name, value in half.items()}
    images = tf.zeros((1, 64, 96, 3), tf.bfloat16)
    found = model.decode_predictions(half, images)
    expected = model.decode_predictions(full, tf.cast(images, tf.float32))
    assert found["num_detections"].numpy() == [7]
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-3, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_detector__trains_every_weight(policy):
    model = small_detector(randomised(build_tnt(depth=2, input_shape=(64, 96, 3))))
    if policy != "float32":
        backbone = build_tnt(depth=2, input_shape=(64, 96, 3), dtype=policy)
        model = small_detector(randomised(backbone))
    images = pixels(model, batch=2)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(1e-3, global_clipnorm=1.0))
    losses = [
        model.train_on_batch(images, objects(), return_dict=True)["loss"]
        for _ in range(4)
    ]
    assert losses[-1] < losses[0]
    for weight, old in zip(model.trainable_weights, before, strict=True):
        if not weight.path.endswith("key/bias"):  # the softmax removes it
            assert np.abs(weight - old).max() > 0, weight.path


def test_detector__losses_of_detectron2():
    """Sums over offsets and classes, over the matches of an image; their mean."""
    model = small_detector()
    images, truth = pixels(model, batch=2).astype("float32"), objects()
    model.compile("sgd")
    predicted = model(images)
    boxes, labels = (
        value.numpy()
        for value in model.label_encoder(images, truth["boxes"], truth["labels"])
    )
    matches = (labels >= 0).sum(axis=1)
    assert matches.min() > 0
    difference = np.abs(predicted["bbox_regression"] - boxes)
    smooth = np.where(difference < 0.1, difference**2 / 0.2, difference - 0.05)
    p = tf.sigmoid(predicted["cls_logits"]).numpy()
    y = np.eye(6)[labels.astype(int) % 6][..., :5]  # -1 is the sixth
    p_t = np.where(y == 1, p, 1 - p)
    focal = np.where(y == 1, 0.25, 0.75) * (1 - p_t) ** 2 * -np.log(p_t)
    boxes = (smooth * (labels >= 0)[..., None]).sum(axis=(1, 2))
    classes = (focal * (labels != -2)[..., None]).sum(axis=(1, 2))
    expected = np.mean((boxes + classes) / matches)
    loss = model.compute_loss(images, truth, predicted)
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


@pytest.mark.slow
def test_detector__a_step_on_two_replicas_equals_one_device():
    """Gradients and reported losses, with objects divided unequally."""
    images, truth = pixels(small_detector(), batch=4), objects(4)
    truth["labels"][:2] = -1
    truth["labels"][1, 0] = 3
    data = tf.data.Dataset.from_tensor_slices((images, truth)).batch(4)
    ends, logs, start = [], [], None
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        with strategy.scope():
            model = small_detector(build_tnt(depth=1, input_shape=(64, 96, 3)))
            for weight in model.weights:
                rng = np.random.default_rng(len(weight.path))
                weight.assign(weight + rng.normal(0, 0.01, weight.shape))
            if start:
                model.set_weights(start)
            start = model.get_weights()
            model.compile(keras.optimizers.SGD(0.01))
        history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
        logs.append(history)
        ends.append(model.get_weights())
    moved = max(np.abs(a - b).max() for a, b in zip(ends[0], start, strict=True))
    assert moved > 1e-3
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5 * max(moved, 1))
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-3, err_msg=name)


def test_detector__images_without_objects():
    model = small_detector()
    empty = {"boxes": np.zeros((2, 4, 4)), "labels": np.full((2, 4), -1)}
    model.compile("sgd")
    logs = model.train_on_batch(pixels(model, batch=2), empty, return_dict=True)
    assert np.isfinite(logs["loss"])


def test_detector__pyramid_tnt():
    model = small_detector(build_pyramid_tnt(), levels=(3, 5))
    assert model.output["cls_logits"].shape[1] == 9 * (8 * 12 + 4 * 6 + 2 * 3)


def test_detector__backbone_inside_a_model():
    tnt = build_tnt(depth=1, include_top=False)
    images = keras.Input((64, 96, 3))
    outer = keras.Model(images, tnt(keras.layers.Resizing(32, 48)(images)))
    with pytest.raises(ValueError, match="has maps of the levels 3 to 6"):
        small_detector(outer, levels=(2, 4))
    assert small_detector(outer).input_shape == (None, 64, 96, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes must be at least 1"),
        ({"score_threshold": 1.5}, "score_threshold must be from 0 to 1, got 1.5"),
        (
            {"levels": (6, 7)},
            r"has maps of the levels 2 to 5, got levels=\(6, 7\)",
        ),
        ({"levels": (4, 3)}, r"got levels=\(4, 3\)"),
        ({"levels": 3}, "levels must be the first and the last level"),
        ({"blocks": (3,)}, "blocks to be numbers of 'tnt'"),
        (
            {"backbone": build_tnt(depth=1, input_shape=(48, 64, 3)), "levels": (3, 5)},
            "Expected a map of 1.5x2 at level 5, got 2x2",
        ),
        (
            {"backbone": build_tnt(depth=1, input_shape=(None, None, 3))},
            "Expected a backbone of a static image size",
        ),
    ],
)
def test_detector__wrong_arguments(arguments, message):
    backbone = build_tnt(depth=1, input_shape=(64, 96, 3))
    arguments = {"backbone": backbone, "classes": 5} | arguments
    with pytest.raises(ValueError, match=message):
        detector(**arguments)


@pytest.mark.slow
def test_detector__published_size():
    """Levels 3 to 7 of TNT-Ti at strides 8 to 128, nine anchors at each place."""
    tnt = keras_tnt.TNTTiny(input_shape=(256, 384, 3), include_top=False)
    model = detector(tnt, 80)
    places = sum((256 >> n) * (384 >> n) for n in range(3, 8))
    # KerasHub's shapes of the symbolic outputs are wrong unless images are square.
    predicted = model(np.zeros((1, 256, 384, 3)))
    assert predicted["bbox_regression"].shape == (1, 9 * places, 4)
    assert model.predict_on_batch(np.zeros((1, 256, 384, 3)))["boxes"].shape[1] == 100


def test_detections_of__clips_sorts_and_leaves_out():
    predicted = {
        "boxes": np.array(
            [[[-4, 2, 9, 4], [0, 0, 4, 8], [9, 0, 12, 4], [-1, -1, -1, -1]]], float
        ),
        "labels": np.array([[1, 0, 2, -1]]),
        "confidence": np.array([[0.4, 0.8, 0.9, -1]]),
        "num_detections": np.array([3]),
    }
    found = detections_of(predicted, 0, (8, 8), (16, 24))
    expected = [[0, 0, 12, 16, 0, 0.8], [0, 4, 24, 8, 1, 0.4]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
