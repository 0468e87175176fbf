"""Image files in, named classes out: which files, which models, which answers."""

import errno
import os
import re
import shutil
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_tnt
from keras_tnt.app import page
from keras_tnt.cli import main
from keras_tnt.export import export_model, export_saved_model
from keras_tnt.images import imagenet_classes, load_image
from keras_tnt.inference.classifier import (
    PUBLISHED,
    Classifier,
    Prediction,
    classify,
    find_images,
    load_classifier,
    predict_files,
    prepare,
)
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers import ASSETS
from tests.helpers.datasets import pillow_gray
from tests.helpers.runtimes import RUNTIMES, need_runtime
from tests.helpers.small import dense_classifier, small

DATA = ASSETS
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


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


@pytest.fixture(scope="module")
def image_files(tmp_path_factory):
    """Image files of several sizes, formats and kinds."""
    directory = tmp_path_factory.mktemp("images")
    photo = Image.open(DATA / "astronaut_small.png").convert("RGB")
    for angle in range(0, 360, 60):
        photo.rotate(angle, expand=True).save(directory / f"{angle}.jpg")
    photo.convert("L").save(directory / "gray.png")
    photo.resize((20, 30)).save(directory / "tiny.bmp")
    return sorted(directory.iterdir())


def expected_scores(model, paths, crop_fraction):
    """What the model gives for the files, step by step."""
    images = [load_image(path) for path in paths]
    if model.input_shape[-1] == 1:
        images = [pillow_gray(image) for image in images]
    size = model.input_shape[1:3]
    inputs = keras_tnt.preprocess_input(images, size, crop_fraction)
    return model.predict(inputs, verbose=0)


def check_predictions(predictions, paths, scores, names, top):
    assert [prediction.path for prediction in predictions] == [str(p) for p in paths]
    for prediction, row in zip(predictions, scores, strict=True):
        best = np.argsort(-row)[:top]
        assert [name for name, _ in prediction.classes] == [names[i] for i in best]
        found = [score for _, score in prediction.classes]
        assert all(type(score) is float for score in found)
        np.testing.assert_allclose(found, row[best], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("top", "crop_fraction"), [(1, 0.9), (3, 1.0), (100, 0.9)])
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
    damaged.write_bytes((DATA / "astronaut_small.png").read_bytes()[:200])
    other.write_bytes(b"<!DOCTYPE html>")
    directory.mkdir()
    # Windows denies access to a directory that is opened as a file.
    refused = os.strerror(errno.EACCES if os.name == "nt" else errno.EISDIR)
    reasons = {damaged: "is damaged", other: "<!DOCTYP", directory: refused}
    good = list(image_files)
    return [damaged, *good, other, *good * 4, directory], reasons


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
    with Image.open(DATA / "astronaut_small.png") as image:
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


