"""Calibration: how often a model is right, compared with how sure it is."""

from typing import Any, NamedTuple, Self

import numpy as np

BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017


class Calibration(NamedTuple):
    """Images by the confidence of their answer, the probability of the best class.

    Bin m of M has the images with a confidence above (m - 1) / M, at most m / M.

    Attributes:
        images: int64 array (bins,): number of images.
        hits: int64 array (bins,): images with the right answer.
        confidence: float64 array (bins,): sum of the confidences.
    """

    images: np.ndarray
    hits: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Self:
        """Count images.

        Args:
            confidence: array (images,), 0 to 1.
            right: bool array (images,): whether the answer is right.
            bins: number of bins.
        """
        numbers = np.clip(np.ceil(confidence * bins), 1, bins).astype(int) - 1
        return cls(
            np.bincount(numbers, minlength=bins),
            np.bincount(numbers[right], minlength=bins),
            np.bincount(numbers, confidence, minlength=bins),
        )

    def plus(self, other: Self) -> Self:
        """Return the counts of both."""
        return type(self)(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def error(self) -> float:
        """Expected calibration error, Σ |hits - confidence| / images, 0 to 1."""
        return float(np.abs(self.hits - self.confidence).sum() / self.images.sum())

    @property
    def bins(self) -> list[dict[str, Any]]:
        """A record for each bin; accuracy and confidence are `None` without images."""
        return [
            {
                "above": number / len(self.images),
                "images": int(images),
                "accuracy": float(hits / images) if images else None,
                "confidence": float(confidence / images) if images else None,
            }
            for number, (images, hits, confidence) in enumerate(zip(*self, strict=True))
        ]
