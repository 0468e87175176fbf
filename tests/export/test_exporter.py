"""Exports of every format: equal to Keras, whole or not at all, found by content."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.export import export_model, export_saved_model, exporter
from keras_tnt.export.exported_model import require
from keras_tnt.export.load_exported import find_format, load_exported
from keras_tnt.export.metadata import ExportMetadata
from keras_tnt.export.precision import in_precision
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.utils.cpu import has_bfloat16
from tests.helpers import ASSETS
from tests.helpers.runtimes import RUNTIMES, need_runtime
from tests.helpers.small import dense_classifier, pixels, small

NAMES = ["ant", "bée", "c<a>t", 'do"g', "eel", "fox", "gnu"]
KINDS = {
    "color": {"depth": 1},
    "gray": {"input_shape": (48, 32, 1), "se_ratio": 0.25, "inner_blocks": (2,)},
}
CONVERTED = [name for name in RUNTIMES if name != "savedmodel"]
every_format = pytest.mark.parametrize("file_format", RUNTIMES)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Makes the export of a kind of model in a format once, in float32."""
    made = {}

    def make(kind, file_format):
        need_runtime(file_format)
        if (kind, file_format) not in made:
            model = small(**KINDS[kind])
            path = tmp_path_factory.mktemp(kind) / "model"
            result = export_model(model, path, file_format, labels=NAMES)
            made[kind, file_format] = model, result
        return made[kind, file_format]

    return make


def load(path):
    file_format, path = find_format(Path(path))
    return load_exported(path, file_format)


def snapshot(directory):
    """All files in a directory and what is in them."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@every_format
@pytest.mark.parametrize(
    "kind", ["color", pytest.param("gray", marks=pytest.mark.slow)]
)
def test_export_model__equal_to_keras(kind, file_format, exports):
    model, result = exports(kind, file_format)
    assert result.difference <= 1e-4
    exported = load(result.path)
    assert exported.input_shape == model.input_shape
    assert exported.output_shape == model.output_shape
    for batch in (1, 7, 2):
        images = pixels(model, batch).astype("float32")
        found = exported.predict_on_batch(images)
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, model.predict(images, verbose=0), atol=1e-4)


@every_format
def test_export_model__no_temporary_files(file_format, exports):
    _, result = exports("color", file_format)
    directory = result.path.parent
    assert os.listdir(directory) == [result.path.name]


@pytest.mark.parametrize("file_format", CONVERTED)
def test_export_model__metadata(file_format, exports):
    _, result = exports("gray", file_format)
    assert load(result.path).metadata == ExportMetadata(
        NAMES, (48, 32, 1), 0.9, "float32"
    )


@pytest.fixture(scope="module")
def wide():
    """A model in which the weights, not the graph, take the space."""
    return small(depth=1, outer_dim=192, outer_num_heads=3)


def size_of_weights(path):
    """Size of an export; of a SavedModel without its graph, here larger than them."""
    if path.is_file():
        return path.stat().st_size
    files = [file for file in path.rglob("*") if file.name != "saved_model.pb"]
    return sum(file.stat().st_size for file in files)


@pytest.mark.slow
@every_format
def test_export_model__lower_precision(file_format, wide, tmp_path):
    need_runtime(file_format)
    images = pixels(wide, 64).astype("float32")
    expected = wide.predict(images, verbose=0)
    sizes = {}
    for precision in exporter.PRECISIONS[file_format][1:]:
        tolerance = exporter.TOLERANCES[precision]
        path = tmp_path / precision
        result = export_model(
            wide, path, file_format, precision, calibration=images[:16]
        )
        exported = load(result.path)
        differences = np.abs(exported.predict_on_batch(images) - expected)
        difference = differences.max(axis=1).mean()
        assert difference < tolerance
        # OpenVINO computes in float32 where the processor has no bfloat16.
        if (file_format, precision) != ("openvino", "bfloat16") or has_bfloat16():
            assert difference > 1e-6
        assert 0 < result.difference < tolerance
        assert exported.metadata.precision == precision
        sizes[precision] = size_of_weights(result.path)
    if "int8" in sizes:
        assert sizes["int8"] < 0.7 * sizes["float16"]
    if file_format != "savedmodel":
        assert sizes["float16"] < 0.8 * 4 * wide.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_export_model__bfloat16_is_for_cpus(policy, tmp_path):
    """The norms are those for CPUs, which others get by export_saved_model."""
    model = small(depth=1, dtype=policy)
    path = export_model(model, tmp_path / "m", precision="bfloat16").path
    assert load(path).metadata.precision == "bfloat16"
    assert "FusedBatchNormV3" in operations_of(path)
    path = export_saved_model(small(depth=1, dtype="mixed_bfloat16"), tmp_path / "any")
    assert load(path).metadata.precision == "bfloat16"
    assert "FusedBatchNormV3" not in operations_of(path)


def operations_of(path):
    """The operations of a SavedModel's functions."""
    content = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    functions = content.meta_graphs[0].graph_def.library.function
    return {node.op for function in functions for node in function.node_def}


