"""KerasHub's RetinaNet on the maps of a TNT or PyramidTNT (arXiv 1708.02002)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import keras_hub
from keras import ops

from keras_tnt.compat.keras_training import MendedLoops
from keras_tnt.compat.libraries import reset_retinanet_heads
from keras_tnt.structure import find_tnt, stem
from keras_tnt.tasks.box_decoder import BoxDecoder
from keras_tnt.tasks.feature_pyramid import feature_pyramid
from keras_tnt.utils.backend import uses_tensorflow
from keras_tnt.utils.lazy import tensorflow as tf
from keras_tnt.utils.typing import DType, Tensor

serialize = keras.saving.serialize_keras_object

FORMAT = "xyxy"  # left, top, right, bottom in pixels
BETA = 0.1  # of the smooth L1 loss


@keras.saving.register_keras_serializable(package="keras_tnt")
class TNTObjectDetector(MendedLoops, keras_hub.models.RetinaNetObjectDetector):
    """A RetinaNet whose backbone is a TNT or PyramidTNT.

    `keras_tnt.tasks.detector` builds it and describes the arguments. Boxes are ``xyxy``
    in pixels of the model's input. `fit` takes the batches of
    `keras_tnt.data.box_dataset`; `predict` returns a dictionary of ``boxes``,
    ``confidence``, ``labels`` and ``num_detections``.

    Args:
        backbone: as in `detector`, like all others.
        classes: number of classes.
        dim: width of the enlarged maps of a TNT.
        blocks: the blocks of a TNT, by number.
        levels: the first and the last level.
        convolutions: number of convolutions of each head.
        max_detections: largest number of detections.
        score_threshold: lowest score of a detection.
        iou_threshold: overlap of two detections from which one is left out.
        name: name of the model.
        dtype: dtype policy of head and feature pyramid.
    """

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        dim: int = 256,
        blocks: int | Sequence[int] | None = None,
        levels: tuple[int, int] = (3, 7),
        convolutions: int = 4,
        max_detections: int = 100,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        name: str = "detector",
        dtype: DType | None = None,
    ):
        pyramid = feature_pyramid(backbone, blocks, dim)
        _check_levels(levels, backbone, pyramid)
        policy = stem(find_tnt(backbone)).dtype_policy if dtype is None else dtype
        anchors = keras_hub.layers.AnchorGenerator(
            FORMAT,
            min_level=levels[0],
            max_level=levels[1],
            num_scales=3,
            aspect_ratios=[0.5, 1.0, 2.0],
            anchor_size=4.0,
        )
        super().__init__(
            _backbone(pyramid, levels, policy),
            num_classes=classes,
            bounding_box_format=FORMAT,
            anchor_generator=anchors,
            pre_logits_num_conv_layers=convolutions,
            dtype=policy,
            prediction_decoder=BoxDecoder(
                bounding_box_format=FORMAT,
                from_logits=True,
                iou_threshold=iou_threshold,
                confidence_threshold=score_threshold,
                max_detections=max_detections,
            ),
            name=name,
            compile=False,
        )
        reset_retinanet_heads(self)
        # Keras would take an attribute for a layer, with what is not used of it.
        self._serialized_backbone = lambda: serialize(backbone)
        self._arguments = {
            "classes": classes,
            "dim": dim,
            "blocks": blocks,
            "levels": tuple(levels),
            "convolutions": convolutions,
            "max_detections": max_detections,
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "name": name,
            "dtype": serialize(dtype),
        }

    # The batches of `box_dataset` are ready. KerasHub's methods would prepare them, and
    # take no dataset of a tf.distribute.Strategy.
    fit = keras.Model.fit
    evaluate = keras.Model.evaluate
    predict = keras.Model.predict
    train_on_batch = keras.Model.train_on_batch
    test_on_batch = keras.Model.test_on_batch
    predict_on_batch = keras.Model.predict_on_batch

    def compile(
        self,
        optimizer: Any = "auto",
        box_loss: Any = "auto",
        classification_loss: Any = "auto",
        loss_weights: dict[str, float] | None = None,
        **options: Any,
    ) -> None:
        """Prepare the detector for `fit`; as `keras.Model.compile`.

        By default the losses are those of Detectron2's RetinaNet: smooth L1 with a
        beta of 0.1 for the offsets, and the focal loss of the paper with an alpha of
        0.25 and a gamma of 2. Both are sums over the anchors of an image, divided by
        the number of its anchors with an object, and the mean over the images. So a
        step means the same on one device and on several.

        Args:
            optimizer: as in Keras; by default KerasHub's.
            box_loss: loss of the offsets of boxes.
            classification_loss: loss of the logits of classes.
            loss_weights: weights of the losses, ``"bbox_regression"`` and
                ``"cls_logits"``. By default what turns Keras's means over the four
                offsets and over the classes into sums, or 1 for losses that are given.
            **options: further arguments of `keras.Model.compile`.
        """
        weights = {"bbox_regression": 1.0, "cls_logits": 1.0}
        if box_loss == "auto":
            box_loss = keras.losses.Huber(BETA, reduction="sum")
            weights["bbox_regression"] = 4 / BETA  # Huber's is beta times smooth L1
        if classification_loss == "auto":
            classification_loss = keras.losses.BinaryFocalCrossentropy(
                apply_class_balancing=True,
                alpha=0.25,
                gamma=2.0,
                from_logits=True,
                reduction="sum",
            )
            weights["cls_logits"] = float(self.output["cls_logits"].shape[-1])
        super().compile(
            optimizer,
            box_loss,
            classification_loss,
            loss_weights=weights if loss_weights is None else loss_weights,
            **options,
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Prepare the detector as it was when it was saved."""
        config = keras.saving.deserialize_keras_object(config)
        keras.Model.compile(self, **config)
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Tensor,
        y: dict[str, Tensor],
        y_pred: dict[str, Tensor],
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of a batch; see `compile`."""
        boxes, labels = self.label_encoder(
            x, ops.cast(y["boxes"], "float32"), ops.cast(y["labels"], "int32")
        )
        matched = ops.cast(labels >= 0, "float32")
        counted = ops.cast(labels != self.label_encoder.ignore_class, "float32")
        # The gradients of the replicas are added up.
        images = ops.cast(ops.shape(x)[0] * _replicas(), "float32")
        matches = ops.maximum(ops.sum(matched, axis=1, keepdims=True), 1.0)
        truth = {
            "bbox_regression": boxes,
            "cls_logits": ops.one_hot(ops.cast(labels, "int32"), self.num_classes),
        }
        weights = {
            "bbox_regression": matched / matches / images,
            "cls_logits": counted / matches / images,
        }
        return keras.Model.compute_loss(self, x, truth, y_pred, weights, training)

    def decode_predictions(
        self, predictions: dict[str, Tensor], data: Any
    ) -> dict[str, Tensor]:
        """Return detections from the offsets and logits of all anchors.

        Args:
            predictions: what the model returns for images.
            data: the images, or a tuple that begins with them.
        """
        images = data[0] if isinstance(data, (list, tuple)) else data
        # Pixels of large images have more digits than half precision.
        predictions = {
            name: ops.cast(value, "float32") for name, value in predictions.items()
        }
        return super().decode_predictions(predictions, images)

    def get_config(self) -> dict[str, Any]:
        return {"backbone": self._serialized_backbone(), **self._arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TNTObjectDetector:
        config = dict(config)
        for name in ("backbone", "dtype"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def _replicas():
    """The number of replicas that a batch is divided among."""
    if uses_tensorflow():
        return tf.distribute.get_strategy().num_replicas_in_sync
    return 1  # on JAX a step has the whole batch


def _backbone(pyramid, levels, policy):
    """KerasHub's backbone: a feature pyramid on the maps of these levels."""
    first = _first_level(pyramid)
    maps = {
        f"P{number}": map_
        for number, map_ in enumerate(pyramid.levels, start=first)
        if levels[0] <= number <= levels[1]
    }
    encoder = keras_hub.models.FeaturePyramidBackbone(pyramid.images, maps, name="maps")
    encoder.pyramid_outputs = maps
    return keras_hub.models.RetinaNetBackbone(
        encoder,
        min_level=levels[0],
        max_level=levels[1],
        use_p5=False,
        image_shape=tuple(pyramid.images.shape[1:]),
        dtype=policy,
    )


