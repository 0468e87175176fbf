"""keras_tnt's programs on JAX, each compiled by `jax.jit` before its first call."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.numpy_initializers import numpy_initializers

building = numpy_initializers

# None is JAX's default: TF32 in float32 products on recent GPUs.
PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": None}


def device():
    """Return the name of the device."""
    return jax.devices()[0].device_kind


def set_precision(precision):
    """Set how float32 products are computed."""
    jax.config.update("jax_default_matmul_precision", PRODUCTS[precision])


class Program:
    """A function of a state and arguments that returns an output and the next state."""

    def __init__(self, function, state, *arguments):
        self.function = jax.jit(function, donate_argnums=0)
        self.state, self.arguments = state, arguments

    def compile(self):
        """Compile without a call; return the seconds."""
        started = time.perf_counter()
        self.function = self.function.lower(self.state, *self.arguments).compile()
        return time.perf_counter() - started

    def __call__(self):
        output, self.state = self.function(self.state, *self.arguments)
        return output

    def wait(self, output):
        """Wait until the device has computed an output."""
        jax.block_until_ready(output)

    def as_array(self, output):
        """Return an output as float32."""
        return np.asarray(output, "float32")

    def memory(self):
        """Return the peak of the device's memory in MiB, `None` on a CPU."""
        statistics = jax.devices()[0].memory_stats()
        return statistics and statistics["peak_bytes_in_use"] / 2**20

    def release(self):
        """Do nothing: JAX keeps its memory for this process."""


def values(variables):
    """Return the arrays of Keras's variables."""
    return [variable.value for variable in variables]


def inference(model, images, spec):
    """Return a forward pass."""

    def function(state, images):
        return model.stateless_call(*state, images, training=False)[0], state

    state = values(model.trainable_variables), values(model.non_trainable_variables)
    return Program(function, state, jnp.asarray(images, model.compute_dtype))


def training(model, images, labels, spec):
    """Return a training step: what Keras's `fit` compiles, with AdamW."""
    import keras

    from keras_tnt.training import AdamW

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = AdamW(1e-3, weight_decay=0.05)
    optimizer.build(model.trainable_variables)

    def losses(trained, other, images, labels):
        logits, other = model.stateless_call(trained, other, images, training=True)
        return loss(labels, logits), other

    def function(state, images, labels):
        trained, other, slots = state
        gradient = jax.value_and_grad(losses, has_aux=True)
        (value, other), gradients = gradient(trained, other, images, labels)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return value, (trained, other, slots)

    state = (
        values(model.trainable_variables),
        values(model.non_trainable_variables),
        values(optimizer.variables),
    )
    return Program(function, state, jnp.asarray(images), jnp.asarray(labels))


def product(size):
    """Return a bfloat16 product of two square matrices."""
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    return Program(lambda state, x: (x @ x, state), (), matrix)
