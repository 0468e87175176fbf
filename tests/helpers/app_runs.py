"""A run's directory, as far as the page needs it."""

from keras_tnt.training import fashion_mnist_demo
from keras_tnt.training.run_directory import RunDirectory
from tests.helpers import ASSETS
from tests.helpers.small import small

PHOTO = ASSETS / "astronaut_landscape.png"
OTHER_PHOTO = PHOTO.with_name("astronaut_portrait.png")
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def make_run(path, channels=3):
    """Writes a run with a small model of two blocks and 2 x 3 patches."""
    run = RunDirectory.create(path)
    run.write_recipe(fashion_mnist_demo(), NAMES)
    small(input_shape=(32, 48, channels)).save(run.model)
    return run.path
