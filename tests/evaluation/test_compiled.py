"""Evaluation of compiled models with their own metrics."""

import pytest

from keras_tnt.data import ImageSource, load_dataset
from keras_tnt.evaluation import evaluate
from tests.helpers.datasets import corrupt_directory
from tests.helpers.small import dense_classifier


def test_evaluate__corrupt_images_only(tmp_path):
    model = dense_classifier(classes=2)
    model.compile(loss="categorical_crossentropy", weighted_metrics=["accuracy"])
    source = load_dataset(corrupt_directory(tmp_path / "data"))
    with pytest.raises(ValueError, match="there is nothing to evaluate"):
        evaluate(model, source, batch_size=2, skip_corrupt=True)


def test_evaluate__several_labels():
    """Compiled metrics would take the first of the right answers for the only one."""
    source = ImageSource("real", ("ant", "bee"), 2, None, None, several_labels=True)
    with pytest.raises(ValueError, match="'real' have lists of right answers"):
        evaluate(dense_classifier(classes=2), source)
