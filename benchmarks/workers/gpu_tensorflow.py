"""keras_tnt's programs on TensorFlow, compiled completely by XLA."""

import contextlib
import time

import numpy as np
import tensorflow as tf

building = contextlib.nullcontext

for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)


def device():
    """Return the name of the device."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return tf.config.experimental.get_device_details(gpus[0])["device_name"]


def set_precision(precision):
    """Set how float32 products are computed."""
    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")


class Program:
    """A compiled function of constant arguments."""

    def __init__(self, function, *arguments):
        self.function = tf.function(function, jit_compile=True, autograph=False)
        self.arguments = arguments

    def compile(self):
        """Compile; return what the first call took beyond the second, in seconds."""
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            self.wait(self())
            seconds.append(time.perf_counter() - started)
        return seconds[0] - seconds[1]

    def __call__(self):
        return self.function(*self.arguments)

    def wait(self, output):
        """Wait until the device has computed everything."""
        tf.test.experimental.sync_devices()

    def as_array(self, output):
        """Return an output as float32."""
        return tf.cast(output, "float32").numpy()

    def memory(self):
        """Return the peak of the device's memory in MiB, `None` on a CPU."""
        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        return None

    def release(self):
        """Do nothing: TensorFlow keeps its memory for this process."""


def inference(model, images, spec):
    """Return a forward pass."""
    images = tf.constant(images, model.compute_dtype)
    return Program(lambda images: model(images, training=False), images)


def training(model, images, labels, spec):
    """Return a training step as in Keras's `fit`, with AdamW."""
    import keras

    from keras_tnt.compat.keras_training import build_optimizer
    from keras_tnt.training import AdamW

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(AdamW(1e-3, weight_decay=0.05), loss, jit_compile=True)
    build_optimizer(model)

    def function(images, labels):
        return model.train_step((images, labels))["loss"]

    return Program(function, tf.constant(images), tf.constant(np.asarray(labels)))


def product(size):
    """Return a bfloat16 product of two square matrices."""
    matrix = tf.cast(tf.random.normal((size, size)), "bfloat16")
    return Program(lambda x: x @ x, matrix)
