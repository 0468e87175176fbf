"""Whether XLA compiles what is being traced."""

import tensorflow as tf

from keras_tnt.compat import xla
from tests.helpers.checks import two_replicas


def traced_in(function):
    """What `compiled_by_xla` returns while a function is traced."""
    function.get_concrete_function()
    return found.pop()


found = []


def note():
    found.append(xla.compiled_by_xla())
    return tf.constant(0)


def test_compiled_by_xla__in_functions():
    """TensorFlow has no public function for it; this one uses a private one."""
    assert not xla.compiled_by_xla()
    compiled = tf.function(note, jit_compile=True)
    assert traced_in(compiled)
    assert not traced_in(tf.function(note))
    assert traced_in(tf.function(lambda: tf.function(note)(), jit_compile=True))
    assert traced_in(tf.function(lambda: tf.function(note, jit_compile=True)()))
    assert not xla.compiled_by_xla()


def test_compiled_by_xla__on_replicas():
    strategy = two_replicas()
    for jit_compile in (True, False):
        inner = tf.function(lambda: note(), jit_compile=jit_compile)
        step = tf.function(lambda inner=inner: strategy.run(lambda: inner()))
        step.get_concrete_function()
        assert found == [jit_compile] * 2
        found.clear()


def test_xla_is_missing__on_macs(monkeypatch):
    assert not xla.xla_is_missing()
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    gpus = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    assert not xla.xla_is_missing()
    gpus.append("gpu")
    assert xla.xla_is_missing()
