"""Faults that `keras_tnt.compat.libraries` works around."""

import importlib.metadata

import keras
import numpy as np
import pytest
import tensorflow as tf
from packaging.requirements import Requirement

from keras_tnt.compat import libraries
from keras_tnt.data.bundled import bundled_builder


def reads_a_cache(read_config):
    dataset = bundled_builder().as_dataset("test", read_config=read_config)
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor)
    return b"CacheDataset" in graph.numpy()


def test_read_config_without_cache__still_present():
    tfds = pytest.importorskip("tensorflow_datasets")
    assert not reads_a_cache(libraries.read_config_without_cache(tfds))
    assert reads_a_cache(None), (
        "TensorFlow Datasets does not cache by default: "
        "remove keras_tnt.compat.libraries.read_config_without_cache"
    )


def test_importlib_resources__still_present():
    """TensorFlow Datasets imports it to prepare data sets and does not require it."""
    pytest.importorskip("tensorflow_datasets")
    lines = importlib.metadata.requires("tensorflow-datasets")
    required = {
        one.name.replace("-", "_")
        for one in map(Requirement, lines)
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }
    assert "importlib_resources" not in required, (
        "TensorFlow Datasets requires importlib_resources: remove it from the extra "
        "train in pyproject.toml"
    )


def retinanet(keras_hub):
    """The smallest RetinaNet."""
    images = keras.Input((32, 32, 3))
    maps = {
        f"P{level}": keras.layers.Conv2D(4, 1, strides=2**level)(images)
        for level in (3, 4)
    }
    encoder = keras_hub.models.FeaturePyramidBackbone(images, maps)
    encoder.pyramid_outputs = maps
    backbone = keras_hub.models.RetinaNetBackbone(
        encoder, min_level=3, max_level=4, use_p5=False, image_shape=(32, 32, 3)
    )
    return keras_hub.models.RetinaNetObjectDetector(
        backbone,
        num_classes=2,
        bounding_box_format="xyxy",
        pre_logits_num_conv_layers=1,
    )


def test_reset_retinanet_heads__still_present():
    model = retinanet(pytest.importorskip("keras_hub"))
    heads = model.box_head, model.classification_head
    boxes, classes = (head.weights[-1] for head in heads)
    assert np.any(boxes != 0), (
        "KerasHub starts the boxes of a RetinaNet at 0: "
        "remove keras_tnt.compat.libraries.reset_retinanet_heads"
    )
    libraries.reset_retinanet_heads(model)
    np.testing.assert_array_equal(boxes, 0)
    np.testing.assert_allclose(classes, -np.log(99), rtol=1e-6)
    for head in heads:
        for kernel in head.weights[::2]:
            assert np.std(kernel) == pytest.approx(0.01, rel=0.1)
        np.testing.assert_array_equal(head.weights[1], 0)
