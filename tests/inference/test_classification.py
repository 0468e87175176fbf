"""Image files in, named classes out: which files and which answers."""

import errno
import os
import re

import numpy as np
import pytest
from PIL import Image

from keras_tnt.evaluation.batches import default_batch_size
from keras_tnt.inference.classification import (
    BATCHES_AHEAD,
    _load_ahead,
    classify,
    find_images,
    predict_files,
    prepare,
)
from keras_tnt.inference.classifier import Classifier
from tests.helpers import ASSETS
from tests.helpers.predictions import NAMES, check_predictions, expected_scores
from tests.helpers.small import dense_classifier, small


def touch(directory, *names):
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(directory, *patterns):
    paths = find_images([str(directory / pattern) for pattern in patterns])
    return [path.relative_to(directory).as_posix() for path in paths]


class TestFindImages:
    def test_find_images__file(self, tmp_path):
        touch(tmp_path, "a.jpg", "photo", "[1].png")
        names = ["photo", "[1].png", "a.jpg"]
        assert found(tmp_path, *names) == names

    def test_find_images__directory(self, tmp_path):
        touch(tmp_path, "p/c.GIF", "p/a.JPEG", "p/b.png", "p/notes.txt", "p/q/d.png")
        assert found(tmp_path, "p") == ["p/a.JPEG", "p/b.png", "p/c.GIF"]

    def test_find_images__suffixes(self, tmp_path, caplog):
        touch(tmp_path, "p/a.jfif", "p/b.JPE", "p/c.heic", "p/d.tif", "p/.e.jpg")
        assert found(tmp_path, "p") == ["p/a.jfif", "p/b.JPE"]
        (line,) = (record.getMessage() for record in caplog.records)
        assert line.startswith(f"Left out of {tmp_path / 'p'}: ")
        assert "(1 .heic, 1 .tif)" in line

    def test_find_images__glob(self, tmp_path):
        touch(tmp_path, "b1.png", "a1.png", "a1.jpg", "deep/er/c.png")
        assert found(tmp_path, "*1.png") == ["a1.png", "b1.png"]
        assert found(tmp_path, "**/*.png") == ["a1.png", "b1.png", "deep/er/c.png"]

    def test_find_images__order(self, tmp_path):
        touch(tmp_path, "z/b.png", "z/a.png", "m.png", "a.jpg")
        order = ["z/a.png", "z/b.png", "m.png", "a.jpg"]
        assert found(tmp_path, "z", "m.png", "*.jpg") == order

    @pytest.mark.parametrize("pattern", ["none.png", "none/*.png", "empty", "texts"])
    def test_find_images__no_match(self, pattern, tmp_path):
        touch(tmp_path, "there.png", "texts/notes.txt")
        (tmp_path / "empty").mkdir()
        patterns = [str(tmp_path / "there.png"), str(tmp_path / pattern)]
        message = f"No image matches {patterns[1]!r}"
        with pytest.raises(FileNotFoundError, match=re.escape(message)):
            find_images(patterns)


def test_predict_files__batches_of_one_size(image_files, tmp_path):
    """Several batches, the last one short and with a file that is damaged."""
    model = dense_classifier()
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff")
    paths = [*image_files * 3, damaged]
    batch_size = default_batch_size()
    assert batch_size < len(paths) < 2 * batch_size
    shapes, failed = set(), []

    class Recorded:
        input_shape = model.input_shape

        def predict_on_batch(self, images):
            shapes.add(images.shape)
            return model.predict_on_batch(images)

    classifier = Classifier(Recorded(), NAMES, 0.9)
    predictions = list(
        predict_files(classifier, paths, on_error=lambda path, _: failed.append(path))
    )
    assert shapes == {(batch_size, *model.input_shape[1:])}
    assert failed == [str(damaged)]
    scores = np.tile(expected_scores(model, image_files, 0.9), (3, 1))
    check_predictions(predictions, paths[:-1], scores, NAMES, 5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("top", "crop_fraction"),
    [
        pytest.param(1, 0.9, marks=pytest.mark.slow),
        (3, 1.0),
        pytest.param(100, 0.9, marks=pytest.mark.slow),
    ],
)
def test_predict_files__equal_to_model(channels, top, crop_fraction, image_files):
    model = small(input_shape=(32, 48, channels))
    classifier = Classifier(model, NAMES, crop_fraction)
    predictions = list(predict_files(classifier, image_files, top))
    scores = expected_scores(model, image_files, crop_fraction)
    assert len(set(scores.argmax(axis=1))) > 1  # the images differ in their class
    check_predictions(predictions, image_files, scores, NAMES, top)


