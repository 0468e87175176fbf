"""PyramidTNT's weights in and out of a model."""

import logging
import os

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_tnt
from keras_tnt.weights import convert_pyramid_tnt
from keras_tnt.weights.transfer import assign_upstream, to_upstream
from tests.helpers import reference

CASE = "pyramid_tnt"


def build(**arguments):
    """The PyramidTNT of the reference case, with fresh weights."""
    return reference.build(CASE, load=False, **arguments)


@pytest.fixture
def official_file(tmp_path):
    path = tmp_path / "official.safetensors"
    save_file(reference.tensors(CASE, "weight."), path)
    return path


@pytest.mark.parametrize(
    ("manifest", "builder"),
    [
        ("official/ptnt_ti_patch16_192", keras_tnt.PyramidTNTTiny),
        pytest.param(
            "official/ptnt_s_patch16_256",
            keras_tnt.PyramidTNTSmall,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "official/ptnt_m_patch16_256",
            keras_tnt.PyramidTNTMedium,
            marks=pytest.mark.extra_large,
        ),
        pytest.param(
            "official/ptnt_b_patch16_256",
            keras_tnt.PyramidTNTBase,
            marks=pytest.mark.extra_large,
        ),
    ],
)
def test_convert_pyramid_tnt__published_sizes(manifest, builder, tmp_path):
    source = reference.published_tensors(manifest)
    save_file(source, tmp_path / "source.safetensors")
    model = builder(weights=str(tmp_path / "source.safetensors"))
    table = list(convert_pyramid_tnt.entries(model))
    assert {id(e.variable) for e in table} == {id(weight) for weight in model.weights}
    names = [name for entry in table for name in entry.names]
    unused = convert_pyramid_tnt.WITHOUT_COUNTERPART
    assert names == [name for name in source if name not in unused]
    keras_tnt.save_upstream_weights(model, tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == set(names)
    for name in names:
        np.testing.assert_array_equal(back[name], source[name], err_msg=name)


def test_convert_pyramid_tnt__grid_recorded(tmp_path):
    """4x16 patches: official files would be taken for 8x8, ours say what they are."""
    model = build(input_shape=(32, 128, 3))
    keras_tnt.save_upstream_weights(model, tmp_path / "wide.safetensors")
    fresh = build(input_shape=(32, 128, 3))
    keras_tnt.load_weights(fresh, tmp_path / "wide.safetensors")
    for ours, theirs in zip(fresh.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert os.listdir(tmp_path) == ["wide.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_load_weights__pyramid_other_size_head_channels(suffix, tmp_path, caplog):
    """Positions and biases are resampled, whatever the file; the head stays fresh."""
    path = tmp_path / f"model{suffix}"
    model = reference.build(CASE)
    if suffix == ".safetensors":
        keras_tnt.save_upstream_weights(model, path)
    else:
        model.save(path)
    other = build(input_shape=(88, 64, 1), classes=3)
    head = other.get_layer("predictions").kernel.numpy()
    with caplog.at_level(logging.WARNING, "keras_tnt"):
        keras_tnt.load_weights(other, str(path))
    assert "keeps its values: the weights come with 7 classes" in caplog.text
    np.testing.assert_array_equal(other.get_layer("predictions").kernel, head)
    ours, theirs = to_upstream(other), to_upstream(model)
    kernel = "patch_embed.common_conv.0.weight"
    summed = theirs[kernel].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours[kernel], summed, atol=1e-6)
    sized = [f"stages.{stage}.relative_pos" for stage in range(4)]
    grids = [(11, 8), (6, 4), (3, 2), (2, 1)]
    keys = [(2, 2), (3, 2), (3, 2), (2, 1)]
    assert ours["outer_pos"].shape == (1, 88, 16)
    for name, queries, pooled in zip(sized, grids, keys, strict=True):
        shape = (1, theirs[name].shape[1], np.prod(queries), np.prod(pooled))
        assert ours[name].shape == shape
    alike = {"outer_pos", kernel, "head.weight", "head.bias", *sized}
    for name in ours.keys() - alike:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert np.isfinite(other(np.ones((1, 88, 64, 1)))).all()


def test_load_weights__pyramid_four_channels(tmp_path):
    path = tmp_path / "model.safetensors"
    model = reference.build(CASE)
    keras_tnt.save_upstream_weights(model, path)
    other = build(input_shape=(64, 64, 4), weights=path)
    name = "patch_embed.common_conv.0.weight"
    rgb = to_upstream(model)[name]
    expected = 0.75 * np.concatenate([rgb, rgb[:, :1]], axis=1)
    np.testing.assert_allclose(to_upstream(other)[name], expected, rtol=1e-6)


def test_resample__position_biases():
    """A bias that depends on the queries' rows alone still does at another size."""
    tensors = reference.tensors(CASE, "weight.")
    rows = np.repeat(np.arange(8.0), 8)  # of 8x8 queries
    tensors["stages.0.relative_pos"][:] = rows[None, None, :, None]
    columns = np.tile(np.arange(2.0), 2)  # of 2x2 keys
    tensors["stages.1.relative_pos"][:] = columns[None, None, None, :]
    model = build(input_shape=(128, 128, 3))
    assign_upstream(model, tensors)
    first = model.get_layer("stage_1").position_bias.numpy()
    first = first.reshape(2, 16, 16, 16)  # heads, rows, columns, keys
    np.testing.assert_allclose(first, first[:1, :, :1, :1] + 0 * first, atol=1e-4)
    assert np.all(np.diff(first[0, :, 0, 0]) > 0)
    second = model.get_layer("stage_2").position_bias.numpy()
    second = second.reshape(4, 64, 4, 4)  # heads, queries, rows, columns
    np.testing.assert_allclose(second, second[:1, :1, :1] + 0 * second, atol=1e-4)
    assert np.all(np.diff(second[0, 0, 0]) > 0)


def test_load_weights__pyramid_without_top(official_file, caplog):
    model = build(include_top=False, pooling="avg", weights=str(official_file))
    features = model(reference.images(CASE))
    expected = reference.tensors(CASE)["features"]
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert not caplog.records


def test_load_weights__pyramid_prefix_and_half_precision(tmp_path):
    tensors = {
        f"module.{name}": value.astype("float16") if value.ndim else value
        for name, value in reference.tensors(CASE, "weight.").items()
    }
    save_file(tensors, tmp_path / "half.safetensors")
    model = build(weights=str(tmp_path / "half.safetensors"))
    for name, value in to_upstream(model).items():
        np.testing.assert_array_equal(value, tensors[f"module.{name}"])


def unchanged(model, source, message):
    """Loading must raise the message and leave the model as it was."""
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(ValueError, match=message):
        keras_tnt.load_weights(model, source)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stages.1.relative_pos": None},
            "First offending tensor: 'stages.1.relative_pos'.* 1 are missing.*depths",
        ),
        (
            {"patch_embed.common_conv.4.num_batches_tracked": np.int64(1)},
            "'patch_embed.common_conv.4.num_batches_tracked'.* 1 are unknown",
        ),
        (
            {"patch_embed.common_conv.1.num_batches_tracked": np.ones(8, "float32")},
            "'patch_embed.common_conv.1.num_batches_tracked'.* 1 are unknown",
        ),
        (
            {"stages.0.relative_pos": np.ones((1, 2, 64, 16), "float32")},
            r"'stages.0.relative_pos' has shape \(1, 2, 64, 16\), the model's .* 64, 4",
        ),
        (
            {"outer_pos": np.ones((1, 63, 16), "float32")},
            "'outer_pos' is unknown: its 63 positions are neither a square",
        ),
        (
            {"stages.3.relative_pos": np.full((1, 8, 1, 1), np.nan, "float32")},
            "NaN or infinite values, first in tensor 'stages.3.relative_pos'",
        ),
        ({"cls_token": np.ones((1, 1, 16), "float32")}, "'cls_token' marks a TNT"),
        ({"patch_embed.common_conv.0.weight": None}, "the file has no PyramidTNT"),
    ],
)
def test_load_weights__pyramid_mismatch(changes, message, tmp_path):
    tensors = reference.tensors(CASE, "weight.") | changes
    path = tmp_path / "bad.safetensors"
    save_file(
        {name: np.asarray(v) for name, v in tensors.items() if v is not None}, path
    )
    unchanged(build(), path, message)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_load_weights__pyramid_other_kind(suffix, tmp_path):
    tnt = reference.build("tnt_timm")
    pyramid = build()
    deeper = build(depths=(2, 2, 2, 1))
    for number, (ours, theirs, message) in enumerate(
        [
            (pyramid, tnt, "'cls_token' marks a TNT"),
            (tnt, pyramid, "marks a PyramidTNT"),
            (pyramid, deeper, "Build the model with the depths"),
        ]
    ):
        path = tmp_path / f"{number}{suffix}"
        if suffix == ".keras":
            theirs.save(path)
        else:
            theirs.save_weights(path)
            message = "First difference"
        unchanged(ours, path, message)


def test_load_weights__pyramid_own_head(official_file):
    backbone = build(include_top=False, pooling="avg")
    outputs = keras.layers.Dense(2, name="own")(backbone.output)
    model = keras.Model(backbone.input, outputs)
    own = model.get_layer("own").kernel.numpy()
    keras_tnt.load_weights(model, official_file)
    np.testing.assert_array_equal(model.get_layer("own").kernel, own)
    expected = reference.tensors(CASE, "weight.")["norm.weight"]
    np.testing.assert_array_equal(model.get_layer("norm").gamma, expected)
