"""Export a classifier, serve it, and classify images over HTTP.

The example trains a small model for a minute on the bundled images and serves it with
`examples/serve.py`, which needs `pip install ".[serve]"`. The requests have the format
of TensorFlow Serving, so the last part also works with its server (docs/serving.md).

    python examples/export_and_serve.py
"""

import argparse
import base64
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import keras
import tensorflow as tf

import keras_tnt
from keras_tnt import data
from keras_tnt.export import check_saved_model

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument(
    "--out", type=Path, default="exported/clothing", help="output directory"
)
parser.add_argument("--port", type=int, default=8501)
parser.add_argument("--images", type=int, default=4000, help="training images")
options = parser.parse_args()
keras_tnt.keep_freed_memory()  # faster on CPUs

# A small model. Any TNT with a Dense head works.
keras.utils.set_random_seed(0)
class_names = data.fashion_mnist_mini_class_names()
model = keras_tnt.TNT(
    outer_dim=64,
    inner_dim=16,
    depth=2,
    outer_num_heads=4,
    patch_size=7,
    inner_stride=2,
    classes=len(class_names),
    input_shape=(28, 28, 1),
)
model.compile(keras.optimizers.AdamW(2e-3), "sparse_categorical_crossentropy")
train = data.fashion_mnist_mini(f"train[:{options.images}]").batch(50)
model.fit(train, epochs=5, shuffle=False, verbose=2)

# Export, and verify in a process without Keras. The images need no crop.
version = keras_tnt.export_saved_model(
    model, options.out, labels=class_names, crop_fraction=1.0
)
test = list(data.fashion_mnist_mini("test[:5]").as_numpy_iterator())
images = tf.stack([tf.cast(image, tf.float32) for image, _ in test])
difference = check_saved_model(version, images, model.predict(images, verbose=0))
print(f"{version} equals the model (largest difference {difference:.1g}).")

# Serve; simultaneous requests run as one batch.
server = subprocess.Popen(
    [
        *(sys.executable, Path(__file__).with_name("serve.py"), options.out),
        *("--port", str(options.port)),
    ]
)
try:
    # One image per request, the last one corrupt.
    encoded = [tf.io.encode_png(image).numpy() for image, _ in test] + [b"no image"]
    names = [class_names[label] for _, label in test] + ["nothing"]
    for contents, name in zip(encoded, names, strict=True):
        instance = {"b64": base64.b64encode(contents).decode()}
        request = urllib.request.Request(
            f"http://localhost:{options.port}/v1/models/{options.out.name}:predict",
            json.dumps({"instances": [instance]}).encode(),
            {"Content-Type": "application/json"},
        )
        while True:
            try:
                with urllib.request.urlopen(request) as response:
                    (answer,) = json.load(response)["predictions"]
                break
            except (ConnectionError, urllib.error.URLError):
                if server.poll() is not None:
                    sys.exit("The server stopped; see its messages above.")
                time.sleep(0.5)  # still starting
        if answer["ok"]:
            best, score = answer["classes"][0], answer["scores"][0]
            print(f"{name}: {best} ({score:.0%})")
        else:
            print(f"{name}: not an image")
finally:
    server.send_signal(signal.SIGINT)  # like Ctrl-C; stops its workers too
    server.wait()
