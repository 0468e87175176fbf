"""What XLA compiles of a training step, and steps of which it compiles a part.

On GPUs, compilation is worth a factor of two for a TNT, whose many small operations
become fewer kernels: timm's TNT-S predicts 1,730 images a second on an RTX 4090, and
3,413 compiled (its results/benchmark-infer-*-rtx4090.csv). On CPUs, oneDNN's matrix
products are faster than XLA's, so there the layers compile their norms and GELUs only
(`keras_tnt.layers.fused_ops`).

One compiled function cannot span several devices. There, each replica compiles its
forward and backward pass; the sum of the gradients over the replicas, the optimizer and
the metrics stay outside.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

import keras

from keras_tnt.compat.xla import xla_is_missing
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf

logger = logging.getLogger(__name__)


def compiled_part(
    wanted: bool | None, devices: Sequence[str], replicas: int, deterministic: bool
) -> str:
    """Decide what XLA compiles.

    Args:
        wanted: a recipe's ``jit_compile``; ``None`` compiles on GPUs.
        devices: types of the devices of the strategy, such as ``["GPU", "GPU"]``.
        replicas: number of replicas, of all workers.
        deterministic: whether the training is deterministic. Keras compiles nothing
            then, because XLA has not all operations in a deterministic form.

    Returns:
        ``"step"`` for the whole step, ``"replica"`` for the forward and backward pass
        of each replica, or ``"nothing"``. TPUs compile every step themselves.

    Example:
        >>> from keras_tnt.training.compilation import compiled_part
        >>> compiled_part(None, ["GPU"], replicas=1, deterministic=False)
        'step'
        >>> compiled_part(None, ["GPU", "GPU"], replicas=2, deterministic=False)
        'replica'
        >>> compiled_part(None, ["CPU"], replicas=1, deterministic=False)
        'nothing'
    """
    if wanted is None:
        wanted = "GPU" in devices
    if not wanted or deterministic or "TPU" in devices:
        return "nothing"
    return "step" if replicas == 1 else "replica"


def choose_compiled_part(
    wanted: bool | None, strategy: tf.distribute.Strategy, deterministic: bool = False
) -> str:
    """Decide what XLA compiles on the devices of a strategy; see `compiled_part`.

    On JAX it is always the step, because Keras runs JAX operation by operation without.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.training.compilation import choose_compiled_part
        >>> choose_compiled_part(True, tf.distribute.OneDeviceStrategy("/cpu:0"))
        'step'
    """
    if not uses_tensorflow():
        return "step"
    devices = device_types(strategy)
    if wanted is None and "GPU" in devices and xla_is_missing():
        return "nothing"
    return compiled_part(wanted, devices, strategy.num_replicas_in_sync, deterministic)


def part_with_teacher(
    part: str, teacher: keras.Model, strategy: tf.distribute.Strategy
) -> str:
    """Return what is compiled in a distillation from a teacher.

    Each replica needs a copy of the teacher's variables on its own device, because a
    compiled function cannot read those of another device. There are copies if the
    teacher was made in the strategy's scope. Otherwise nothing is compiled, and a
    warning says so.

    Args:
        part: what `compiled_part` returned.
        teacher: the teacher.
        strategy: the strategy of the training.
    """
    created = strategy.extended.variable_created_in_scope
    if part != "replica" or all(created(v.value) for v in teacher.variables):
        return part
    logger.warning(
        "XLA does not compile the training, because the teacher is on one device only. "
        "Make it in strategy.scope(), or name it in the recipe."
    )
    return "nothing"


def device_types(strategy: tf.distribute.Strategy) -> list[str]:
    """Return the types of the devices that a strategy computes on, in this process.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.training.compilation import device_types
        >>> device_types(tf.distribute.OneDeviceStrategy("/cpu:0"))
        ['CPU']
    """
    try:
        names = strategy.extended.worker_devices
    except RuntimeError:  # without a strategy, TensorFlow prefers the first GPU
        kinds = [device.device_type for device in tf.config.get_visible_devices()]
        return ["GPU" if "GPU" in kinds else "CPU"]
    return [tf.DeviceSpec.from_string(name).device_type for name in names]


@contextlib.contextmanager
def compiled_on_replicas(model: keras.Model, part: str) -> Iterator[None]:
    """Compile the passes of a model on each replica, if that is the part to compile.

    The steps compute what Keras's own steps compute.

    Args:
        model: a compiled `keras.Model` with one input. Afterwards it has Keras's steps.
        part: what `compiled_part` returned.
    """
    if part != "replica":
        yield
        return

    def predict(x, y, sample_weight, training):
        y_pred = model(x, training=training)
        return y_pred, model.compute_loss(x, y, y_pred, sample_weight, training)

    def evaluate(x, y, sample_weight):
        return predict(x, y, sample_weight, training=False)

    def differentiate(x, y, sample_weight):
        with tf.GradientTape() as tape:
            y_pred, loss = predict(x, y, sample_weight, training=True)
            scaled = model.optimizer.scale_loss(loss)
        return y_pred, loss, tape.gradient(scaled, model.trainable_weights)

    def train_step(data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred, loss, gradients = _compiled(differentiate)(x, y, sample_weight)
        weights = model.trainable_weights
        model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return measure(x, y, y_pred, sample_weight, loss)

    def test_step(data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred, loss = _compiled(evaluate)(x, y, sample_weight)
        return measure(x, y, y_pred, sample_weight, loss)

    def measure(x, y, y_pred, sample_weight, loss):
        # Keras divides the loss by the number of replicas, over which gradients add.
        loss *= tf.distribute.get_strategy().num_replicas_in_sync
        mean_loss = next(metric for metric in model.metrics if metric.name == "loss")
        mean_loss.update_state(loss, sample_weight=tf.shape(x)[0])
        return model.compute_metrics(x, y, y_pred, sample_weight)

    model.train_step, model.test_step = train_step, test_step
    try:
        yield
    finally:
        del model.train_step, model.test_step
        model.train_function = model.test_function = None


def _compiled(function):
    """A function for each replica; TensorFlow warns if it traces one for many."""
    return tf.function(
        lambda *batch: function(*batch), jit_compile=True, autograph=False
    )
