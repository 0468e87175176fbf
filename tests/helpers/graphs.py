"""What TensorFlow's graphs contain, and what TensorFlow runs of them."""

import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.python.framework.test_util import IsMklEnabled
from tensorflow.tsl.profiler.protobuf import xplane_pb2


def traced(function, *shapes, dtype="float32", **options):
    """A `tf.function` on inputs of these shapes."""
    specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
    return tf.function(function, specs, autograph=False, **options)


def operations(function):
    """The types of the operations in the graph of a traced function."""
    graph = function.get_concrete_function().graph
    return {node.type for node in graph.get_operations()}


def executed(function, *inputs):
    """The types of the operations that TensorFlow ran, after its graph optimizer."""
    function(*inputs)
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory):
            function(*inputs)
        profile = next(Path(directory).rglob("*.xplane.pb")).read_bytes()
    space = xplane_pb2.XSpace()
    space.ParseFromString(profile)
    return {
        event.name.rpartition(":")[2]
        for plane in space.planes
        for event in plane.event_metadata.values()
    }


needs_onednn = pytest.mark.skipif(
    not IsMklEnabled(), reason="TensorFlow uses no oneDNN here"
)
