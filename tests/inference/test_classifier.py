"""Which models are loaded, with which names, and what is refused."""

import shutil
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.app import page
from keras_tnt.cli import main
from keras_tnt.export import export_model, export_saved_model
from keras_tnt.export import precision as export_precision
from keras_tnt.images import imagenet_classes
from keras_tnt.inference.classification import (
    Prediction,
    predict_files,
)
from keras_tnt.inference.classifier import Classifier, load_classifier
from keras_tnt.models.catalog import BUILDERS
from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers.predictions import NAMES, check_predictions, expected_scores
from tests.helpers.runtimes import RUNTIMES, need_runtime
from tests.helpers.small import dense_classifier, pixels, small


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

    @pytest.mark.parametrize(
        ("precision", "has_bfloat16", "expected"),
        [
            (None, True, "float32"),
            ("float32", True, "float32"),
            ("bfloat16", False, "bfloat16"),
            ("auto", True, "bfloat16"),
            ("auto", False, "float32"),
        ],
    )
    def test_load_classifier__precision(
        self, precision, has_bfloat16, expected, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(export_precision, "has_bfloat16", lambda: has_bfloat16)
        model = small(depth=1)
        model.save(tmp_path / "model.keras")
        classifier = load_classifier(tmp_path / "model.keras", precision=precision)
        assert classifier.precision == expected
        images = pixels(model).astype("float32")
        differences = np.abs(
            classifier.model.predict_on_batch(images) - model.predict_on_batch(images)
        )
        assert differences.max() < (1e-6 if expected == "float32" else 0.02)
        assert classifier.model.predict_on_batch(images).dtype == "float32"

    def test_load_classifier__precision_of_mixed_model(self, tmp_path):
        small(depth=1, dtype="mixed_bfloat16").save(tmp_path / "model.keras")
        assert load_classifier(tmp_path / "model.keras").precision == "bfloat16"
        classifier = load_classifier(tmp_path / "model.keras", precision="float32")
        assert classifier.precision == "float32"

    def test_load_classifier__precision_of_others(self, tmp_path):
        model = dense_classifier()
        path = export_saved_model(model, tmp_path / "exported")
        assert load_classifier(path, precision="auto").precision == "float32"
        with pytest.raises(ValueError, match="exported model in float32, got precis"):
            load_classifier(path, precision="bfloat16")
        model.layers[-1].quantize("int8")
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="quantized model in int8, got precision"):
            load_classifier(tmp_path / "model.keras", precision="bfloat16")
        with pytest.raises(ValueError, match=r"None or one of .*'auto'.*got 'float16'"):
            load_classifier(path, precision="float16")

    @pytest.mark.parametrize(
        "file_format",
        ["onnx"]
        + [
            pytest.param(name, marks=pytest.mark.slow)
            for name in RUNTIMES
            if name != "onnx"
        ],
    )
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
        (tmp_path / name).touch()
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

    def test_load_classifier__softmax_of_nan(self, tmp_path):
        model = dense_classifier()
        model.layers[-1].bias.assign(model.layers[-1].bias * np.nan)
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match=r"does not return .* such as .*nan"):
            load_classifier(str(tmp_path / "model.keras"))

    def test_load_classifier__softmax_is_not_run(self, tmp_path, monkeypatch):
        """A run without a compiled graph takes seconds for TNT-S."""
        dense_classifier().save(tmp_path / "model.keras")
        monkeypatch.setattr("keras_tnt.inference.classifier.noise", None)
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

    monkeypatch.setitem(BUILDERS, "tnt_small", build)
    for size, expected in ((None, (8, 8)), ((16, 24), (16, 24))):
        model = load_classifier("tnt_small", size).model
        assert model.input_shape == (None, *expected, 3)
    with pytest.raises(ValueError, match="image_size must be"):
        load_classifier("tnt_small", (16, 0))
