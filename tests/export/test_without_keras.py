"""All signatures where Keras cannot be imported, and where there is no Python."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.export.saved_model import RELOAD
from tests.helpers.small import pixels

# Python imports a module of this name when it starts.
SITE = """
import sys
for blocked in ("keras", "tf_keras", "keras_tnt"):
    sys.modules[blocked] = None
"""
RUN = """
import pickle, sys, tensorflow as tf
path, inputs, outputs = sys.argv[1:]
served = tf.saved_model.load(path).signatures
answers = []
for name, feed in pickle.load(open(inputs, "rb")):
    found = served[name](**{key: tf.constant(value) for key, value in feed.items()})
    answers.append({key: value.numpy() for key, value in found.items()})
pickle.dump(answers, open(outputs, "wb"))
for name in ("keras", "keras_tnt", "tf_keras", "keras.layers"):
    try:
        __import__(name)
    except ImportError:
        print("no", name)
"""
SIGNATURES = ["serving_default", "predict_images", "predict_images_uint8", "features"]
NO_KERAS = ["no keras", "no keras_tnt", "no tf_keras", "no keras.layers"]


@pytest.fixture
def run_without_keras(tmp_path):
    """Runs a command in a Python that cannot import Keras."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)

    def run(*command):
        process = subprocess.run(
            [str(argument) for argument in command],
            env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0, process.stderr[-3000:]
        return process.stdout

    return run


def feed(exported, signature, batch, photos):
    """What a signature takes, by the name of its input."""
    if signature == "serving_default":
        return {"image_bytes": np.array((photos * batch)[:batch], dtype=object)}
    images = pixels(exported.model, batch)
    if signature != "predict_images_uint8":
        images = images.astype("float32")
    return {"images": images}


def expected(exported, signature, batch, photos):
    """What the live model says to that, by the name of the output."""
    if signature == "serving_default":
        return exported.live_classes((photos * batch)[:batch])
    names = ("probabilities", "logits")
    if signature == "features":
        names = ("embedding", "feature_map")
    return {name: exported.live(name, pixels(exported.model, batch)) for name in names}


def assert_answers_are(found, wanted):
    assert sorted(found) == sorted(wanted)
    for name, value in wanted.items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=0)
        else:
            np.testing.assert_array_equal(found[name], value)


def test_reload_saved_model__has_no_keras():
    """The script itself gets as far as the SavedModel, which is missing here."""
    script = f"""
import runpy, sys
sys.argv = [{str(RELOAD)!r}, "no model", "no inputs", "no outputs"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except OSError as error:
    assert "no model" in str(error), error
for name in ("keras", "keras_tnt", "tf_keras", "keras.layers"):
    try:
        __import__(name)
    except ImportError:
        print("no", name)
"""
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert process.stdout.splitlines() == NO_KERAS, process.stderr[-2000:]


@pytest.mark.processes
def test_reload_saved_model__every_signature(
    color, photos, run_without_keras, tmp_path
):
    cases = [(name, batch) for name in SIGNATURES for batch in (1, 7, 32)]
    feeds = [(name, feed(color, name, batch, photos)) for name, batch in cases]
    for _, fed in feeds:  # lists of bytes, for pickle without surprises
        if "image_bytes" in fed:
            fed["image_bytes"] = fed["image_bytes"].tolist()
    (tmp_path / "inputs").write_bytes(pickle.dumps(feeds))
    files = tmp_path / "inputs", tmp_path / "outputs"
    printed = run_without_keras(sys.executable, "-c", RUN, color.path, *files)
    assert printed.splitlines() == NO_KERAS
    answers = pickle.loads((tmp_path / "outputs").read_bytes())
    for (name, batch), found in zip(cases, answers, strict=True):
        assert_answers_are(found, expected(color, name, batch, photos))


def check_command_line(color, signature, batch, photos, run, directory):
    (name, value), *_ = feed(color, signature, batch, photos).items()
    np.save(directory / "input.npy", value)
    command = shutil.which("saved_model_cli", path=Path(sys.executable).parent)
    launch = [command] if command else [sys.executable, "-m", CLI_MODULE]
    run(
        *launch,
        "run",
        *("--dir", color.path, "--tag_set", "serve", "--signature_def", signature),
        *(
            "--inputs",
            f"{name}={directory / 'input.npy'}",
            "--outdir",
            directory / "out",
        ),
    )
    found = {
        file.stem: np.load(file, allow_pickle=True) for file in directory.glob("out/*")
    }
    assert_answers_are(found, expected(color, signature, batch, photos))


CLI_MODULE = "tensorflow.python.tools.saved_model_cli"


@pytest.mark.slow
def test_saved_model_cli__show(color, photos, run_without_keras, tmp_path):
    check_command_line(color, SIGNATURES[0], 7, photos, run_without_keras, tmp_path)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """The program of serve.c, linked with the library of TensorFlow's package."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    package = Path(tf.sysconfig.get_lib())
    libraries = [package / f"libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    missing = [library.name for library in libraries if not library.exists()]
    if missing:
        pytest.skip(f"this TensorFlow has no {' and '.join(missing)}")
    program = tmp_path_factory.mktemp("c") / "serve"
    command = [
        compiler,
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{tf.sysconfig.get_include()}",
    ]
    source = Path(__file__).with_name("serve.c")
    subprocess.run(
        [*command, source, "-o", program, *libraries, f"-Wl,-rpath,{package}"],
        check=True,
    )
    return program


def tensor_names(path, signature):
    """Names of a signature's tensors in the graph: its input, and each output."""
    loaded = tf.compat.v1.saved_model.load
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        definition = loaded(session, ["serve"], str(path)).signature_def[signature]
    (given,) = definition.inputs.values()
    return given.name, {key: info.name for key, info in definition.outputs.items()}


def run_in_c(serve, exported, signature, arguments):
    given, outputs = tensor_names(exported.path, signature)
    command = [serve, exported.path, given, *arguments, "--", *outputs.values()]
    process = subprocess.run(
        [str(argument) for argument in command], capture_output=True, timeout=300
    )
    assert process.returncode == 0, process.stderr.decode()[-3000:]
    return dict(zip(outputs, process.stdout.decode().splitlines(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_c_api__pixels(serve, color, photos, batch, tmp_path):
    images = feed(color, "predict_images", batch, photos)["images"]
    images.tofile(tmp_path / "pixels")
    arguments = ["pixels", tmp_path / "pixels", *images.shape]
    printed = run_in_c(serve, color, "predict_images", arguments)
    wanted = expected(color, "predict_images", batch, photos)
    found = {
        name: np.array(line.split(), "float32").reshape(wanted[name].shape)
        for name, line in printed.items()
    }
    assert_answers_are(found, wanted)


def test_c_api__files(serve, color, photos, tmp_path):
    """One of them is broken: that, too, must work in the server's own loader."""
    images = [photos[0], b"no image", *photos[1:]]
    paths = [tmp_path / str(number) for number in range(len(images))]
    for path, contents in zip(paths, images, strict=True):
        path.write_bytes(contents)
    printed = run_in_c(serve, color, "serving_default", ["files", *paths])
    wanted = color.classify(images)
    assert printed["ok"].split() == ["1", "0", "1", "1"]
    scores = np.array(printed["scores"].split(), "float32").reshape(-1, 5)
    np.testing.assert_allclose(scores, wanted["scores"], atol=1e-5, rtol=0)
    assert printed["class_ids"].split() == [str(i) for i in wanted["class_ids"].flat]
    names = [f"'{name.decode()}'" for name in wanted["classes"].flat]
    assert printed["classes"].split() == names