class TestLoadClassifier:
    def test_load_classifier__keras_file(self, image_files, tmp_path):
        model = small()
        model.save(tmp_path / "model.keras")
        classifier = load_classifier(str(tmp_path / "model.keras"))
        assert classifier.class_names == [str(i) for i in range(7)]
        assert classifier.crop_fraction == 0.9
        (prediction,) = predict_files(classifier, image_files[:1])
        expected = expected_scores(model, image_files[:1], 0.9)
        check_predictions([prediction], image_files[:1], expected, "0123456", 5)
        assert isinstance(prediction, Prediction)

    def test_load_classifier__imagenet_names(self, tmp_path):
        small(classes=1000).save(tmp_path / "model.keras")
        names = load_classifier(tmp_path / "model.keras").class_names
        assert names == [name for _, name in imagenet_classes()]
        assert names[207] == "golden_retriever"

    def test_load_classifier__run_directory(self, image_files, tmp_path):
        """It knows the names of its classes and how much of an image to look at."""
        run, model = RunDirectory.create(tmp_path / "run"), small()
        run.write_recipe(fashion_mnist_demo(), NAMES)
        model.save(run.model)
        classifier = load_classifier(str(run.path))
        assert classifier.class_names == NAMES
        assert classifier.crop_fraction == 1.0
        predictions = list(predict_files(classifier, image_files))
        scores = expected_scores(model, image_files, 1.0)
        check_predictions(predictions, image_files, scores, NAMES, 5)

    @pytest.mark.parametrize("file_format", RUNTIMES)
    def test_load_classifier__every_format(self, file_format, image_files, tmp_path):
        """Names, crop and size come with the export, whatever it is called."""
        need_runtime(file_format)
        model = small(depth=1, input_shape=(32, 48, 1))
        path = tmp_path / "model.h5"
        export_model(model, path, file_format, labels=NAMES, crop_fraction=0.7)
        classifier = load_classifier(str(path))
        assert (classifier.class_names, classifier.crop_fraction) == (NAMES, 0.7)
        live = predict_files(Classifier(model, NAMES, 0.7), image_files, 3)
        for found, expected in zip(
            predict_files(classifier, image_files, 3), live, strict=True
        ):
            assert found.path == expected.path
            (names, scores), (live_names, live_scores) = (
                zip(*prediction.classes, strict=True)
                for prediction in (found, expected)
            )
            assert names == live_names
            np.testing.assert_allclose(scores, live_scores, atol=1e-4)

    def test_load_classifier__foreign_saved_model(self, tmp_path):
        tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
        with pytest.raises(ValueError, match=r"not exported by keras_tnt.*predict_im"):
            load_classifier(str(tmp_path / "m"))

    def test_load_classifier__keras_file_by_another_name(self, tmp_path):
        small(depth=1).save(tmp_path / "model.keras")
        path = (tmp_path / "model.keras").rename(tmp_path / "model")
        assert load_classifier(str(path)).class_names == list("0123456")

    def test_load_classifier__not_a_run(self, tmp_path):
        with pytest.raises(ValueError, match=r"not a model. Expected.*recipe\.json"):
            load_classifier(str(tmp_path))

    def test_load_classifier__run_not_ended(self, tmp_path):
        RunDirectory(tmp_path).write_recipe(fashion_mnist_demo(), NAMES)
        message = r"has no model yet, because its training has not ended. Resume it: "
        message += r"keras-tnt train --recipe .*recipe.json --out "
        with pytest.raises(ValueError, match=message):
            load_classifier(str(tmp_path))

    def test_load_classifier__wrong_number_of_names(self, tmp_path):
        run = RunDirectory(tmp_path)
        dense_classifier(classes=3).save(run.model)
        for names in (NAMES[:2], NAMES[:4]):
            run.write_recipe(fashion_mnist_demo(), names)
            message = f"has 3 classes, but {len(names)} names of classes"
            with pytest.raises(ValueError, match=message):
                load_classifier(str(tmp_path))

    def test_load_classifier__unknown_name(self):
        with pytest.raises(FileNotFoundError, match=r"'tnt_huge'.*tnt_small, tnt_base"):
            load_classifier("tnt_huge")

    @pytest.mark.parametrize("name", ["model.weights.h5", "model.safetensors", "photo"])
    def test_load_classifier__other_file(self, name, tmp_path):
        touch(tmp_path, name)
        with pytest.raises(ValueError, match=rf"{name}' is not a model.*load_weights"):
            load_classifier(str(tmp_path / name))

    # Where the damage is decides whether Keras warns before it fails.
    @pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
    def test_load_classifier__damaged_file(self, tmp_path):
        path = tmp_path / "model.keras"
        small(depth=1).save(path)
        whole = path.read_bytes()
        middle = len(whole) // 2
        flipped = bytes(255 - value for value in whole[middle : middle + 100])
        for contents in (
            whole[:middle],
            whole[:middle] + flipped + whole[middle + 100 :],
            b"x" * 1000 + whole[1000:],
        ):
            path.write_bytes(contents)
            with pytest.raises(
                ValueError, match=r"model\.keras' is not a complete model file"
            ):
                load_classifier(str(path))
        for contents in (b"", b"text"):
            path.write_bytes(contents)
            with pytest.raises(
                ValueError, match=r"model\.keras' is not a model. Expec"
            ):
                load_classifier(str(path))

    def test_load_classifier__unknown_class(self, tmp_path):
        class Unknown(keras.layers.Layer):
            def call(self, inputs):
                return inputs

        tnt = small(depth=1)
        path = tmp_path / "model.keras"
        keras.Model(tnt.input, Unknown()(tnt.output)).save(path)
        message = "keras' has an unknown class. .*'Unknown'; import and register"
        with pytest.raises(ValueError, match=message):
            load_classifier(str(path))

    @pytest.mark.parametrize("kind", ["features", "two outputs", "numbers", "channels"])
    def test_load_classifier__not_an_image_classifier(self, kind, tmp_path):
        model = small(depth=1)
        numbers = keras.Input((3,))
        models = {
            "features": lambda: small(depth=1, include_top=False),
            "two outputs": lambda: keras.Model(model.input, [model.output] * 2),
            "numbers": lambda: keras.Model(numbers, keras.layers.Dense(2)(numbers)),
            "channels": lambda: small(depth=1, input_shape=(32, 48, 4)),
        }
        models[kind]().save(tmp_path / "model.keras")
        with pytest.raises(
            ValueError, match=r"model\.keras' is not an image classifier"
        ):
            load_classifier(str(tmp_path / "model.keras"))


