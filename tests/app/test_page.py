"""The page's server: what it answers, to whom, and what it keeps to itself."""

import asyncio
import gc
import json
import re
import shutil
import sys
import urllib.request
import warnings

import keras
import pytest

from keras_tnt.app import (
    blend_overlay,
    build_app,
    explain_prediction,
    page,
    require_gradio,
)
from keras_tnt.cli import main
from keras_tnt.images import load_image
from keras_tnt.inference.classifier import load_classifier
from tests.helpers.app_runs import OTHER_PHOTO, PHOTO, make_run
from tests.helpers.app_server import serving
from tests.helpers.encoded import bmp

pytestmark = [pytest.mark.slow]

try:
    import gradio
    import gradio_client
except ImportError:
    gradio = None

needs_gradio = pytest.mark.skipif(gradio is None, reason="gradio is not installed")
MESSAGE, CLASSES, SECONDS, VIEW = range(4)


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


def image_of(found, block):
    return page._image_tag(
        blend_overlay(found.image, found.maps[block - 1]),
        f"Attention in block {block}",
    )


def test_an_upload_is_answered_as_the_command_would(visitors, run):
    shown = upload(visitors[0], PHOTO)
    expected = explain_prediction(load_classifier(run), load_image(PHOTO))
    assert shown[CLASSES]["label"] == expected.classes[0][0]
    found = {c["label"]: c["confidence"] for c in shown[CLASSES]["confidences"]}
    assert found == pytest.approx(dict(expected.classes), abs=1e-6)
    assert shown[VIEW] == image_of(expected, block=2)
    assert re.fullmatch(
        r"The classes took \S+ ms, the attention \S+ ms.", shown[SECONDS]
    )


def test_an_example_is_answered_as_an_upload(visitors):
    shown = visitors[0].predict(0, 2, api_name="/show_example")[1:]
    assert shown[VIEW] == upload(visitors[1], OTHER_PHOTO)[VIEW]


def test_the_slider_draws_what_was_computed_and_visitors_are_apart(
    visitors, server, run
):
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
            assert shown == image_of(own, block)
    assert server.images() == before
    assert image_of(expected[0], 1) != image_of(expected[0], 2)


def huge_bmp():
    header = bytearray(bmp(24))
    header[18:22] = header[22:26] = (10_000).to_bytes(4, "little")
    return bytes(header)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "&#x27;a&amp;b.png&#x27; cannot be decoded: it is empty"),
        (b"\x89PNG\r\n\x1a\nnothing", "it starts like a PNG but is damaged"),
        (b"<script>alert(1)", "it starts with b&#x27;&lt;script&gt;&#x27;"),
        (huge_bmp(), "or larger than 67,108,864 pixels"),
    ],
)
def test_what_is_no_image_gets_a_message(contents, message, visitors, tmp_path):
    upload(visitors[0], PHOTO)
    path = tmp_path / "a&b.png"
    path.write_bytes(contents)
    shown = upload(visitors[0], path)
    assert message in shown[MESSAGE]["value"]
    assert 'role="alert"' in shown[MESSAGE]["value"]
    assert "keras-tnt-app-" not in shown[MESSAGE]["value"]  # the server's directory
    assert shown[MESSAGE]["visible"]
    assert not visitors[0].predict(1, api_name="/show_block")
    shown = upload(visitors[0], PHOTO)
    assert not shown[MESSAGE]["visible"]


def test_the_server_reaches_no_other_machine(server, visitors):
    upload(visitors[0], PHOTO)
    assert server.reached() == {"127.0.0.1"}


def test_only_uploads_are_read(server, visitors):
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


def test_a_taken_port_is_named(server, run, capsys):
    port = server.url.rstrip("/").rpartition(":")[2]

    async def start():
        return main(["app", "--model", str(run), "--port", port])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Gradio drops its socket
        assert asyncio.run(start()) == 1
        gc.collect()
    assert f"Cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@needs_gradio
def test_examples(run, tmp_path):
    def offered(app):
        (dataset,) = (b for b in app.blocks.values() if b.get_block_name() == "dataset")
        return [re.search('alt="(.*)"', tag)[1] for (tag,) in dataset.samples]

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
def test_a_model_without_attention_says_so(tmp_path):
    model = keras.Sequential(
        [keras.Input((32, 48, 3)), keras.layers.Flatten(), keras.layers.Dense(7)]
    )
    model.save(tmp_path / "flat.keras")
    app = build(tmp_path / "flat.keras")
    texts = [b.value for b in app.blocks.values() if b.get_block_name() == "markdown"]
    assert "# Try flat on your own images" in texts[0]
    assert "attention cannot be shown" in texts[0]
    (slider,) = (b for b in app.blocks.values() if b.get_block_name() == "slider")
    assert not slider.visible


def test_without_gradio_the_extra_is_named(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=re.escape('pip install "keras-tnt[app]"')):
        require_gradio()
    assert main(["app", "--model", str(run)]) == 1
    assert 'pip install "keras-tnt[app]"' in capsys.readouterr().err
