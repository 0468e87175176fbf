r"""Serve an exported model over HTTP with the REST interface of TensorFlow Serving.

Simultaneous requests run as one batch. Use TensorFlow Serving in production
(docs/serving.md). This server needs only Python: it uses LitServe
(`pip install ".[serve]"`). A request has one image. `/health` answers 200 as soon as
the model is loaded; `/metrics` has counts and times in the text format of Prometheus.

    python examples/serve.py pets --port 8501

    echo "{\"instances\": [{\"b64\": \"$(base64 -w0 cat.jpg)\"}]}" |
        curl -H "Content-Type: application/json" -d @- \
            localhost:8501/v1/models/pets:predict
"""

import argparse
import base64
import binascii
import os
import signal
import tempfile
from pathlib import Path

import litserve
import tensorflow as tf
from fastapi import HTTPException


class SavedModel(litserve.LitAPI):
    """The newest version of a model in a directory."""

    def __init__(self, directory, **options):
        super().__init__(api_path=f"/v1/models/{directory.name}:predict", **options)
        self.version = max(
            (path for path in directory.iterdir() if path.name.isdecimal()),
            key=lambda path: int(path.name),
        )

    def setup(self, device):
        """Load the model, in the process that serves it."""
        from prometheus_client import Counter, Histogram

        self.batches = Histogram(
            "keras_tnt_batch_images",
            "Images in a batch of the model",
            buckets=[2**power for power in range(11)],
        )
        self.images = Counter(
            "keras_tnt_images", "Images by outcome: classified or corrupt", ["outcome"]
        )
        loaded = tf.saved_model.load(self.version)
        self.classify = loaded.signatures["serving_default"]
        self.loaded = loaded  # a signature alone does not keep its variables

    def decode_request(self, request):
        """Return the bytes of the image in `{"instances": [{"b64": "…"}]}`."""
        try:
            (instance,) = request["instances"]
            return base64.b64decode(instance["b64"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise HTTPException(
                400, f"Expected one image in base64: {error}"
            ) from error

    def predict(self, images):
        """Return one result per image of a batch."""
        outputs = self.classify(image_bytes=tf.constant(images))
        classified = int(tf.math.count_nonzero(outputs["ok"]))
        self.batches.observe(len(images))
        self.images.labels("classified").inc(classified)
        self.images.labels("corrupt").inc(len(images) - classified)
        columns = {name: value.numpy().tolist() for name, value in outputs.items()}
        columns["classes"] = [
            [name.decode() for name in row] for row in columns["classes"]
        ]
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def encode_response(self, answer):
        """Return one row in the format of the request."""
        return {"predictions": [answer]}


def serve(api, port):
    """Serve a model until interrupted."""
    with tempfile.TemporaryDirectory() as directory:
        # Here the processes of the server share their counts. prometheus_client reads
        # the variable when it is imported.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        from prometheus_fastapi_instrumentator import Instrumentator

        server = litserve.LitServer(api, accelerator="cpu", timeout=60)
        instrumentator = Instrumentator(excluded_handlers=["/health", "/metrics"])
        instrumentator.instrument(server.app).expose(server.app)
        server.run(
            host="127.0.0.1",
            port=port,
            num_api_servers=1,
            generate_client_file=False,
            log_level="warning",
        )


def main():
    """Read the command line and serve the model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("directory", type=Path, help="directory of the model")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--batch-size", type=int, default=32, help="largest batch")
    arguments = parser.parse_args()
    # Shells start a script's background processes with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    api = SavedModel(
        arguments.directory.resolve(),
        max_batch_size=arguments.batch_size,
        batch_timeout=0.005,
    )
    serve(api, arguments.port)


if __name__ == "__main__":
    main()