def nested(activation, **options):
    """A TNT as a layer, with a head."""
    body = small(depth=1, include_top=False, pooling="token", **options)
    inputs = keras.Input(body.input_shape[1:])
    return keras.Model(inputs, keras.layers.Dense(3, activation)(body(inputs)))


def after(operation, classes=3):
    """A nested TNT that ends in an operation, which is no layer."""
    model = nested(None)
    inputs = keras.Input(model.input_shape[1:])
    return keras.Model(inputs, operation(model(inputs)))


SCORES = {
    "logits": lambda: small(depth=1, classifier_activation=None),
    "sigmoid": lambda: small(depth=1, classifier_activation="sigmoid"),
    "features": lambda: small(depth=1, include_top=False, pooling="token"),
    "nested logits": lambda: nested(None),
    "nested sigmoid": lambda: nested("sigmoid"),
    "one sigmoid": lambda: dense_classifier(1, "sigmoid"),
    "sigmoid operation": lambda: after(keras.ops.sigmoid),
    "scaled softmax": lambda: after(lambda x: 100 * keras.ops.softmax(x)),
}
SCALED = {
    "itself": lambda: small(depth=1, include_preprocessing=False),
    "nested": lambda: nested("softmax", include_preprocessing=False),
}
PROBABILITIES = {
    "softmax operation": lambda: after(keras.ops.softmax),
    "softmax layer": lambda: keras.Sequential([nested(None), keras.layers.Softmax()]),
    "scaling before": lambda: keras.Sequential(
        [
            keras.layers.Rescaling(1 / 127.5, -1),
            small(depth=1, include_preprocessing=False),
        ]
    ),
    "half precision": lambda: small(depth=1, dtype="bfloat16"),
}