def test_predict_files__several_batches(image_files):
    model = small(depth=1, input_shape=(16, 16, 3))
    paths = (image_files * 9)[:65]  # two batches and one more
    predictions = list(predict_files(Classifier(model, NAMES, 0.9), paths))
    scores = expected_scores(model, image_files, 0.9)
    repeated = np.tile(scores, (9, 1))[:65]
    check_predictions(predictions, paths, repeated, NAMES, 5)


@pytest.mark.parametrize("contents", [b"", b"no image", b"\xff\xd8\xff\xe0 cut off"])
def test_predict_files__corrupt_image(contents, image_files, tmp_path):
    """The batches before it have their answers by then."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(contents)
    model = small(depth=1, input_shape=(16, 16, 3))
    paths = [*(image_files * 4), image_files[0], broken]
    predictions = predict_files(Classifier(model, NAMES, 0.9), paths)
    for path in paths[:32]:
        assert next(predictions).path == str(path)
    with pytest.raises(ValueError, match=r"broken\.jpg' cannot be decoded"):
        next(predictions)


def unreadable(image_files, tmp_path):
    """Files of which three cannot be read, and what is said of each."""
    damaged, other, directory = (tmp_path / n for n in ("d.png", "o.jpg", "dir.jpg"))
    damaged.write_bytes((ASSETS / "astronaut_small.png").read_bytes()[:200])
    other.write_bytes(b"<!DOCTYPE html>")
    directory.mkdir()
    # Windows denies access to a directory that is opened as a file.
    refused = os.strerror(errno.EACCES if os.name == "nt" else errno.EISDIR)
    reasons = {damaged: "is damaged", other: "<!DOCTYP", directory: refused}
    good = list(image_files)
    return [damaged, *good, other, *good * 4, directory], reasons


def test_load_ahead__some_batches_in_order():
    started = []

    def load(item):
        started.append(item)
        return -item

    batches = [list(range(start, start + 3)) for start in range(0, 99, 3)]
    loaded = _load_ahead(load, batches)
    assert next(loaded) == [0, -1, -2]
    loaded.close()  # cancels what has not begun
    assert len(started) <= 3 * (BATCHES_AHEAD + 1)
    everything = list(_load_ahead(load, batches))
    assert everything == [[-item for item in batch] for batch in batches]
    assert list(_load_ahead(load, batches[:1])) == [[0, -1, -2]]
    assert list(_load_ahead(load, [])) == []


def test_predict_files__goes_on_after_files_that_cannot_be_read(image_files, tmp_path):
    paths, reasons = unreadable(image_files, tmp_path)
    classifier = Classifier(dense_classifier(), NAMES, 0.9)
    errors, order = {}, []

    def note(path, error):
        errors[path] = error
        order.append(path)

    for prediction in predict_files(classifier, paths, on_error=note):
        order.append(prediction.path)
    assert order == [str(path) for path in paths]
    assert list(errors) == [str(path) for path in reasons]
    for path, reason in reasons.items():
        assert reason in str(errors[str(path)])
        assert path.name in str(errors[str(path)])


def test_predict_files__no_file_can_be_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")
    errors = []
    classifier = Classifier(dense_classifier(), NAMES, 0.9)
    note = lambda path, error: errors.append(error)  # noqa: E731
    assert list(predict_files(classifier, [path], on_error=note)) == []
    assert "is empty" in str(errors[0])


def test_predict_files__turns_photographs_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees"
    with Image.open(ASSETS / "astronaut_small.png") as image:
        image.convert("RGB").save(tmp_path / "stored.png", exif=exif)
        upright = image.convert("RGB").rotate(-90, expand=True)
        upright.save(tmp_path / "upright.png")
        image.convert("RGB").save(tmp_path / "plain.png")
    classifier = Classifier(dense_classifier(), NAMES, 0.9)

    def predict(name, **arguments):
        (prediction,) = predict_files(classifier, [tmp_path / name], **arguments)
        return prediction.classes

    assert predict("stored.png") == predict("upright.png") != predict("plain.png")
    assert predict("stored.png", apply_orientation=False) == predict("plain.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_classify__images_scaled_to_0_1(channels, rng):
    model = dense_classifier(input_shape=(16, 16, channels))
    classifier = Classifier(model, NAMES, 0.9)
    with pytest.raises(ValueError, match="scaled to 0-1"):
        prepare(classifier, rng.uniform(0, 1, (20, 20, 3)))
    with pytest.raises(ValueError, match="scaled to 0-1"):
        classify(classifier, rng.uniform(0, 1, (2, 16, 16, channels)))


def test_classify__values_that_are_not_finite(rng):
    model = dense_classifier(input_shape=(16, 16, 3))
    model.layers[-1].bias.assign(model.layers[-1].bias * np.nan)
    with pytest.raises(ValueError, match="values that are not finite"):
        classify(Classifier(model, NAMES, 0.9), rng.uniform(0, 255, (2, 16, 16, 3)))