@pytest.mark.slow
@pytest.mark.parametrize("export", [export_saved_model, export_model])
def test_export__for_cpus(export, tmp_path):
    """The same probabilities, and the norms of which each is one operation on CPUs."""
    model = small(depth=1)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype("float32")
    for for_cpus in (False, True):
        path = export(model, tmp_path / str(for_cpus), for_cpus=for_cpus)
        path = getattr(path, "path", path)
        assert ("FusedBatchNormV3" in operations_of(path)) == for_cpus
        metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
        assert metadata["for_cpus"] == for_cpus
        found = load(path).predict_on_batch(images)
        np.testing.assert_allclose(found, model(images), atol=1e-5)


def test_export_model__for_cpus_is_of_a_saved_model(tmp_path):
    with pytest.raises(ValueError, match="for a savedmodel, got onnx"):
        export_model(dense_classifier(), tmp_path / "m", "onnx", for_cpus=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fastest", ["bfloat16", "float32"])
def test_export_model__automatic_precision(fastest, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "inference_precision", lambda: fastest)
    path = export_model(dense_classifier(), tmp_path / "m", precision="auto").path
    assert load(path).metadata.precision == fastest
    need_runtime("litert")
    path = export_model(dense_classifier(), tmp_path / "l", "litert", "auto").path
    assert load(path).metadata.precision == "float32"


def test_export_model__mixed_precision_as_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = small(depth=1)
    keras.config.set_dtype_policy("float32")
    exact = small(depth=1)
    result = export_model(model, tmp_path / "m")
    images = pixels(model).astype("float32")
    found = load(result.path).predict_on_batch(images)
    np.testing.assert_allclose(found, exact.predict(images, verbose=0), atol=1e-5)


def test_export_model__model_unchanged(wide):
    config, weights = wide.get_config(), wide.get_weights()
    in_precision(wide, "float16")
    assert wide.get_config() == config
    for weight, before in zip(wide.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_export_model__mismatch_removes_output(tmp_path, monkeypatch):
    export_model(dense_classifier(), tmp_path / "m")
    before = snapshot(tmp_path)
    monkeypatch.setitem(exporter.TOLERANCES, "float32", -1.0)
    with pytest.raises(
        RuntimeError, match=r"does not predict what.*Nothing was written"
    ):
        export_model(dense_classifier(), tmp_path / "m", version=1, overwrite=True)
    with pytest.raises(RuntimeError, match="does not predict what"):
        export_model(dense_classifier(), tmp_path / "other")
    assert snapshot(tmp_path) == before
    monkeypatch.undo()
    export_model(dense_classifier(), tmp_path / "m", version=1, overwrite=True)
    assert snapshot(tmp_path) != before


@pytest.mark.parametrize("file_format", CONVERTED)
def test_export_model__overwrite(file_format, tmp_path):
    need_runtime(file_format)
    path = tmp_path / "m"
    export_model(dense_classifier(), path, file_format)
    before = path.stat()
    with pytest.raises(FileExistsError, match=r"m exists.*overwrite=True"):
        export_model(dense_classifier(), path, file_format)
    assert path.stat() == before
    export_model(dense_classifier(), path, file_format, labels=NAMES, overwrite=True)
    assert load(path).metadata.labels == NAMES
    assert os.listdir(tmp_path) == ["m"]


def quantized():
    model = dense_classifier()
    model.layers[-1].quantize("int8")
    return model


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (
            dense_classifier,
            {"file_format": "coreml"},
            "file_format must be one of .*'coreml'",
        ),
        (
            dense_classifier,
            {"precision": "int8"},
            "savedmodel must be 'auto' or one of .*'bfloat16'.*, got 'int8'",
        ),
        (
            dense_classifier,
            {"file_format": "onnx", "precision": "bfloat16"},
            "precision of onnx must be .*got 'bfloat16'",
        ),
        (dense_classifier, {"labels": NAMES[1:]}, "each of the 7 classes, got 6"),
        (
            dense_classifier,
            {"file_format": "onnx", "version": 2},
            "Only a savedmodel has",
        ),
        (dense_classifier, {"version": 0}, "positive whole number, got 0"),
        (dense_classifier, {"version": True}, "positive whole number, got True"),
        (
            dense_classifier,
            {"file_format": "openvino", "precision": "int8"},
            "needs calibration images.*--calibration",
        ),
        (
            dense_classifier,
            {"file_format": "onnx", "calibration": np.zeros((3, 8, 8, 3))},
            r"shape \(32, 48, 3\), got an array of shape \(3, 8, 8, 3\)",
        ),
        (
            dense_classifier,
            {"calibration": np.full((3, 32, 48, 3), 0.4)},
            "scaled to 0-1",
        ),
        (
            dense_classifier,
            {"calibration": np.full((3, 32, 48, 3), -0.4)},
            "scaled to ±1",
        ),
        (
            lambda: dense_classifier(activation=None),
            {},
            "Expected a model whose outputs are probabilities",
        ),
        (quantized, {}, "Expected a model that is not quantized"),
    ],
)
def test_export_model__invalid_arguments(build, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_model(build(), tmp_path / "m", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("module", ["onnxruntime.quantization", "openvino"])
def test_export_model__missing_package(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    name = module.partition(".")[0]
    with pytest.raises(ImportError, match=rf"needs {name}.*keras-tnt\[export\]"):
        require(module)


@every_format
def test_find_format__by_content(file_format, exports, tmp_path):
    _, result = exports("color", file_format)
    if file_format == "savedmodel":
        assert find_format(result.path) == ("savedmodel", result.path)
        assert find_format(result.path.parent) == ("savedmodel", result.path)
        return
    misnamed = tmp_path / "model.keras"
    (shutil.copytree if result.path.is_dir() else shutil.copy)(result.path, misnamed)
    assert find_format(misnamed) == (file_format, misnamed)
    if file_format == "openvino":
        xml = misnamed / "model.xml"
        assert find_format(xml) == ("openvino", xml)
        assert load_classifier(str(xml)).class_names == NAMES


def test_find_format__newest_version(tmp_path):
    for version in (2, 10, 9):
        export_model(dense_classifier(), tmp_path / "m", version=version)
    assert find_format(tmp_path / "m") == ("savedmodel", tmp_path / "m" / "10")


def test_find_format__keras_file_by_another_name(tmp_path):
    dense_classifier().save(tmp_path / "m.keras")
    path = (tmp_path / "m.keras").rename(tmp_path / "m.onnx")
    assert find_format(path) == ("keras", path)


@pytest.mark.parametrize("contents", [b"", b"text", b"\x08\x08", b"<?xml?><html/>"])
def test_find_format__other_files(contents, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(contents)
    assert find_format(path) == (None, path)
    assert find_format(tmp_path) == (None, tmp_path)


@every_format
def test_load_exported__truncated(file_format, exports, tmp_path):
    _, result = exports("color", file_format)
    damaged = tmp_path / "damaged"
    if result.path.is_dir():
        shutil.copytree(result.path, damaged)
    else:
        shutil.copy(result.path, damaged)
    for path in (damaged, *damaged.rglob("*")):
        if path.is_file() and path.suffix != ".txt":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="is not a complete model"):
        load_classifier(str(damaged))


def test_load_exported__damaged_metadata():
    with pytest.raises(ValueError, match="Invalid export metadata"):
        ExportMetadata.from_json('{"labels": ["a"]}')


@pytest.mark.slow
def test_export_model__openvino_without_network(tmp_path):
    """From the command line: one line of output, and no file of its telemetry."""
    need_runtime("openvino")
    small(depth=1).save(tmp_path / "m.keras")
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "CI"}
    command = [sys.executable, "-m", "keras_tnt", "export", "--format", "openvino"]
    command += ["--model", tmp_path / "m.keras", "--labels", tmp_path / "names.txt"]
    command += ["--precision", "int8", "--calibration", ASSETS, "--out", tmp_path / "m"]
    process = subprocess.run(
        command,
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.startswith(f"{tmp_path / 'm'}: ")
    assert process.stdout.count("\n") == 1
    assert "intel" not in os.listdir(tmp_path)
    assert load(tmp_path / "m").metadata.labels == NAMES


class TestCommandLine:
    def test_export_command__mismatch_removes_output(
        self, tmp_path, monkeypatch, capsys
    ):
        dense_classifier().save(tmp_path / "m.keras")
        monkeypatch.setitem(exporter.TOLERANCES, "float32", -1.0)
        arguments = ["export", "--model", str(tmp_path / "m.keras")]
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("keras-tnt: The exported model does not predict")
        assert not list((tmp_path / "out").glob("*"))

    def test_export_command__versions(self, tmp_path, capsys):
        dense_classifier().save(tmp_path / "m.keras")
        out = str(tmp_path / "out")
        arguments = ["export", "--model", str(tmp_path / "m.keras"), "--out", out]
        assert main([*arguments, "--version", "3"]) == 0
        assert capsys.readouterr().out.startswith(f"{Path(out, '3')}: ")
        assert main([*arguments, "--version", "3"]) == 1
        assert "3 exists" in capsys.readouterr().err
        assert main([*arguments, "--version", "3", "--overwrite"]) == 0
        assert main(["export", "--model", out, "--out", out]) == 1
        assert "is already an export" in capsys.readouterr().err

    def test_export_command__image_size(self, tmp_path, capsys):
        source, out = str(tmp_path / "m.keras"), str(tmp_path / "m")
        images = keras.Input((None, None, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(images)
        keras.Model(images, keras.layers.Dense(3, "softmax")(pooled)).save(source)
        arguments = ["export", "--model", source, "--out", out]
        assert main(arguments) == 1
        assert "--image-size HEIGHT,WIDTH" in capsys.readouterr().err
        for text, size in (("24", (24, 24)), ("16,24", (16, 24))):
            assert main([*arguments, "--image-size", text]) == 0
            assert load(out).metadata.image_shape == (*size, 3)
        for text in ("0", "16,-8", "a", "8,8,8", "1.5", ""):
            with pytest.raises(SystemExit):
                main([*arguments, "--image-size", text])
            assert "expected a side such as 224" in capsys.readouterr().err

    def test_export_command__image_size_of_static_model(self, tmp_path, capsys):
        dense_classifier().save(tmp_path / "m.keras")
        arguments = ["export", "--model", str(tmp_path / "m.keras")]
        arguments += ["--out", str(tmp_path / "m"), "--image-size", "8"]
        assert main(arguments) == 1
        assert "(32, 48), got image_size=(8, 8)" in capsys.readouterr().err
        assert not (tmp_path / "m").exists()

    def test_export_command__calibration(self, tmp_path, capsys):
        need_runtime("openvino")
        dense_classifier().save(tmp_path / "m.keras")
        arguments = ["export", "--model", str(tmp_path / "m.keras")]
        arguments += ["--format", "openvino", "--precision", "int8"]
        arguments += ["--out", str(tmp_path / "m")]
        assert main(arguments) == 1
        assert "needs calibration images" in capsys.readouterr().err
        assert main([*arguments, "--calibration", "fashion_mnist_mini"]) == 0
        assert load(tmp_path / "m").metadata.precision == "int8"


def test_export_model__plain_operators(exports):
    """No operator of TensorFlow's own, which the runtimes do not have."""
    _, result = exports("color", "onnx")
    import onnx

    graph = onnx.load(result.path)
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert "Erf" in {node.op_type for node in graph.graph.node}
    onnx.checker.check_model(graph, full_check=True)


def test_export_model__litert_metadata(exports):
    """As LiteRT's own tools put files there: `unzip` finds them."""
    _, result = exports("color", "litert")
    with zipfile.ZipFile(result.path) as file:
        record = json.loads(file.read("keras_tnt.json"))
    assert record["labels"] == NAMES
    assert record["preprocessing"]["box"] == [35, 53]


@pytest.mark.slow
@pytest.mark.parametrize(
    "file_format",
    [
        "onnx",
        pytest.param("litert", marks=pytest.mark.extra_large),
        pytest.param("savedmodel", marks=pytest.mark.extra_large),
        pytest.param("openvino", marks=pytest.mark.extra_large),
    ],
)
def test_export_model__tnt_small(file_format, tmp_path):
    need_runtime(file_format)
    model = keras_tnt.TNTSmall(weights=None)
    for weight in model.weights:  # untrained, all answers would be much alike
        if weight.name == "kernel":
            weight.assign(3 * weight)
    result = export_model(model, tmp_path / "m", file_format)
    images = pixels(model, 2).astype("float32")
    expected = model.predict(images, verbose=0)
    assert expected.max() > 0.01
    found = load(result.path).predict_on_batch(images)
    np.testing.assert_allclose(found, expected, atol=1e-4)
