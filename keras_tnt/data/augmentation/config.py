"""The settings of the augmentation, in one record."""

import dataclasses
import math
import numbers

from keras_tnt.utils.counts import as_whole_number

POLICIES = ("official", "keras_cv")
INTERPOLATIONS = ("bilinear", "bicubic", "random")
MIX_MODES = ("batch", "pair", "elem")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The augmentation of training images; the default does nothing.

    Attributes:
        crop_scale: random crop: minimum and maximum share of the image area; `None`
            takes the center, as in evaluation.
        crop_ratio: random crop: minimum and maximum aspect ratio, width over height.
        interpolation: of resizing the crop: `"bilinear"`, `"bicubic"`, or `"random"`,
            which is one of both with equal probability.
        flip: probability of a horizontal flip.
        rand_augment: number of RandAugment operations for an image; 0 for none.
        rand_augment_magnitude: their mean magnitude, out of 10.
        rand_augment_std: standard deviation of the magnitude.
        rand_augment_probability: probability that a drawn operation is applied.
        rand_augment_policy: `"official"`, the fifteen operations of the paper, or
            `"keras_cv"`, the layer of that package, which is not stateless.
        random_erasing: probability of filling a rectangle with noise.
        repeats: repeated augmentation: how often an epoch shows an image, 1 to 3, each
            time with another augmentation. The length of an epoch does not change,
            so it has fewer different images.
        mixup: MixUp's alpha; 0 for none.
        cutmix: CutMix's alpha; 0 for none.
        mix_probability: probability that a draw mixes, by MixUp or CutMix.
        switch_probability: probability of CutMix if a draw mixes and both are on.
        mix_mode: what shares a draw: `"batch"`, the images of a group; `"pair"`, an
            image and its partner; `"elem"`, each image has its own.
        mix_group_size: images among which partners are found: image i of a group of n
            is mixed with image n - 1 - i. A batch is divided into such groups, or is
            one group if it has fewer images.
        mix_off_epoch: number of epochs after which images are no longer mixed; 0 for
            never.
        three_augment: whether to apply the 3-Augment of DeiT III (arXiv 2204.07118):
            one of gray, solarization and Gaussian blur, with equal probability. It
            takes the place of RandAugment. The simple random crop of DeiT III's
            training on ImageNet-21k is not available; on ImageNet it is `crop_scale`.
        color_jitter: largest change of the factors by which brightness, contrast and
            saturation are multiplied, in random order: from 1 minus this, or 0, to 1
            plus this; 0 for none. It follows 3-Augment; DeiT III has 0.3. It cannot
            be used beside RandAugment, where timm ignores it without a message.

    Raises:
        ValueError: if a value is outside its range, or two settings exclude each other.

    Example:
        >>> import dataclasses
        >>> from keras_tnt.data import IMAGENET_AUGMENTATION
        >>> milder = dataclasses.replace(IMAGENET_AUGMENTATION, random_erasing=0.0)
        >>> milder.mixup
        0.8
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bicubic"
    flip: float = 0.0
    rand_augment: int = 0
    rand_augment_magnitude: float = 9.0
    rand_augment_std: float = 0.5
    rand_augment_probability: float = 0.5
    rand_augment_policy: str = "official"
    random_erasing: float = 0.0
    repeats: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    switch_probability: float = 0.5
    mix_mode: str = "batch"
    mix_group_size: int = 128
    mix_off_epoch: int = 0
    three_augment: bool = False
    color_jitter: float = 0.0

    def __post_init__(self):
        for name in ("crop_scale", "crop_ratio"):  # lists, when read from JSON
            if getattr(self, name) is not None:
                object.__setattr__(self, name, self._range(name))
        if self.crop_scale is not None and self.crop_scale[1] > 1:
            raise ValueError(f"crop_scale must not exceed 1, got {self.crop_scale}.")
        for name in (
            "flip",
            "rand_augment_probability",
            "random_erasing",
            "mix_probability",
            "switch_probability",
        ):
            self._check(name, 0 <= self._number(name) <= 1, "a probability, 0 to 1")
        for name in ("rand_augment_std", "mixup", "cutmix", "color_jitter"):
            self._check(name, 0 <= self._number(name) < math.inf, "at least 0")
        operations = as_whole_number(self.rand_augment)
        self._check("rand_augment", operations in range(16), "from 0 to 15")
        magnitude = self._number("rand_augment_magnitude")
        self._check("rand_augment_magnitude", 0 <= magnitude <= 10, "from 0 to 10")
        repeats = as_whole_number(self.repeats)
        self._check("repeats", repeats in (1, 2, 3), "1, 2 or 3")
        known = self.interpolation in INTERPOLATIONS
        self._check("interpolation", known, f"one of {INTERPOLATIONS}")
        self._check("mix_mode", self.mix_mode in MIX_MODES, f"one of {MIX_MODES}")
        self._check_number("mix_group_size", 1)
        self._check_number("mix_off_epoch", 0)
        known = self.rand_augment_policy in POLICIES
        self._check("rand_augment_policy", known, f"one of {POLICIES}")
        is_bool = isinstance(self.three_augment, bool)
        self._check("three_augment", is_bool, "True or False")
        for name in ("three_augment", "color_jitter"):
            if operations and getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(self, name)!r} cannot be used beside "
                    f"RandAugment. Set rand_augment=0, got {operations}, or leave out "
                    f"{name}."
                )

    def _range(self, name):
        try:
            low, high = (float(value) for value in getattr(self, name))
        except (TypeError, ValueError):
            low = high = math.nan
        self._check(
            name, 0 < low <= high < math.inf, "a pair (minimum, maximum) over 0"
        )
        return low, high

    def _number(self, name):
        """A value, or NaN, which is in no range, if it is no number."""
        value = getattr(self, name)
        return value if isinstance(value, numbers.Real) else math.nan

    def _check_number(self, name, lowest):
        value = getattr(self, name)
        right = type(value) is int and value >= lowest
        self._check(name, right, f"a whole number of at least {lowest}")

    def _check(self, name, right, expected):
        if not right:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}.")

    @property
    def mixes(self) -> bool:
        """Whether MixUp or CutMix is on."""
        return self.mix_probability > 0 and max(self.mixup, self.cutmix) > 0

    def group_size(self, batch_size: int) -> int:
        """Return the number of images that are mixed with each other; 1 without mixing.

        Args:
            batch_size: images of a step, on all devices together.

        Raises:
            ValueError: if the batch cannot be divided into groups.
        """
        if not self.mixes:
            return 1
        size = min(self.mix_group_size, batch_size)
        if batch_size % size:
            raise ValueError(
                f"batch_size={batch_size} cannot be divided into groups of "
                f"mix_group_size={size} images for MixUp and CutMix. Use a multiple of "
                f"{size}, a smaller batch, or another mix_group_size."
            )
        return size


# The paper's Table 3, and the random interpolation of its code.
IMAGENET_AUGMENTATION = Augmentation(
    crop_scale=(0.08, 1.0),
    interpolation="random",
    flip=0.5,
    rand_augment=2,
    random_erasing=0.25,
    repeats=3,
    mixup=0.8,
    cutmix=1.0,
)

# For fine-tuning on small data sets: the paper's augmentation without repeats and
# random erasing, which is a choice of this package. The paper fine-tunes with all of
# its augmentation (section 3.5).
FINETUNE_AUGMENTATION = dataclasses.replace(
    IMAGENET_AUGMENTATION, repeats=1, random_erasing=0.0
)

# For small images that fill their frame, such as those of the bundled data set.
FLIP_AUGMENTATION = Augmentation(flip=0.5)
