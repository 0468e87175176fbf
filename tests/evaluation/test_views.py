"""Test-time augmentation."""

import numpy as np

from keras_tnt.evaluation.views import mean_of_views


def answers_to(images, **options):
    seen = []

    def predict(view):
        seen.append(np.asarray(view))
        return np.full((len(view), 2), float(len(seen)))

    return mean_of_views(predict, images, (2, 3), **options), seen


def test_mean_of_views__one(rng):
    images = rng.normal(size=(4, 2, 3, 1))
    mean, seen = answers_to(images)
    np.testing.assert_array_equal(seen, [images])
    np.testing.assert_array_equal(mean, np.full((4, 2), 1.0))


def test_mean_of_views__flip(rng):
    images = rng.normal(size=(4, 2, 3, 1))
    mean, seen = answers_to(images, flip=True)
    np.testing.assert_array_equal(seen, [images, images[:, :, ::-1]])
    np.testing.assert_array_equal(mean, np.full((4, 2), 1.5))


def test_mean_of_views__crops():
    images = np.arange(4 * 6).reshape(1, 4, 6, 1)  # the value is 6 · row + column
    mean, seen = answers_to(images)
    corners = [view[0, 0, 0, 0] for view in seen]
    assert corners == [6 + 1, 0, 3, 12, 15]
    assert {view.shape for view in seen} == {(1, 2, 3, 1)}
    np.testing.assert_array_equal(mean, [[3.0, 3.0]])
    _, seen = answers_to(images, flip=True)
    assert len(seen) == 10
    np.testing.assert_array_equal(seen[9], images[:, 2:, :2:-1])
