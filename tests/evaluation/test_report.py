"""Reports: figures, and the files that are left behind."""

import csv
import json
import os

import numpy as np
import pytest

from keras_tnt.evaluation import Calibration, Report, write_report


def test_evaluate__class_without_images(tmp_path):
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    report = Report(("cat", "dog", "owl"), confusion, 8)
    np.testing.assert_array_equal(report.per_class, [0.75, np.nan, 0.5])
    write_report(report, tmp_path / "report")
    files = sorted(os.listdir(tmp_path / "report"))
    assert files == ["confusion.csv", "per_class.csv", "report.json"]
    with open(tmp_path / "report" / "per_class.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {"class": "owl", "images": "4", "accuracy": "0.5"}


def test_write_report__confusion_and_settings(tmp_path):
    confusion = np.array([[3, 1, 2], [0, 4, 0]])
    counts = Calibration.of(np.full(10, 0.8), np.arange(10) < 7)
    report = Report(("cat", "dog"), confusion, 8, 9, True, counts, 0.5, seconds=4.0)
    write_report(report, tmp_path, {"model": "pets", "published": {"tnt_small": 0.5}})
    with open(tmp_path / "confusion.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["true class", "cat", "dog", "other"], ["cat", "3", "1", "2"],
        ["dog", "0", "4", "0"],
    ]  # fmt: skip
    record = json.loads((tmp_path / "report.json").read_text())
    assert record == {
        "model": "pets", "published": {"tnt_small": 0.5},
        "images": 10, "unlabeled": 0, "corrupt": 0, "top_1": 0.7, "top_5": 0.8,
        "negative_log_likelihood": 0.5, "calibration_error": pytest.approx(0.1),
        "classes": 2, "model_classes": 9, "all_classes": True, "several_labels": False,
        "images_per_second": 2.5, "calibration": counts.bins,
    }  # fmt: skip


def test_write_report__several_labels(tmp_path):
    """One true class a row or a line would be a guess."""
    counts = Calibration.of(np.array([0.5, 0.5, 0.9]), np.array([True, False, True]))
    report = Report(("cat", "dog"), None, 3, 2, False, counts, 0.1, unlabeled=4)
    assert (report.images, report.top_1, report.top_5) == (3, 2 / 3, 1.0)
    assert report.per_class is None
    write_report(report, tmp_path)
    assert os.listdir(tmp_path) == ["report.json"]
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["several_labels"] is True
    assert record["unlabeled"] == 4
