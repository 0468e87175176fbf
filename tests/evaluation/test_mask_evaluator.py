"""Evaluation of segmenters."""

import keras
import numpy as np
import pytest

from keras_tnt.data import load_mask_dataset
from keras_tnt.evaluation import MaskReport, evaluate_segmenter
from tests.helpers.masks import SHADE, mask_source, png, random_classes, write_masks


def by_shade(input_shape=(24, 20, 3), classes=3):
    """A model whose logits tell the class from the gray level."""
    images = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / SHADE)(images[..., :1])
    levels = np.arange(classes, dtype="float32")
    return keras.Model(images, -9 * keras.ops.square(x - levels))


def test_evaluate_segmenter__counts_every_pixel_once(tmp_path):
    """Also those of an image of another size, but none without class."""
    write_masks(tmp_path, {"": 5})
    large = random_classes(9, (48, 40))
    (tmp_path / "images" / "003.png").write_bytes(png(SHADE * large))
    (tmp_path / "masks" / "003.png").write_bytes(png(large))
    changed = random_classes(4)
    changed[:, :7] = 255
    changed[:, 7:9] = (changed[:, 7:9] + 1) % 3  # wrong
    (tmp_path / "masks" / "004.png").write_bytes(png(changed))
    source = load_mask_dataset(tmp_path)
    report = evaluate_segmenter(by_shade(), source, batch_size=2)
    assert report.images == 5
    sizes = 3 * 24 * 20 + 48 * 40 + 24 * 13
    assert report.confusion.sum() == sizes
    wrong = sizes - np.diag(report.confusion).sum()
    assert 24 * 2 <= wrong < 0.25 * sizes  # and some at the edges of the large image
    truth, guess = np.nonzero(report.confusion - np.diag(np.diag(report.confusion)))
    assert len(truth) > 0
    assert (truth != guess).all()
    assert 0 < report.loss < 2
    assert report.mean_iou == pytest.approx(np.mean(report.iou))
    calls = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_test_batch_end = calls.append
    again = evaluate_segmenter(by_shade(), source, batch_size=5, callbacks=[callback])
    np.testing.assert_array_equal(again.confusion, report.confusion)
    assert again.loss == pytest.approx(report.loss)
    assert calls == [0]


def test_evaluate_segmenter__any_size(tmp_path):
    source = mask_source(tmp_path, 3)
    model = by_shade((None, None, 3))
    report = evaluate_segmenter(model, source, image_size=(24, 20))
    assert report.mean_iou == report.accuracy == 1


def test_evaluate_segmenter__skips_corrupt_images(tmp_path):
    source = mask_source(tmp_path, 3)
    (tmp_path / "images" / "001.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"001\.png cannot be read or decoded"):
        evaluate_segmenter(by_shade(), source)
    report = evaluate_segmenter(by_shade(), source, skip_corrupt=True)
    assert (report.images, report.corrupt, report.mean_iou) == (2, 1, 1)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (by_shade(classes=2), {}, "has 3 classes, expected a model with logits"),
        (by_shade(), {"image_size": 32}, "takes images of size .* only"),
        (by_shade(), {"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_evaluate_segmenter__wrong_arguments(model, arguments, message, tmp_path):
    source = mask_source(tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        evaluate_segmenter(model, source, **arguments)


def test_evaluate_segmenter__nothing_to_count(tmp_path):
    source = mask_source(tmp_path, 1)
    (tmp_path / "masks" / "000.png").write_bytes(png(np.full((24, 20), 255, "uint8")))
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate_segmenter(by_shade(), source)


def test_mask_report__classes_that_do_not_occur():
    confusion = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    report = MaskReport(("sky", "tree", "road"), confusion, 0.5, images=1, corrupt=0)
    assert report.iou == pytest.approx([6 / 9, 3 / 6, np.nan], nan_ok=True)
    assert report.mean_iou == pytest.approx((6 / 9 + 3 / 6) / 2)