def _first_level(pyramid):
    """The binary logarithm of the stride of the finest map, rounded."""
    return round(math.log2(pyramid.images.shape[1] / pyramid.levels[0].shape[1]))


def _check_levels(levels, backbone, pyramid):
    """Raise a `ValueError` if the maps are not at these levels."""
    pair = tuple(levels) if isinstance(levels, (tuple, list)) else ()
    if len(pair) != 2 or not all(type(level) is int for level in pair):
        raise ValueError(
            "levels must be the first and the last level, such as (3, 7), got "
            f"{levels!r}."
        )
    size = tuple(pyramid.images.shape[1:3])
    if None in size:
        raise ValueError(
            f"Expected a backbone of a static image size, {backbone.name!r} takes "
            f"images of {size}. Build it with input_shape=(height, width, channels)."
        )
    lowest = _first_level(pyramid)
    highest = lowest + len(pyramid.levels) - 1
    first, last = pair
    if not lowest <= first <= min(last, highest) or (last > highest and highest < 5):
        raise ValueError(
            f"The backbone has maps of the levels {lowest} to {highest}, got levels="
            f"{pair}. The first must be one of them; so must the last, unless they "
            "reach level 5."
        )
    # A level is twice as fine as the next one, and its anchors have the stride 2**n.
    for number in range(first, min(last, highest) + 1):
        expected = tuple(side / 2**number for side in size)
        found = tuple(pyramid.levels[number - lowest].shape[1:3])
        if found != expected:
            raise ValueError(
                f"Expected a map of {expected[0]:g}x{expected[1]:g} at level {number}, "
                f"got {found[0]}x{found[1]}. Images must be of a multiple of "
                f"{2 ** min(last, highest)}, and patches of a power of 2."
            )
