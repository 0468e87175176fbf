"""Time a segmenter or detector on request; started by dense_speed.py.

Models are tnt-segmenter, tnt-detector, segformer-VARIANT-FILTERS and retinanet-DEPTH.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# As keras_tnt does if it is imported before TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import protocol
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(protocol.cores())

from keras_hub import models as hub
from xla_program import of_program

import keras_tnt
from keras_tnt import tasks
from keras_tnt.training import AdamW

CLASSES = {"segmenter": 150, "detector": 80}  # of ADE20K and COCO
BOXES = 20  # in an image
NO_OBJECT = -4.6  # a logit; its score is 0.01, below the thresholds of both detectors
# Blocks of the stages of MiT-B2 to B5, and of ResNets, as published.
MIT_DEPTHS = {"b2": [3, 4, 6, 3], "b3": [3, 4, 18, 3], "b4": [3, 8, 27, 3]}
MIT_DEPTHS["b5"] = [3, 6, 40, 3]
RESNET_DEPTHS = {"50": [3, 4, 6, 3], "101": [3, 4, 23, 3]}


def tnt(task, size):
    """Return a segmenter or detector on TNT-S, as the documentation builds it."""
    backbone = keras_tnt.TNTSmall(
        weights=None,
        include_top=False,
        input_shape=(size, size, 3),
        drop_path_rate=0.1,
    )
    return getattr(tasks, task)(backbone, classes=CLASSES[task])


def segformer(variant, filters, size):
    """Return KerasHub's SegFormer on a MiT."""
    encoder = hub.MiTBackbone(
        layerwise_depths=MIT_DEPTHS[variant],
        num_layers=4,
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        image_shape=(size, size, 3),
        hidden_dims=[64, 128, 320, 512],
    )
    backbone = hub.SegFormerBackbone(encoder, projection_filters=int(filters))
    return hub.SegFormerImageSegmenter(backbone, num_classes=CLASSES["segmenter"])


def retinanet(depth, size):
    """Return KerasHub's RetinaNet on a ResNet, of levels 3 to 7."""
    encoder = hub.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=RESNET_DEPTHS[depth],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=(size, size, 3),
    )
    backbone = hub.RetinaNetBackbone(
        encoder, min_level=3, max_level=7, use_p5=False, image_shape=(size, size, 3)
    )
    return hub.RetinaNetObjectDetector(backbone, num_classes=CLASSES["detector"])


BUILDERS = {"tnt": tnt, "segformer": segformer, "retinanet": retinanet}


def multiply_adds(model):
    """Return those of one image, counted in XLA's program of the whole model."""
    images = tf.zeros((1, *model.input_shape[1:]))
    function = tf.function(lambda x: model(x, training=False), jit_compile=True)
    return of_program(function.experimental_get_compiler_ir(images)(stage="hlo"))


def predict(model, images):
    """Return a call of `predict_on_batch`; of a detector's network, without decoding.

    KerasHub's RetinaNet has no `predict_on_batch` of its own that works.
    """
    network = keras.Model(model.inputs, model.outputs)
    return lambda: keras.tree.flatten(network.predict_on_batch(images))[0]


def detect(model, images):
    """Return a call of a detector's `predict`, with decoding, that finds no object."""
    kernel, bias = model.classification_head.weights[-2:]  # of the logits
    kernel.assign(keras.ops.zeros_like(kernel))
    bias.assign(keras.ops.full_like(bias, NO_OBJECT))
    data = tf.data.Dataset.from_tensors(images)
    # TensorFlow's autotuning can delay the end of a data set by seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.with_options(options)
    return lambda: model.predict(data, verbose=0)["num_detections"]


def train(model, images):
    """Return a training step; loss and optimizer are equal for both of a row."""
    rng = np.random.default_rng(0)
    batch, *size, _ = images.shape
    if isinstance(model, hub.ObjectDetector):
        model.compile(AdamW(1e-5))  # with the losses of KerasHub
        corners = rng.uniform(0, size[0], (2, batch, BOXES, 2))
        boxes = np.concatenate([corners.min(0), corners.max(0)], -1)
        classes = rng.integers(CLASSES["detector"], size=(batch, BOXES))
        labels = {"boxes": boxes.astype("float32"), "labels": classes}
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(AdamW(1e-5), loss, metrics=[])
        labels = rng.integers(CLASSES["segmenter"], size=(batch, *size))
    # KerasHub's own method takes no dictionary of labels.
    return lambda: keras.Model.train_on_batch(model, images, labels)


WORKS = {"predict": predict, "detect": detect, "train": train}

after_import = protocol.peak_mib()
name, work, batch, size = sys.argv[1:]
family, *options = name.split("-")
model = BUILDERS[family](*options, int(size))
if work == "count":
    protocol.say(ready=True, multiply_adds=multiply_adds(model))
    sys.exit()
protocol.say(mib_after_import=after_import, parameters=model.count_params())
images = 127.5 * (1 + protocol.images(int(batch), int(size)).transpose(0, 2, 3, 1))
protocol.serve(WORKS[work](model, images))
