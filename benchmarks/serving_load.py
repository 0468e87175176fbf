"""Load test of an exported model behind a server with request batching.

    python benchmarks/serving_load.py --minutes 10

The server is `examples/serve.py`, in a separate process on loopback. Clients send one
image per request and wait for the response, so simultaneous requests form batches. The
expected response of every image is known and unique, and some images are corrupt. So
lost and swapped responses are detected. The memory of the server is read every few
seconds, and its metrics at the end. The command writes the results to a file, and fails
if a response was lost or wrong, or if the server counted other images than the clients.
"""

import argparse
import base64
import http.client
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import keras
import numpy as np
import psutil
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families

import keras_tnt
from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.images import decode_image

IMAGES = 200
CORRUPT_EVERY = 20
TOLERANCE = 1e-5
WARM_UP = 20  # requests


def build(variant):
    """Return a model with random weights whose head separates the images."""
    keras.utils.set_random_seed(0)
    if variant == "tnt_small":
        model = keras_tnt.TNTSmall(weights=None, classes=10)
    else:
        model = keras_tnt.TNT(
            outer_dim=96,
            inner_dim=12,
            depth=4,
            outer_num_heads=3,
            patch_size=8,
            inner_stride=2,
            classes=10,
            input_shape=(32, 32, 3),
        )
    images = [decode_image(contents) for contents in encoded_images()[1:10]]
    images = keras_tnt.preprocess_input(images, model.input_shape[1:3])
    head = model.get_layer("predictions")
    spread = np.log(model(images)).std(axis=0).mean()
    head.kernel.assign(head.kernel / spread)
    return model


