"""Recipes: everything that a training run is made of, in one record."""

import dataclasses
import logging
from typing import Any, Self

from keras_tnt.data import Augmentation
from keras_tnt.training.recipe_fields import check_names, checked_value, field_types

logger = logging.getLogger(__name__)

NO_AUGMENTATION = Augmentation()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a model is trained with.

    Steps are updates of the weights with one global batch, whatever the number of
    devices: a recipe means the same on one and on many.

    Attributes:
        task: `classification`; `segmentation`, the class of every pixel; or
            `detection`, the boxes and classes of objects.
        task_options: further arguments of `keras_tnt.tasks.segmenter`, such as `head`,
            or of `keras_tnt.tasks.detector`, and for detection `max_boxes` of
            `keras_tnt.data.load_box_dataset`.
        model: builder of the model, a name in `keras_tnt.models`.
        model_options: further arguments of the builder.
        weights: weights to start from: `null` for random ones, `imagenet`, a path, or
            `hf://owner/name`. The head stays random if it has other classes.
        frozen_backbone: whether to train the head only (a linear probe).
        lora_rank: rank of the LoRA adapters of the attention, which are trained in
            place of the TNT's own weights, with the head, see `keras_tnt.enable_lora`;
            `null` to train all weights. Adapters do not decay.
        data: what `keras_tnt.data.load_dataset` takes: `fashion_mnist_mini`, a name of
            tensorflow_datasets, or an image folder; for segmentation what
            `keras_tnt.data.load_mask_dataset` takes, for detection what
            `keras_tnt.data.load_box_dataset` takes.
        data_dir: directory of tensorflow_datasets' files; its own default if `null`.
        train_split: images to train on, such as `train` or `train[:90%]`.
        validation_split: images to evaluate on after the epochs.
        image_size: side of the model's square input in pixels, or `[height, width]`.
        channels: 3 for color, 1 for gray.
        crop_fraction: central share of an image that is evaluated by a classifier.
        augmentation: augmentation of training images, a `keras_tnt.data.Augmentation`.
        label_smoothing: probability distributed equally over all classes, 0 to 1; not
            for detection.
        loss: `categorical_crossentropy`, of the softmax; or `binary_crossentropy`, of
            every class by itself, as in DeiT III, see
            `keras_tnt.training.losses.BinaryCrossentropy`. With both, the model ends
            in a softmax.
        target_threshold: with `binary_crossentropy`, labels above it count as 1 and
            others as 0, at least 0 and less than 1; `null` for the mixed and smoothed
            labels as they are. DeiT III's code has 0, and `label_smoothing` 0.
        teacher: a classifier that the model learns from, beside the labels: a run
            directory, a Keras file, or `BUILDER:WEIGHTS` such as `TNTBase:imagenet`,
            see `keras_tnt.training.teacher.load_teacher`; `null` for none.
        distillation: what it learns from the teacher, `hard` for the class that the
            teacher predicts, or `soft` for its probabilities, see
            `keras_tnt.training.distillation`.
        distillation_alpha: share of the teacher in the loss, 0 to 1; the labels have
            the rest. DeiT's is 0.5 with `hard`, and 0.1 with `soft`.
        distillation_temperature: what the logits are divided by before the softmax,
            with `soft`. DeiT's paper has 3, the default of its code is 1.
        class_weights: for segmentation, the weight of each class in the loss; 1 for
            all if `null`.
        skip_corrupt: whether to skip images that cannot be decoded.
        cache: whether to keep the encoded images in memory.
        epochs: passes over the training set.
        batch_size: images a step, on all devices together.
        learning_rate: learning rate at the end of the warm-up, for
            `reference_batch_size` images a step.
        schedule: `step`, where the rate changes at every step and the cosine begins at
            the end of the warm-up; or `epoch`, that of the published training, where
            it is constant within an epoch, see
            `keras_tnt.training.schedules.published_rates`.
        reference_batch_size: if given, the learning rates are multiplied by
            `batch_size / reference_batch_size`; otherwise they are used unchanged.
        warmup_learning_rate: learning rate at the first step.
        final_learning_rate: learning rate at the end of the cosine.
        warmup_epochs: epochs of linear warm-up before the cosine. If they leave none
            of the `epochs` for it, they are shortened to half of those, and a log
            message says so.
        cooldown_epochs: the last of the `epochs`, at the final learning rate. If they
            leave none for the cosine, there is no cool-down, and a log message says
            so.
        weight_decay: decay of dense and convolution kernels, and of PyramidTNT's
            relative position biases.
        layer_decay: factor of the learning rate from a block to the previous one; 1
            for none.
        clip_norm: maximum global norm of the gradients; `null` for no limit.
        accumulation_steps: batches whose gradients form one update; on TensorFlow on
            one device only.
        ema_decay: decay of the weights' moving average; 0 for none.
        ema_warmup: whether that decay grows from 2/11 in the first steps, see
            `ExponentialMovingAverage`; otherwise it is constant.
        precision: `float32`, `bfloat16`, `float16` (with loss scaling), or `auto`:
            bfloat16 on TPUs and on GPUs of compute capability 8.0 and up, float16 on
            7.0 to 7.5, float32 otherwise.
        remat: whether to recompute blocks in the backward pass, to save memory.
        jit_compile: whether XLA compiles the step, or on several devices the forward
            and backward pass of each; by default on GPUs, see
            `keras_tnt.training.compilation`. TPUs always compile, and so does JAX; a
            `deterministic` training on TensorFlow never.
        steps_per_execution: steps between two updates of the metrics; on TensorFlow on
            one device only. It must divide the steps of an epoch.
        deterministic: whether the same run gives the same bits; slower.
        seed: seed of weights, order, augmentation and dropout.
        checkpoint_every: steps between two checkpoints.
        keep_checkpoints: number of checkpoints to keep, the newest ones. The best one
            is always kept too.
        keep: the weights in `model.keras` at the end: `last`, or `best`, those after
            the epoch of the highest validation accuracy, mean IoU of a segmenter or AP
            of a detector, of the EMA if there is one.
        patience: epochs without a higher one after which the training ends; `null` to
            train all epochs.

    Raises:
        ValueError: if a value has the wrong type or is out of range.

    Example:
        >>> import dataclasses
        >>> from keras_tnt.training import fashion_mnist_demo
        >>> dataclasses.replace(fashion_mnist_demo(), epochs=3).epochs
        3
    """

    task: str = "classification"
    task_options: dict = dataclasses.field(default_factory=dict)
    model: str = "TNTSmall"
    model_options: dict = dataclasses.field(default_factory=dict)
    weights: str | None = None
    frozen_backbone: bool = False
    lora_rank: int | None = None
    data: str
    data_dir: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    image_size: int | tuple = 224
    channels: int = 3
    crop_fraction: float = 0.9
    augmentation: Augmentation = NO_AUGMENTATION
    label_smoothing: float = 0.1
    loss: str = "categorical_crossentropy"
    target_threshold: float | None = None
    teacher: str | None = None
    distillation: str = "hard"
    distillation_alpha: float = 0.5
    distillation_temperature: float = 1.0
    class_weights: tuple | None = None
    skip_corrupt: bool = False
    cache: bool = False
    epochs: int
    batch_size: int
    learning_rate: float
    reference_batch_size: int | None = None
    schedule: str = "step"
    warmup_learning_rate: float = 0.0
    final_learning_rate: float = 0.0
    warmup_epochs: int = 0
    cooldown_epochs: int = 0
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    clip_norm: float | None = None
    accumulation_steps: int = 1
    ema_decay: float = 0.0
    ema_warmup: bool = False
    precision: str = "auto"
    remat: bool = False
    jit_compile: bool | None = None
    steps_per_execution: int = 1
    deterministic: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    keep: str = "last"
    patience: int | None = None

    def __post_init__(self):
        for name, kind in field_types(type(self)).items():
            object.__setattr__(
                self, name, checked_value(name, getattr(self, name), kind)
            )
        if self.target_threshold is not None and self.loss != "binary_crossentropy":
            raise ValueError(
                f"target_threshold={self.target_threshold} has no effect with loss="
                f"{self.loss}. Leave it out, or use loss=binary_crossentropy."
            )
        if self.lora_rank and self.frozen_backbone:
            raise ValueError(
                f"lora_rank={self.lora_rank} has no effect with frozen_backbone. Leave "
                "out one of the two."
            )
        if self.lora_rank and self.weights is None:
            raise ValueError(
                f"lora_rank={self.lora_rank} would freeze random weights. Set weights "
                "to imagenet, a file, or hf://owner/name."
            )
        self._check_task()
        self._shorten()

    def _check_task(self):
        """Refuse fields that have no effect in the task."""
        fixed = {"task_options": {}, "class_weights": None}
        if self.task != "classification":
            fixed = {"loss": "categorical_crossentropy", "teacher": None}
        if self.task == "detection":
            fixed["class_weights"] = None
        for name, value in fixed.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} has no effect with task="
                    f"{self.task}. Leave it out."
                )

    def _shorten(self):
        """Leave epochs for the cosine, where cool-down and warm-up take all."""
        if self.cooldown_epochs and (
            self.epochs <= self.warmup_epochs + self.cooldown_epochs
        ):
            logger.warning(
                "There is no cool-down of %d epochs, because the training has %d.",
                self.cooldown_epochs,
                self.epochs,
            )
            object.__setattr__(self, "cooldown_epochs", 0)
        if self.epochs <= self.warmup_epochs:
            shorter = self.epochs // 2
            logger.warning(
                "The warm-up is shortened from %d to %d epochs, because the training "
                "has %d.",
                self.warmup_epochs,
                shorter,
                self.epochs,
            )
            object.__setattr__(self, "warmup_epochs", shorter)

    @property
    def learning_rate_factor(self) -> float:
        """The factor of the learning rates for the batch size."""
        return self.batch_size / (self.reference_batch_size or self.batch_size)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Return a recipe from the result of `dataclasses.asdict`, also through JSON.

        Raises:
            ValueError: if a field is unknown or missing.
        """
        record = dict(record)
        check_names(cls, record)
        if isinstance(record.get("augmentation"), dict):
            check_names(Augmentation, record["augmentation"])
            record["augmentation"] = Augmentation(**record["augmentation"])
        missing = [
            field.name
            for field in dataclasses.fields(cls)
            if field.name not in record
            and field.default is field.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise ValueError(f"Missing recipe fields: {', '.join(missing)}.")
        return cls(**record)
