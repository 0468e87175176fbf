"""What is done to the images while training, in one record."""

import dataclasses
import math

POLICIES = ("official", "keras_cv")
INTERPOLATIONS = ("bilinear", "bicubic", "random")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training images; by default nothing.

    Attributes:
        crop_scale: random crop: least and greatest share of the image's area; `None`
            takes the center, as in evaluation.
        crop_ratio: random crop: least and greatest width over height.
        interpolation: of the crop's resizing: `"bilinear"`, `"bicubic"`, or `"random"`,
            which is either with equal chance.
        flip: probability of mirroring left and right.
        rand_augment: number of RandAugment operations drawn for an image; 0 for none.
        rand_augment_magnitude: their mean magnitude, out of 10.
        rand_augment_std: standard deviation of the magnitude.
        rand_augment_probability: that an operation that was drawn is applied.
        rand_augment_policy: `"official"`, the fifteen operations of the paper, or
            `"keras_cv"`, the layer of that package, which is not stateless.
        random_erasing: probability of filling a rectangle with noise.
        repeats: how often an image is shown in an epoch, 1 to 3, each time augmented
            anew. An epoch is as long for all: it has fewer different images.
        mixup: MixUp's alpha; 0 for none.
        cutmix: CutMix's alpha; 0 for none.
        mix_probability: that a batch is mixed, by MixUp or CutMix.
        switch_probability: that a mixed batch is mixed by CutMix, where there are both.

    Raises:
        ValueError: for a value outside its range.

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
            self._check(name, 0 <= getattr(self, name) <= 1, "a probability, 0 to 1")
        for name in ("rand_augment_std", "mixup", "cutmix"):
            value = getattr(self, name)
            self._check(name, 0 <= value < math.inf, "at least 0")
        self._check("rand_augment", self.rand_augment in range(16), "from 0 to 15")
        magnitude = self.rand_augment_magnitude
        self._check("rand_augment_magnitude", 0 <= magnitude <= 10, "from 0 to 10")
        self._check("repeats", self.repeats in (1, 2, 3), "1, 2 or 3")
        known = self.interpolation in INTERPOLATIONS
        self._check("interpolation", known, f"one of {INTERPOLATIONS}")
        known = self.rand_augment_policy in POLICIES
        self._check("rand_augment_policy", known, f"one of {POLICIES}")

    def _range(self, name):
        try:
            low, high = (float(value) for value in getattr(self, name))
        except (TypeError, ValueError):
            low = high = math.nan
        self._check(name, 0 < low <= high < math.inf, "a pair (least, greatest) over 0")
        return low, high

    def _check(self, name, right, expected):
        if not right:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}.")

    @property
    def mixes(self) -> bool:
        """Whether batches are mixed, by MixUp or CutMix."""
        return self.mix_probability > 0 and max(self.mixup, self.cutmix) > 0


# The paper's Table 1, with what its code adds (random interpolation).
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

# For fine-tuning on small sets. The paper does not say what it used: this is its
# training recipe without what makes an epoch see fewer, or damaged, images.
FINETUNE_AUGMENTATION = dataclasses.replace(
    IMAGENET_AUGMENTATION, repeats=1, random_erasing=0.0
)

# For small images that fill their frame, such as those of the embedded data set.
FLIP_AUGMENTATION = Augmentation(flip=0.5)
