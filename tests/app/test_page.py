"""The page's server: what it answers, to whom, and what it keeps to itself."""

import asyncio
import gc
import json
import re
import shutil
import sys
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pytest

from keras_tnt.app import attention_image, build_app, explain_prediction, page
from keras_tnt.cli import main
from keras_tnt.images import decode_image, load_image
from keras_tnt.inference.classifier import load_classifier
from tests.helpers.app_runs import OTHER_PHOTO, PHOTO, make_run
from tests.helpers.app_server import serving
from tests.helpers.encoded import bmp
from tests.helpers.small import dense_classifier

pytestmark = pytest.mark.processes

try:
    import gradio
    import gradio_client
except ImportError:
    gradio = None

needs_gradio = pytest.mark.skipif(gradio is None, reason="gradio is not installed")
CLASSES, SECONDS, VIEW = range(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "pets")


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    if gradio is None:
        pytest.skip("gradio is not installed")
    examples = tmp_path_factory.mktemp("examples")
    shutil.copy(OTHER_PHOTO, examples)
    directory = tmp_path_factory.mktemp("server")
    with serving(directory, "--model", run, "--examples", examples) as running:
        yield running


@pytest.fixture
def visitors(server):
    """Two visitors, as programs."""
    clients = [gradio_client.Client(server.url, verbose=False) for _ in range(2)]
    yield clients
    for client in clients:
        client.close()


def upload(visitor, path, block=2):
    file = gradio_client.handle_file(str(path))
    return visitor.predict(file, block, api_name="/show")


def build(*arguments):
    """Builds a page as a server does: Gradio opens an event loop if none is running."""

    async def build():
        return build_app(*arguments)

    return asyncio.run(build())


def assert_shows(update, found, block):
    """Whether an update of the page is the image with the attention of a block."""
    assert update["alt_text"] == f"Attention in block {block}"
    expected = attention_image(found, block)
    shown = decode_image(Path(update["value"]).read_bytes())
    np.testing.assert_array_equal(shown, expected)


def test_upload__equal_to_predict(visitors, run):
    shown = upload(visitors[0], PHOTO)
    expected = explain_prediction(load_classifier(run), load_image(PHOTO))
    assert shown[CLASSES]["label"] == expected.classes[0][0]
    found = {c["label"]: c["confidence"] for c in shown[CLASSES]["confidences"]}
    assert found == pytest.approx(dict(expected.classes), abs=1e-6)
    assert_shows(shown[VIEW], expected, block=2)
    assert re.fullmatch(
        r"Time: \S+ ms for the classes, \S+ ms for the attention.", shown[SECONDS]
    )


def test_slider__shows_own_image_without_computing(visitors, server, run):
    first, second = visitors
    classifier = load_classifier(run)
    expected = [
        explain_prediction(classifier, load_image(p)) for p in (PHOTO, OTHER_PHOTO)
    ]
    assert not first.predict(1, api_name="/show_block")
    upload(first, PHOTO)
    assert not second.predict(1, api_name="/show_block")
    upload(second, OTHER_PHOTO)
    before = server.images()
    for block in (1, 2, 1):
        for visitor, own in zip(visitors, expected, strict=True):
            shown = visitor.predict(block, api_name="/show_block")
            assert_shows(shown, own, block)
    assert server.images() == before
    first_block, last_block = (view.weights for view in expected[0].views)
    assert np.abs(first_block - last_block).max() > 0.01


def huge_bmp():
    header = bytearray(bmp(24))
    header[18:22] = header[22:26] = (10_000).to_bytes(4, "little")
    return bytes(header)


@needs_gradio
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "&#x27;a&amp;b.png&#x27; cannot be decoded: it is empty"),
        (b"\x89PNG\r\n\x1a\nnothing", "it starts like a PNG but is damaged"),
        (b"<script>alert(1)", "it starts with b&#x27;&lt;script&gt;&#x27;"),
        (huge_bmp(), "is larger than 67,108,864 pixels"),
    ],
)
def test_upload__corrupt_image_gets_message(
    contents, message, run, tmp_path, monkeypatch
):
    warned = []
    monkeypatch.setattr(gradio, "Warning", lambda text, **_: warned.append(text))
    path = tmp_path / "a&b.png"
    path.write_bytes(contents)
    (show,) = (f.fn for f in build(run).fns.values() if f.api_name == "show")
    assert show(str(path), 2) == (None, "", None, None)
    assert message in warned[0]
    assert str(tmp_path) not in warned[0]  # the server's directory


def test_serve__reaches_no_other_machine(server, visitors):
    upload(visitors[0], PHOTO)
    assert server.reached() == {"127.0.0.1"}


def test_upload__reads_no_other_file_of_the_server(server, visitors):
    """Not the server's own files, whatever a request says."""

    def asked_for(path):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        request = urllib.request.Request(
            f"{server.url}gradio_api/call/show",
            json.dumps({"data": [file, 1]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            event = json.load(response)["event_id"]
        answered = f"{server.url}gradio_api/call/show/{event}"
        with urllib.request.urlopen(answered, timeout=60) as response:
            return response.read().decode().splitlines()[0]

    before = server.images()
    assert asked_for(PHOTO) == "event: error"
    assert server.images() == before
    upload(visitors[0], PHOTO)
    assert server.images() == before + 1


def test_serve__taken_port(server, run, capsys):
    port = server.url.rstrip("/").rpartition(":")[2]

    async def start():
        return main(["app", "--model", str(run), "--port", port])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Gradio drops its socket
        assert asyncio.run(start()) == 1
        gc.collect()
    assert f"Cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@needs_gradio
def test_build_app__examples(run, tmp_path):
    def offered(app):
        (gallery,) = (b for b in app.blocks.values() if b.get_block_name() == "gallery")
        return [image["caption"] for image in gallery.value or []]

    assert offered(build(run)) == []
    demo = make_run(tmp_path / "demo")
    shutil.copytree(PHOTO.parent, demo / "images", ignore=shutil.ignore_patterns("r*"))
    names = ["astronaut_landscape", "astronaut_portrait", "astronaut_small"]
    assert offered(build(demo)) == names
    for number in range(page.MAX_EXAMPLES):
        shutil.copy(demo / "images" / "astronaut_small.png", tmp_path / f"{number}.png")
    assert len(offered(build(demo, tmp_path))) == page.MAX_EXAMPLES
    with pytest.raises(FileNotFoundError, match="No image matches"):
        build(run, tmp_path / "none")
    (tmp_path / "0.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"0\.png' cannot be decoded"):
        build(run, tmp_path)


@needs_gradio
def test_build_app__model_without_attention(tmp_path):
    dense_classifier().save(tmp_path / "flat.keras")
    app = build(tmp_path / "flat.keras")
    texts = [b.value for b in app.blocks.values() if b.get_block_name() == "markdown"]
    assert "# Classify images with flat" in texts[0]
    assert "attention cannot be shown" in texts[0]
    (slider,) = (b for b in app.blocks.values() if b.get_block_name() == "slider")
    assert not slider.visible


@pytest.mark.parametrize("package", ["gradio", "matplotlib"])
def test_build_app__missing_package(package, run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape('pip install "keras-tnt[app]"')):
        build_app(str(run))
    assert main(["app", "--model", str(run)]) == 1
    assert 'pip install "keras-tnt[app]"' in capsys.readouterr().err
