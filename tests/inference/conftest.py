import pytest
from PIL import Image

from tests.helpers import ASSETS


@pytest.fixture(scope="module")
def image_files(tmp_path_factory):
    """Image files of several sizes, formats and kinds."""
    directory = tmp_path_factory.mktemp("images")
    photo = Image.open(ASSETS / "astronaut_small.png").convert("RGB")
    for angle in range(0, 360, 60):
        photo.rotate(angle, expand=True).save(directory / f"{angle}.jpg")
    photo.convert("L").save(directory / "gray.png")
    photo.resize((20, 30)).save(directory / "tiny.bmp")
    return sorted(directory.iterdir())