class TestProbabilities:
    """Every command reads scores as probabilities, and gives pixels 0-255."""

    @pytest.mark.parametrize("kind", SCORES)
    def test_load_classifier__not_probabilities(self, kind, tmp_path):
        path = tmp_path / "model.keras"
        SCORES[kind]().save(path)
        message = r"model.keras' does not return probabilities.*Softmax\(\)"
        with pytest.raises(ValueError, match=message):
            load_classifier(str(path))

    @pytest.mark.parametrize("kind", SCALED)
    def test_load_classifier__no_preprocessing(self, kind, tmp_path):
        path = tmp_path / "model.keras"
        SCALED[kind]().save(path)
        with pytest.raises(ValueError, match="expects scaled images, but gets pixels"):
            load_classifier(str(path))

    @pytest.mark.parametrize("kind", PROBABILITIES)
    def test_load_classifier__probabilities(self, kind, tmp_path):
        model = PROBABILITIES[kind]()
        if not model.built:
            model.build((None, 32, 48, 3))
        model.save(tmp_path / "model.keras")
        classifier = load_classifier(str(tmp_path / "model.keras"))
        assert len(classifier.class_names) == model.output_shape[-1]

    def test_load_classifier__two_sigmoids(self, tmp_path):
        model = dense_classifier(2, "sigmoid")
        model.layers[-1].kernel.assign(model.layers[-1].kernel * 0)
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="does not return probabilities"):
            load_classifier(str(tmp_path / "model.keras"))

    def test_load_classifier__foreign_export_without_probabilities(self, tmp_path):
        path = tmp_path / "m"
        model = dense_classifier(activation=None)
        export = keras.export.ExportArchive()
        export.track(model)
        export.add_endpoint(
            "predict_images",
            lambda images: {"probabilities": model(images)},
            [tf.TensorSpec((None, 32, 48, 3), name="images")],
        )
        export.write_out(path, verbose=False)
        with pytest.raises(ValueError, match="does not return probabilities"):
            load_classifier(str(path))

    def test_commands__model_without_probabilities(
        self, image_files, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.chdir(tmp_path)
        dense_classifier(activation=None).save("m.keras")
        # Gradio itself takes seconds to import.
        monkeypatch.setattr(page, "_check_packages", lambda: None)
        monkeypatch.setitem(sys.modules, "gradio", types.ModuleType("gradio"))
        for command in (
            ["predict", str(image_files[0])],
            ["attention", str(image_files[0])],
            ["evaluate", "--data", "fashion_mnist_mini", "--split", "test[:1%]"],
            ["export", "--out", "exported"],
            ["app"],
        ):
            assert main([*command, "--model", "m.keras"]) == 1
            assert "'m.keras' does not return probabilities" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_load_classifier__subclassed(tmp_path):
    @keras.saving.register_keras_serializable()
    class Subclassed(keras.Model):
        def call(self, images):
            return keras.ops.mean(images, (1, 2))

    model = Subclassed()
    model(np.zeros((1, 32, 48, 3)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="a model of 0 inputs and 0 outputs"):
        load_classifier(str(tmp_path / "model.keras"))


def test_load_classifier__copied_run(image_files, tmp_path):
    """Nothing in a run's directory says where the directory is."""
    run = RunDirectory.create(tmp_path / "run")
    run.write_recipe(fashion_mnist_demo(), NAMES)
    small(depth=1).save(run.model)
    shutil.move(run.path, tmp_path / "elsewhere")
    classifier = load_classifier(str(tmp_path / "elsewhere"))
    assert len(list(predict_files(classifier, image_files[:2]))) == 2


def open_size(*layers):
    images = features = keras.Input((None, None, 3))
    for layer in layers:
        features = layer(features)
    return keras.Model(images, keras.layers.Dense(3, "softmax")(features))


def test_load_classifier__images_of_any_size(tmp_path, rng):
    model = open_size(
        keras.layers.Resizing(16, 24),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
    )
    model.save(tmp_path / "open.keras")
    classifier = load_classifier(str(tmp_path / "open.keras"))
    assert classifier.model.input_shape == (None, 16, 24, 3)
    images = rng.integers(0, 256, (2, 16, 24, 3)).astype("float32")
    found = classifier.model.predict_on_batch(images)
    np.testing.assert_allclose(found, model.predict_on_batch(images), atol=1e-6)
    exported = export_saved_model(model, tmp_path / "exported", image_size=(20, 30))
    assert load_classifier(str(exported)).model.input_shape == (None, 20, 30, 3)


def test_load_classifier__images_of_unknown_size(tmp_path):
    layers = keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D()
    open_size(*layers).save(tmp_path / "open.keras")
    source = str(tmp_path / "open.keras")
    with pytest.raises(ValueError, match=r"no layer of it tells one. Begin the model"):
        load_classifier(source)
    shape = load_classifier(source, (16, 24)).model.input_shape
    assert shape == (None, 16, 24, 3)
    with pytest.raises(ValueError, match=r"image_size must be .*, got \(0, 24\)"):
        load_classifier(source, (0, 24))


def test_load_classifier__another_image_size(tmp_path):
    model = dense_classifier()
    model.save(tmp_path / "model.keras")
    exported = export_saved_model(model, tmp_path / "exported")
    for path in (tmp_path / "model.keras", exported):
        assert load_classifier(str(path), (32, 48)).model.input_shape[1:3] == (32, 48)
        with pytest.raises(ValueError, match=r"\(32, 48\), got image_size=\(8, 8\)"):
            load_classifier(str(path), (8, 8))


def test_load_classifier__size_of_published_weights(monkeypatch):
    def build(input_shape=(8, 8, 3)):
        return dense_classifier(1000, input_shape=input_shape)

    monkeypatch.setitem(PUBLISHED, "tnt_small", build)
    for size, expected in ((None, (8, 8)), ((16, 24), (16, 24))):
        model = load_classifier("tnt_small", size).model
        assert model.input_shape == (None, *expected, 3)
    with pytest.raises(ValueError, match="image_size must be"):
        load_classifier("tnt_small", (16, 0))
