"""Feature maps equal upstream's, for any depth, size, precision and nesting."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from tests.helpers import reference
from tests.helpers.small import BOTH, pixels, small, small_pyramid


def shapes(features):
    return {name: value.shape[1:] for name, value in features.items()}


def test_feature_extractor__equals_timm_maps():
    model = reference.build("tnt_timm")
    features = keras_tnt.feature_extractor(model, blocks=(1, 2, 3))
    found = features(reference.images("tnt_timm"))
    assert list(found) == ["block_1", "block_2", "block_3"]
    for index, value in enumerate(found.values()):
        expected = reference.images("tnt_timm", f"intermediate{index}")
        np.testing.assert_allclose(value, expected, atol=1e-4)


@pytest.mark.parametrize("case", ["tnt_official", "tnt_official_rect"])
def test_feature_extractor__equals_official_tokens(case):
    model = reference.build(case)
    features = keras_tnt.feature_extractor(model, blocks=(3, 1), class_token=True)
    found = features(reference.images(case))
    assert list(found) == [
        "block_3",
        "block_3_class_token",
        "block_1",
        "block_1_class_token",
    ]
    for block in (1, 3):
        expected = reference.tensors(case)[f"block{block - 1}.patches"]
        tokens = found[f"block_{block}_class_token"]
        np.testing.assert_allclose(tokens, expected[:, 0], atol=1e-4)
        maps = found[f"block_{block}"]
        shape = maps.shape
        assert shape[1:3] == [side // 16 for side in model.input_shape[1:3]]
        np.testing.assert_allclose(maps, expected[:, 1:].reshape(shape), atol=1e-4)


def test_feature_extractor__final_norm_equals_timm_features():
    model = reference.build("tnt_timm")
    features = keras_tnt.feature_extractor(
        model, blocks=(2, 3), class_token=True, final_norm=True
    )
    found = features(reference.images("tnt_timm"))
    expected = reference.tensors("tnt_timm")["features"]
    np.testing.assert_allclose(found["block_3_class_token"], expected[:, 0], atol=1e-4)
    maps = expected[:, 1:].reshape(2, 4, 4, 48)
    np.testing.assert_allclose(found["block_3"], maps, atol=1e-4)
    gamma, beta = model.get_layer("norm").weights
    plain = reference.images("tnt_timm", "intermediate1")
    scaled = (plain - plain.mean(-1, keepdims=True)) / plain.std(-1, keepdims=True)
    np.testing.assert_allclose(found["block_2"], scaled * gamma + beta, atol=1e-3)


@pytest.mark.parametrize("case", ["pyramid_tnt", "pyramid_tnt_deep"])
def test_feature_extractor__equals_official_stages(case):
    model = reference.build(case)
    maps = keras_tnt.feature_extractor(model)(reference.images(case))
    assert list(maps) == ["stage_1", "stage_2", "stage_3", "stage_4"]
    for index, (value, stride) in enumerate(
        zip(maps.values(), (8, 16, 32, 64), strict=True)
    ):
        assert value.shape[1:3] == (64 // stride, 64 // stride)
        expected = reference.tensors(case)[f"stage{index}.sentences"]
        np.testing.assert_allclose(value, expected.reshape(value.shape), atol=1e-4)
    features = keras_tnt.feature_extractor(model, (4, 3), final_norm=True)
    normed = features(reference.images(case))
    assert list(normed) == ["stage_4", "stage_3"]
    pooled = reference.tensors(case)["features"]  # the mean of one patch
    np.testing.assert_allclose(normed["stage_4"][:, 0, 0], pooled, atol=1e-4)
    np.testing.assert_array_equal(normed["stage_3"], maps["stage_3"])


def test_feature_extractor__default_blocks_and_no_later_layers():
    model = small(depth=12, inner_blocks=(1,), input_shape=(16, 32, 3))
    features = keras_tnt.feature_extractor(model)
    assert shapes(features.output) == dict.fromkeys(
        ("block_3", "block_6", "block_9", "block_12"), (1, 2, 48)
    )
    first = keras_tnt.feature_extractor(model, blocks=[2])
    names = {layer.name for layer in first.layers}
    assert "block_2" in names
    assert not names & {"block_3", "norm", "predictions"}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("make", BOTH)
def test_feature_extractor__mixed_precision(make, policy):
    exact = make()
    blocks = {"blocks": (2, 1)}
    expected = keras_tnt.feature_extractor(exact, **blocks)(pixels(exact))
    keras.config.set_dtype_policy(policy)
    found = keras_tnt.feature_extractor(make(), **blocks)(pixels(exact))
    assert list(found) == list(expected)
    for name, value in found.items():
        assert value.dtype == policy.removeprefix("mixed_")
        error = np.linalg.norm(np.asarray(value, "float32") - expected[name])
        assert error < 0.1 * np.linalg.norm(expected[name])


@pytest.mark.parametrize("make", BOTH)
def test_feature_extractor__nested_tnt_keeps_layers_before_it(make):
    tnt = make(include_top=False, pooling="avg")
    height, width, channels = tnt.input_shape[1:]
    photos = keras.Input((2 * height, 2 * width, channels))
    halved = keras.layers.AveragePooling2D(2)(photos)
    model = keras.Model(photos, keras.layers.Dense(2)(tnt(halved)))
    images = pixels(tnt)
    expected = keras_tnt.feature_extractor(tnt, (1, 2))(images)
    features = keras_tnt.feature_extractor(model, (1, 2))
    again = keras_tnt.feature_extractor(features, (1, 2))
    large = images.repeat(2, axis=1).repeat(2, axis=2).astype("float32")
    for found in (features(large), again(large)):
        assert list(found) == list(expected)
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_feature_extractor__leaves_model_unchanged():
    model = small()
    config, images = model.get_config(), pixels(model)
    expected, output = model(images), model.outputs[0]
    keras_tnt.feature_extractor(model, (1, 2), class_token=True, final_norm=True)
    assert model.get_config() == config
    assert model.outputs[0] is output
    np.testing.assert_array_equal(model(images), expected)


@pytest.mark.parametrize("make", BOTH)
def test_feature_extractor__trains_with_a_head(make):
    model = make()
    features = keras_tnt.feature_extractor(model, (1, 2))
    first, second = features.output.values()
    size = first.shape[1] // second.shape[1]
    joined = keras.layers.Concatenate()(
        [first, keras.layers.UpSampling2D(size)(second)]
    )
    head = keras.layers.Conv2D(2, 1, activation="softmax")(joined)
    dense = keras.Model(features.input, head)
    dense.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    images = pixels(model, 2)
    _, height, width, _ = head.shape
    labels = np.broadcast_to(np.arange(width) < width // 2, (2, height, width))
    first_block = model.get_layer("block_1" if make is small else "stage_1")
    before = first_block.get_weights()
    losses = dense.fit(images, labels, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    after = first_block.get_weights()
    assert all((a != b).any() for a, b in zip(before, after, strict=True) if a.ndim > 1)


@pytest.mark.parametrize("make", BOTH)
def test_feature_extractor__saves_and_exports(make, tmp_path):
    model = make()
    options = {"class_token": True} if make is small else {}
    features = keras_tnt.feature_extractor(model, (2, 1), final_norm=True, **options)
    images = pixels(model)
    expected = features(images)
    features.save(tmp_path / "features.keras")
    loaded = keras.saving.load_model(tmp_path / "features.keras")(images)
    features.export(tmp_path / "saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved_model")
    for batch in (1, 3):
        found = served.serve(images[:batch].astype("float32"))
        assert set(found) == set(loaded) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(loaded[name], value)
            np.testing.assert_allclose(found[name], value[:batch], atol=1e-4)


@pytest.fixture(scope="module")
def models_of_four():
    """A model of four blocks and one of four stages."""
    tnt = small(depth=4, inner_blocks=(1,), input_shape=(16, 32, 3))
    return {"block": tnt, "stage": small_pyramid(input_shape=(32, 32, 3))}


@pytest.mark.parametrize(
    ("blocks", "numbers"),
    [
        (1, (4,)),
        (3, (2, 3, 4)),
        (4, (1, 2, 3, 4)),
        (np.int64(2), (3, 4)),
        ((-1,), (4,)),
        ([-4, 2, -2], (1, 2, 3)),
    ],
)
def test_feature_extractor__counts_from_the_end_as_timm(
    models_of_four, blocks, numbers
):
    for kind, model in models_of_four.items():
        features = keras_tnt.feature_extractor(model, blocks)
        assert list(features.output) == [f"{kind}_{number}" for number in numbers]
        images = pixels(model, 1)
        expected = keras_tnt.feature_extractor(model, (1, 2, 3, 4))(images)
        for name, value in features(images).items():
            np.testing.assert_array_equal(value, expected[name])


def test_feature_extractor__refuses_missing_blocks():
    model = small(depth=5)
    numbers = ((3, 6), (0,), (-6,), (1, -1, 0), (), 0, 6, -1)
    others = (3.0, "3", "block_3", b"3", ("block_3",), [1.5], (None,), np.array(3))
    for blocks in (*numbers, *others):
        message = (
            rf"blocks, 1 to 5 or -5 to -1, .* got blocks={re.escape(repr(blocks))}"
        )
        with pytest.raises(ValueError, match=message):
            keras_tnt.feature_extractor(model, blocks)
    with pytest.raises(ValueError, match=r"got blocks=\(3, 6, 9, 12\)"):
        keras_tnt.feature_extractor(model)
    pyramid = small_pyramid()
    with pytest.raises(ValueError, match=r"stages, 1 to 4 .* blocks=\(5,\)"):
        keras_tnt.feature_extractor(pyramid, (5,))
    with pytest.raises(ValueError, match="no class token"):
        keras_tnt.feature_extractor(pyramid, class_token=True)
    plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="no layer of either"):
        keras_tnt.feature_extractor(plain)
