"""Calibration, counted by hand."""

import numpy as np
import pytest

from keras_tnt.evaluation import Calibration


def test_calibration__counted_by_hand():
    confidence = np.array([0.05, 0.5, 0.45, 0.9, 0.95, 1.0])
    right = np.array([True, False, True, True, False, True])
    counts = Calibration.of(confidence, right, bins=10)
    # 0.5 belongs to the bin from 0.4, 0.9 to the one from 0.8.
    assert counts.images.tolist() == [1, 0, 0, 0, 2, 0, 0, 0, 1, 2]
    assert counts.hits.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(counts.confidence[[0, 4, 8, 9]], [0.05, 0.95, 0.9, 1.95])
    assert counts.error == pytest.approx((0.95 + 0.05 + 0.1 + 0.95) / 6)
    assert counts.bins[4]["accuracy"] == 0.5
    assert counts.bins[4]["confidence"] == pytest.approx(0.475)
    assert counts.bins[5] == {
        "above": 0.5, "images": 0, "accuracy": None, "confidence": None
    }  # fmt: skip


def test_calibration__plus_is_both_together(rng):
    confidence, right = rng.uniform(size=40), rng.uniform(size=40) < 0.5
    parts = [Calibration.of(confidence[part], right[part]) for part in
             (slice(13), slice(13, 40))]  # fmt: skip
    both, expected = parts[0].plus(parts[1]), Calibration.of(confidence, right)
    for found, wanted in zip(both, expected, strict=True):
        np.testing.assert_allclose(found, wanted)
    assert len(both.bins) == 15


def test_calibration__ends():
    counts = Calibration.of(np.array([0.0, 1.0 + 1e-9]), np.array([False, True]))
    assert counts.images.tolist() == [1, *[0] * 13, 1]
