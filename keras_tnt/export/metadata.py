"""Metadata of an exported model, the same for every format."""

import dataclasses
import json
import math
from typing import Self


@dataclasses.dataclass(frozen=True)
class ExportMetadata:
    """The data needed to prepare inputs and to interpret outputs.

    Attributes:
        labels: names of the classes, in the order of the probabilities.
        image_shape: ``(height, width, channels)`` of the input.
        crop_fraction: central share of an image that the model sees.
        precision: ``"float32"``, ``"float16"``, ``"bfloat16"`` or ``"int8"``.
    """

    labels: list
    image_shape: tuple
    crop_fraction: float
    precision: str = "float32"

    def to_json(self) -> str:
        """Return JSON with the keys of a SavedModel's metadata.json."""
        height, width, channels = self.image_shape
        record = {
            "labels": self.labels,
            "precision": self.precision,
            "input": {"height": height, "width": width, "channels": channels},
            "preprocessing": {
                "resize": "bicubic, antialias, until the image covers the box",
                "box": [
                    math.floor(side / self.crop_fraction) for side in (height, width)
                ],
                "crop": "center",
                "crop_fraction": self.crop_fraction,
                "values": [0, 255],
            },
        }
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the metadata from the result of `to_json`.

        Raises:
            ValueError: if the JSON is invalid or incomplete.
        """
        try:
            record = json.loads(text)
            shape = record["input"]
            return cls(
                labels=list(record["labels"]),
                image_shape=(shape["height"], shape["width"], shape["channels"]),
                crop_fraction=record["preprocessing"]["crop_fraction"],
                precision=record.get("precision", "float32"),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"Invalid export metadata: {error!r}.") from error