def encoded_images():
    """Return encoded images, some of them corrupt."""
    images = fashion_mnist_mini(f"test[:{IMAGES}]").as_numpy_iterator()
    encoded = [tf.io.encode_png(image).numpy() for image, _ in images]
    return [
        contents[: len(contents) // 2] if index % CORRUPT_EVERY == 0 else contents
        for index, contents in enumerate(encoded)
    ]


def expected_answers(path, encoded):
    """Return the SavedModel's results; they must differ to detect swaps."""
    loaded = tf.saved_model.load(path)
    outputs = loaded.signatures["serving_default"](image_bytes=tf.constant(encoded))
    outputs = {name: value.numpy() for name, value in outputs.items()}
    assert not outputs["ok"][::CORRUPT_EVERY].any()
    good = outputs["scores"][outputs["ok"]]
    distances = np.abs(good[:, None] - good[None]).max(axis=-1)
    np.fill_diagonal(distances, 1)
    assert distances.min() > 4 * TOLERANCE, distances.min()
    return outputs


class Client(threading.Thread):
    """Send requests one after the other and record the latencies."""

    def __init__(self, port, path, questions, expected, until):
        super().__init__(daemon=True)
        self.port, self.path, self.until = port, path, until
        self.questions, self.expected = questions, expected
        self.seconds, self.lost, self.wrong = [], 0, 0

    def run(self):
        """Send requests until the end; count and print lost responses."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for index, body in self.questions:
            if time.time() > self.until:
                return
            start = time.perf_counter()
            try:
                connection.request("POST", self.path, body, JSON)
                response = connection.getresponse()
                answer = json.loads(response.read())["predictions"][0]
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                print(f"Lost: {error!r}", flush=True)
                self.lost += 1
                connection.close()
                continue
            self.seconds.append(time.perf_counter() - start)
            self.wrong += not self.is_right(index, answer)

    def is_right(self, index, answer):
        """Return whether a response is the expected one."""
        if not self.expected["ok"][index]:
            return not answer["ok"] and set(answer["class_ids"]) == {-1}
        scores = np.array(answer["scores"], float)
        difference = np.abs(scores - self.expected["scores"][index]).max()
        return answer["ok"] and difference <= TOLERANCE


JSON = {"Content-Type": "application/json"}


def questions_of(client, bodies):
    """Yield the requests endlessly, in a different order for each client."""
    order = np.random.default_rng(client).permutation(len(bodies))
    return ((index, bodies[index]) for index in itertools.cycle(order))


def start_server(directory, port):
    """Start the server in its own process group and wait until it responds."""
    script = ROOT / "examples" / "serve.py"
    server = subprocess.Popen(
        [sys.executable, str(script), str(directory), "--port", str(port)],
        start_new_session=True,
        cwd=directory.parent,
    )
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return server
        except OSError:
            pass
        time.sleep(0.5)
    stop_server(server)
    raise RuntimeError("The server did not start.")


def stop_server(server):
    """Stop the server and all of its processes."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def memory(server):
    """Return the resident memory of the server's processes, in MB."""
    parent = psutil.Process(server.pid)
    processes = [parent, *parent.children(recursive=True)]
    return round(sum(process.memory_info().rss for process in processes) / 1e6)


def read_metrics(port):
    """Return the values of the server's metrics, by name and the values of labels."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=60) as response:
        families = text_string_to_metric_families(response.read().decode())
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }


def free_port():
    """Return a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run(variant, clients, minutes):
    """Export, serve and send requests; return the measurements."""
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory) / "load"
        version = keras_tnt.export_saved_model(
            build(variant), directory, fashion_mnist_mini_class_names(), top_k=10
        )
        encoded = encoded_images()
        expected = expected_answers(version, encoded)
        port = free_port()
        server = start_server(directory, port)
        try:
            crowd, seconds, rss = ask(
                server, port, directory.name, encoded, expected, clients, minutes
            )
            metrics = read_metrics(port)
        finally:
            stop_server(server)
    took = sorted(second for client in crowd for second in client.seconds)
    percentiles = statistics.quantiles(took, n=100)
    quarter = max(len(rss) // 4, 1)
    return {
        "model": variant,
        "clients": clients,
        "seconds": round(seconds),
        "answers": len(took),
        "answers_per_second": round(len(took) / seconds, 1),
        "lost": sum(client.lost for client in crowd),
        "wrong": sum(client.wrong for client in crowd),
        "counted_by_server": round(metrics["keras_tnt_batch_images_sum",]) - WARM_UP,
        "images_per_batch": round(
            metrics["keras_tnt_batch_images_sum",]
            / metrics["keras_tnt_batch_images_count",],
            2,
        ),
        "milliseconds": {
            "p50": round(1000 * percentiles[49], 1),
            "p99": round(1000 * percentiles[98], 1),
            "max": round(1000 * took[-1], 1),
        },
        "rss_mb_second_quarter": statistics.mean(
            mb for _, mb in rss[quarter : 2 * quarter] or rss
        ),
        "rss_mb_last_quarter": statistics.mean(mb for _, mb in rss[-quarter:]),
        "rss_mb": rss,
        "cpus": os.cpu_count(),
        "tensorflow": tf.__version__,
    }


def ask(server, port, name, encoded, expected, clients, minutes):
    """Run the clients for some minutes, after warm-up requests.

    Returns the clients, the duration, and the memory over time.
    """
    path = f"/v1/models/{name}:predict"
    bodies = [
        json.dumps({"instances": [{"b64": base64.b64encode(c).decode()}]})
        for c in encoded
    ]
    first = itertools.islice(questions_of(clients, bodies), WARM_UP)
    Client(port, path, first, expected, until=time.time() + 600).run()
    start, rss = time.time(), []
    until = start + minutes * 60
    crowd = [
        Client(port, path, questions_of(number, bodies), expected, until)
        for number in range(clients)
    ]
    for client in crowd:
        client.start()
    while time.time() < until:
        rss.append([round(time.time() - start, 1), memory(server)])
        time.sleep(min(5, minutes * 6))
    for client in crowd:
        client.join()
    return crowd, time.time() - start, rss


def main():
    """Run the load test, write the result, and fail on lost or wrong responses."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=["tiny", "tnt_small"], default="tiny")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/serving_load.json"
    )
    arguments = parser.parse_args()
    result = run(arguments.model, arguments.clients, arguments.minutes)
    arguments.out.write_text(json.dumps(result) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in result.items() if k != "rss_mb"}, indent=2))
    if result["lost"] or result["wrong"]:
        sys.exit("Responses were lost or wrong.")
    if result["counted_by_server"] != result["answers"]:
        sys.exit("The server's metrics do not count the responses.")


if __name__ == "__main__":
    main()
