"""The requests, answers and clients of docs/serving.md, against the signatures.

TensorFlow Serving itself is not at hand: its documented rules are applied here.
"""

import base64
import http.server
import json
import re
import threading
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from tests.helpers import ROOT
from tests.helpers.encoded import AS_PILLOW
from tests.helpers.small import pixels, small

GUIDE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(mark):
    pattern = rf"<!-- {mark} -->\n```\w+\n(.*?)```"
    return re.findall(pattern, GUIDE, flags=re.DOTALL)


class Pets:
    """A model as in the guide, and a server's view of it."""

    def __init__(self, directory):
        self.model = small(depth=1, classes=2)
        self.path = keras_tnt.export_saved_model(
            self.model, directory / "pets", ["cat", "dog"]
        )
        self.loaded = tf.saved_model.load(self.path)

    def run(self, signature, inputs):
        """Runs a signature on values by name, converted to what it takes."""
        function = self.loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        assert set(inputs) == set(specs)
        tensors = {
            name: tf.constant(value, specs[name].dtype)
            for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in function(**tensors).items()}

    def rest(self, request):
        """A JSON request in, a JSON answer out, by the rules of the REST interface."""
        signature = request.get("signature_name", "serving_default")
        (name,) = self.loaded.signatures[signature].structured_input_signature[1]
        if "instances" in request:
            rows = [
                row[name] if isinstance(row, dict) and set(row) == {name} else row
                for row in request["instances"]
            ]
            outputs = self.run(signature, {name: as_values(rows)})
            assert len({len(value) for value in outputs.values()}) == 1
            columns = {key: as_json(value) for key, value in outputs.items()}
            return {
                "predictions": [
                    dict(zip(columns, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
            }
        inputs = request["inputs"]
        inputs = inputs if isinstance(inputs, dict) else {name: inputs}
        outputs = self.run(signature, {k: as_values(v) for k, v in inputs.items()})
        return {"outputs": {key: as_json(value) for key, value in outputs.items()}}


def as_values(value):
    """Nested lists with base64 decoded."""
    if isinstance(value, dict):
        assert set(value) == {"b64"}
        return base64.b64decode(value["b64"], validate=True)
    return [as_values(item) for item in value] if isinstance(value, list) else value


def as_json(value):
    """An array as nested lists; strings are text, as no output ends in ``_bytes``."""
    if value.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(value).tolist()
    return value.tolist()


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return Pets(tmp_path_factory.mktemp("rest"))


def load(text, **placeholders):
    for name, value in placeholders.items():
        text = re.sub(rf"\b{name}\b", json.dumps(value), text)
    return json.loads(text)


def assert_alike(found, documented, path="answer"):
    """The same keys, lengths and types, and the same marks of a corrupt image."""
    assert type(found) is type(documented), path
    if isinstance(found, dict):
        assert set(found) == set(documented), path
        for key, value in found.items():
            assert_alike(value, documented[key], f"{path}.{key}")
    elif isinstance(found, list):
        assert len(found) == len(documented), path
        for index, (one, other) in enumerate(zip(found, documented, strict=True)):
            assert_alike(one, other, f"{path}[{index}]")
    elif isinstance(found, float) and ".scores." in path:
        assert (found == 0) == (documented == 0), path
    elif found in ("", -1) or isinstance(found, bool):
        assert found == documented, path


@pytest.mark.parametrize("number", range(5))
def test_rest__documented_requests(number, pets):
    image = pixels(pets.model, 1)[0].tolist()
    embedding = np.zeros(48).tolist()
    feature_map = np.zeros((2, 3, 48)).tolist()
    request = load(blocks("request")[number], PIXELS=image)
    answer = load(
        blocks("answer")[number], EMBEDDING=embedding, FEATURE_MAP=feature_map
    )
    # Through text, as over the wire: invalid JSON would fail here.
    assert_alike(json.loads(json.dumps(pets.rest(request), allow_nan=False)), answer)


def test_rest__every_example_checked():
    assert len(blocks("request")) == len(blocks("answer")) == 5
    assert len(blocks("client")) == 2


def rest_server(pets):
    """An HTTP server that answers as `Pets.rest` does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/pets:predict"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = pets.rest(json.loads(body))
            answer = json.dumps(answer, allow_nan=False).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port, server.shutdown, server.server_close


def grpc_server(pets):
    """A gRPC server with TensorFlow Serving's interface."""
    grpc = pytest.importorskip("grpc")
    apis = "tensorflow_serving.apis"
    services = pytest.importorskip(f"{apis}.prediction_service_pb2_grpc")
    messages = pytest.importorskip(f"{apis}.predict_pb2")

    class Service(services.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            assert request.model_spec.name == "pets"
            inputs = {key: tf.make_ndarray(v) for key, v in request.inputs.items()}
            inputs = {key: value.tolist() for key, value in inputs.items()}
            response = messages.PredictResponse()
            found = pets.run(request.model_spec.signature_name, inputs)
            for key, value in found.items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(1))
    services.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, lambda: server.stop(None).wait(), lambda: None


@pytest.mark.parametrize(
    ("number", "start", "documented_port"),
    [(0, rest_server, 8501), (1, grpc_server, 8500)],
    ids=["rest", "grpc"],
)
def test_rest__clients(
    number, start, documented_port, pets, tmp_path, monkeypatch, capsys
):
    (tmp_path / "cat.jpg").write_bytes(AS_PILLOW["jpeg"])
    monkeypatch.chdir(tmp_path)
    port, stop, close = start(pets)
    try:
        code = blocks("client")[number].replace(str(documented_port), str(port))
        exec(compile(code, "docs/serving.md", "exec"), {})
    finally:
        stop()
        close()
    name, score = capsys.readouterr().out.split()
    answer = pets.run("serving_default", {"image_bytes": [AS_PILLOW["jpeg"]]})
    assert name == answer["classes"][0, 0].decode()
    np.testing.assert_allclose(float(score), answer["scores"][0, 0], atol=1e-5)
