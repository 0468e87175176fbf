"""Images scaled to 0-1 or ±1 are refused wherever 0-255 is expected, others pass."""

import inspect

import keras
import numpy as np
import pytest

import keras_tnt.visualization
from keras_tnt.visualization import (
    attention_figure,
    attention_maps,
    block_features,
    grad_cam,
    integrated_gradients,
    plot_results,
)
from keras_tnt.visualization.image_range import check_model_images
from tests.helpers.classifiers import SHAPE, body, images, tnt

MODULES = (keras_tnt.visualization, plot_results, attention_figure)
SCALED = {
    "0-1": lambda pixels: pixels / 255,
    "±1": lambda pixels: pixels / 127.5 - 1,
}
ACCEPTED = {
    "floats": lambda pixels: pixels,
    "bytes": lambda pixels: pixels.astype("uint8"),
    "black": lambda pixels: 0 * pixels,
    "black and white": lambda pixels: np.round(pixels / 255),
    "dark": lambda pixels: pixels / 100,
}
every_scaling = pytest.mark.parametrize("scaling", SCALED)


@pytest.fixture(scope="module")
def cases():
    """By name: every public function of images, as a function of a batch and a path."""
    model = tnt(inner_blocks=(1,))
    maps = attention_maps(model, images(2))
    features = block_features(model, images(2))
    visualization = keras_tnt.visualization
    pair, thirds = ["one", "two"], np.full((2, 3), 1 / 3)
    return {
        "attention_maps": lambda batch, path: attention_maps(model, batch),
        "block_features": lambda batch, path: block_features(model, batch),
        "grad_cam": lambda batch, path: grad_cam(model, batch),
        "integrated_gradients": lambda batch, path: integrated_gradients(
            model, batch, steps=1
        ),
        "plot_attention_heads": lambda batch, path: visualization.plot_attention_heads(
            maps, batch[0], [1], path
        ),
        "plot_attention_overlays": lambda batch, path: (
            visualization.plot_attention_overlays(maps, batch[0], [1], path)
        ),
        "plot_inner_attention": lambda batch, path: visualization.plot_inner_attention(
            maps, batch[0], [1], (0, 1), path
        ),
        "plot_feature_maps": lambda batch, path: visualization.plot_feature_maps(
            features, batch[0], [1], path
        ),
        "plot_mean_pixels": lambda batch, path: visualization.plot_mean_pixels(
            features, batch, [1], path
        ),
        "plot_features": lambda batch, path: visualization.plot_features(
            features, batch, [1], path
        ),
        "plot_saliency": lambda batch, path: visualization.plot_saliency(
            batch, pair, np.ones((2, 2, 2)), np.ones(batch.shape), path
        ),
        "plot_attention": lambda batch, path: plot_results.plot_attention(
            model, batch, pair, path
        ),
        "plot_augmented_images": lambda batch, path: plot_results.plot_augmented_images(
            batch, thirds[:, :2], pair, path
        ),
        "plot_boxes": lambda batch, path: visualization.plot_boxes(
            batch, [[(0, 0, 4, 4, 0, 0.5)]] * len(batch), ["cat"], path
        ),
        "plot_masks": lambda batch, path: visualization.plot_masks(
            batch, np.zeros(batch.shape[:3], int), ["background"], path
        ),
        "plot_predictions": lambda batch, path: plot_results.plot_predictions(
            batch, [0, 1], thirds, [*pair, "three"], path
        ),
        "attention_figure": lambda batch, path: attention_figure.attention_figure(
            batch, [attention_figure.AttentionView(np.eye(2), None)] * 2
        ),
    }


def public_functions_of_images():
    for module in MODULES:
        for name, function in vars(module).items():
            public = name in getattr(module, "__all__", ["attention_figure"])
            if public and inspect.isfunction(function):
                arguments = inspect.signature(function).parameters.keys()
                index = name == "feature_map_tsne"  # its `image` is a number
                if {"image", "images"} & arguments and not index:
                    yield name


NAMES = sorted(set(public_functions_of_images()))


def test_cases__are_complete(cases):
    assert sorted(cases) == NAMES


@every_scaling
@pytest.mark.parametrize("name", NAMES)
def test_functions_of_images__refuse_scaled(name, scaling, cases, tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match=f"scaled to {scaling}"):
        cases[name](SCALED[scaling](images(2)), path)
    assert not path.exists()


@pytest.mark.parametrize("kind", ACCEPTED)
@pytest.mark.parametrize("name", ["attention_maps", "grad_cam", "plot_predictions"])
def test_functions_of_images__accept(name, kind, cases, tmp_path):
    cases[name](ACCEPTED[kind](images(2)), tmp_path / "plot.png")


def test_plot_inner_attention__dark_patch(cases, tmp_path):
    """A part of the image with values below 1 does not make it a scaled one."""
    batch = images(2)
    batch[:, :16, 16:] /= 300
    cases["plot_inner_attention"](batch, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


def wrapped(*before, **arguments):
    """A model of layers before a TNT that does not scale images itself."""
    inner = tnt(include_preprocessing=False, **arguments)
    return keras.Sequential([keras.Input(SHAPE), *before, inner])


def without_tnt():
    flat = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential(flat)


def two_inputs():
    photo, other = keras.Input(SHAPE, name="photo"), keras.Input((2,), name="other")
    joined = keras.layers.Concatenate()([body()(photo), other])
    return keras.Model([photo, other], keras.layers.Dense(3)(joined))


def two_images():
    pair = [keras.Input(SHAPE, name=name) for name in ("left", "right")]
    return keras.Model(pair, body()(keras.layers.Average()(pair)))


@pytest.mark.parametrize(
    ("build", "scaling"),
    [
        (lambda: tnt(include_preprocessing=False), "±1"),
        (lambda: wrapped(keras.layers.Rescaling(2, -1)), "0-1"),
        (lambda: wrapped(keras.layers.Normalization(mean=0.5, variance=0.04)), "0-1"),
        (without_tnt, "0-1"),
    ],
)
def test_check_model_images__models_of_scaled_images(build, scaling):
    check_model_images(build(), SCALED[scaling](images(1)))


@every_scaling
def test_check_model_images__models_of_pixels(scaling):
    models = [wrapped(keras.layers.Rescaling(1 / 127.5, -1))]
    models += [keras.Sequential([keras.Input(SHAPE), tnt()])]
    for model in models:
        check_model_images(model, images(1))
        with pytest.raises(ValueError, match=f"scaled to {scaling}"):
            check_model_images(model, SCALED[scaling](images(1)))


@pytest.mark.parametrize("as_dict", [False, True])
def test_check_model_images__several_inputs(as_dict):
    def inputs(photo):
        values = {"photo": photo, "other": np.full((1, 2), 0.5)}
        return values if as_dict else list(values.values())

    model = two_inputs()
    check_model_images(model, inputs(images(1)))
    with pytest.raises(ValueError, match="scaled to 0-1"):
        check_model_images(model, inputs(images(1) / 255))
    check_model_images(two_images(), [images(1) / 255] * 2)  # not known
