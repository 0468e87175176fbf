"""The loss of a segmenter."""

import keras
import numpy as np
import pytest

from keras_tnt.training import MaskCrossentropy


def test_mask_crossentropy__by_hand():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    truth = rng.integers(-1, 5, (2, 3, 4))
    weights = np.array([1, 2, 0.5, 3, 1])
    log_shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total = 0.0
    for place in np.ndindex(truth.shape):
        if truth[place] >= 0:
            target = np.full(5, 0.1 / 5)
            target[truth[place]] += 0.9
            total -= weights[truth[place]] * (target * log_shares[place]).sum()
    loss = MaskCrossentropy(weights, label_smoothing=0.1)
    assert float(loss(truth, logits)) == pytest.approx(total / truth.size, rel=1e-5)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    positive = np.abs(truth)
    assert float(MaskCrossentropy()(positive, logits)) == pytest.approx(
        float(plain(positive, logits)), rel=1e-5
    )


def test_mask_crossentropy__nothing_has_a_class():
    logits = keras.ops.ones((1, 2, 2, 3))
    assert float(MaskCrossentropy()(-np.ones((1, 2, 2)), logits)) == 0


def test_mask_crossentropy__number_of_weights():
    loss = MaskCrossentropy([1.0, 2.0])
    with pytest.raises(ValueError, match="each of 3 classes, got 2 class_weights"):
        loss(np.zeros((1, 2, 2)), keras.ops.ones((1, 2, 2, 3)))
