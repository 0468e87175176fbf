"""Time TNT-S or PyramidTNT-S of keras_tnt on request; started by vs_timm.py."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# As keras_tnt does if it is imported before TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import protocol
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(protocol.cores())

import keras_tnt
from keras_tnt.export.load_exported import load_exported
from keras_tnt.training import AdamW

keras_tnt.keep_freed_memory()
S_1 = (1, 4, 8, 12)
PYRAMID = "PyramidTNTSmall"
PREDICTED = 64  # images per call of `model.predict`


def build(images, weights, name="TNTSmall", **options):
    """Return a model for images of this size, TNT-S with timm's weights."""
    model = getattr(keras_tnt, name)(
        weights=None,
        include_preprocessing=False,
        input_shape=images.shape[1:],
        **options,
    )
    if name == "TNTSmall" and "inner_blocks" not in options:
        keras_tnt.load_weights(model, weights)
    return model


def predict(model, images):
    """Return a call of `model.predict` on many images, of which few are in memory."""
    data = tf.data.Dataset.from_tensor_slices(images).repeat(PREDICTED // len(images))
    data = data.batch(len(images)).prefetch(2)
    # TensorFlow's autotuning can delay the end of a data set by seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.with_options(options)
    return lambda: model.predict(data, verbose=0)


def plain_transformer(images):
    """Return KerasHub's vision transformer in the size of DeiT-S."""
    from keras_hub.models import ViTBackbone, ViTImageClassifier

    backbone = ViTBackbone(
        image_shape=images.shape[1:],
        patch_size=16,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        mlp_dim=1536,
    )
    return ViTImageClassifier(backbone, num_classes=1000, activation="softmax")


def export(weights, size, file_format, precision, devices="", name="TNTSmall"):
    """Export a model in another process; return the path."""
    directory = tempfile.mkdtemp(dir=Path(weights).parent)  # deleted after the run
    script = Path(__file__).with_name("export_worker.py")
    arguments = [name, file_format, precision, devices, f"{directory}/model", size]
    process = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    facts = json.loads(process.stdout)
    protocol.say(export_mib=facts["export_mib"])
    return Path(facts["path"])


def exported(images, weights, *kind, **options):
    """Return an exported model in its own runtime."""
    path = export(weights, images.shape[1], *kind, **options)
    runtime = load_exported(path, kind[0])
    pixels = (images + 1) * 127.5
    return lambda: runtime.predict_on_batch(pixels)


def serve_jpeg(weights, precision="float32", devices=""):
    """Return a prediction of one JPEG by the signature that a server calls."""
    path = export(weights, 224, "savedmodel", precision, devices)
    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    contents = tf.constant([Path(weights).with_name("photo.jpg").read_bytes()])
    return lambda: function(image_bytes=contents)["scores"].numpy()


def train(images, weights, **options):
    """Return a training step as in `model.fit`, with AdamW."""
    model = build(
        images, weights, drop_path_rate=0.1, classifier_activation=None, **options
    )
    started = time.perf_counter()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(AdamW(1e-3), loss)
    labels = np.zeros(len(images), "int64")
    model.train_on_batch(images, labels)
    protocol.say(first_step=time.perf_counter() - started)
    return lambda: model.train_on_batch(images, labels)


def product():
    """Return the 2048x2048 float32 product used as a reference."""
    matrix = tf.random.normal((2048, 2048))
    multiply = tf.function(lambda x: tf.matmul(x, x))
    return lambda: multiply(matrix).numpy()


def work(kind, batch, weights, size):
    """Return the function to time."""
    if kind == "product":
        return product()
    if kind.startswith("jpeg"):
        return serve_jpeg(weights, *kind.split("-")[1:])
    images = protocol.images(batch, size).transpose(0, 2, 3, 1)
    if kind == "pyramid_predict":
        model = build(images, weights, PYRAMID)
        protocol.say(multiply_adds=keras_tnt.complexity(model).multiply_adds)
        return predict(model, images)
    if kind.startswith("pyramid"):
        return exported(images, weights, *kind.split("-")[1:], name=PYRAMID)
    if kind == "predict":
        return predict(build(images, weights), images)
    if kind == "predict_bfloat16":
        return predict(build(images, weights, dtype="mixed_bfloat16"), images)
    if kind == "predict_s1":
        return predict(build(images, weights, inner_blocks=S_1), images)
    if kind == "predict_vit":
        return predict(plain_transformer(images), images)
    if kind == "train":
        return train(images, weights)
    if kind == "train_bfloat16":
        return train(images, weights, dtype="mixed_bfloat16")
    if kind == "train_remat":
        return train(images, weights, remat=True)
    return exported(images, weights, *kind.split("-"))


kind, batch, weights, size = sys.argv[1:]
protocol.say(mib_after_import=protocol.peak_mib())
batches = PREDICTED // int(batch) if "predict" in kind else 1
protocol.serve(work(kind, int(batch), weights, int(size)), batches)
