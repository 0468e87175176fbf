"""Pictures and folders of pictures for the tests."""

from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).parents[1] / "data"


def photo(height, width, channels=3):
    """A photograph, resized: uint8 (height, width, channels)."""
    with Image.open(DATA / "astronaut_small.png") as image:
        image = image.convert("L" if channels == 1 else "RGB")
        resized = image.resize((width, height), Image.BICUBIC)
    return np.asarray(resized).reshape(height, width, channels)
