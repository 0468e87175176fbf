"""TNT for KerasHub: backbone, classifier and presets."""

import sys

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.utils.lazy import LazyClass
from tests.helpers.small import DEFAULTS, pixels, randomised, small

keras_hub = pytest.importorskip(
    "keras_hub", reason="KerasHub is not installed (the extra hub)"
)
from keras_tnt import keras_hub as tnt_hub  # noqa: E402 (imports KerasHub)

OPTIONS = {
    name: DEFAULTS[name]
    for name in ("outer_dim", "inner_dim", "depth", "outer_num_heads")
}


def backbone(**changes):
    return randomised(tnt_hub.TNTBackbone((32, 48, 3), **(OPTIONS | changes)))


def classifier(inner_blocks=None, **options):
    return tnt_hub.TNTImageClassifier(
        backbone(inner_blocks=inner_blocks), num_classes=7, **options
    )


def test_backbone__is_a_tnt():
    model, tnt = backbone(), small()
    assert [weight.name for weight in model.weights] == [
        weight.name for weight in tnt.weights[:-2]
    ]
    images = pixels(tnt)
    tokens = keras.Model(tnt.input, tnt.get_layer("norm").output)
    np.testing.assert_allclose(model(images), tokens(images), atol=1e-5)
    features = keras_tnt.feature_extractor(model, (1, 2), class_token=True)(images)
    assert features["block_1"].shape == (3, 2, 3, 48)
    assert keras_tnt.attention_maps(model, images).outer.keys() == {1, 2}


def test_load_weights__upstream_names_into_backbone(tmp_path):
    tnt = small()
    keras_tnt.save_upstream_weights(tnt, tmp_path / "tnt.safetensors")
    model = tnt_hub.TNTBackbone((32, 48, 3), **OPTIONS)
    keras_tnt.load_weights(model, tmp_path / "tnt.safetensors")
    for found, expected in zip(model.weights, tnt.weights, strict=False):
        np.testing.assert_array_equal(found, expected)


def test_classifier__equals_tnt():
    tnt, task = small(), classifier()
    task.get_layer("predictions").set_weights(
        tnt.get_layer("predictions").get_weights()
    )
    images = pixels(tnt)
    np.testing.assert_allclose(task(images), tnt(images), atol=1e-5)


@pytest.mark.parametrize("inner_blocks", [None, (2,)])
def test_from_preset__backbone(inner_blocks, tmp_path):
    model = backbone(inner_blocks=inner_blocks)
    model.save_to_preset(tmp_path)
    for parent in (keras_hub.models.Backbone, tnt_hub.TNTBackbone):
        loaded = parent.from_preset(str(tmp_path))
        assert isinstance(loaded, tnt_hub.TNTBackbone)
        np.testing.assert_array_equal(loaded(pixels(model)), model(pixels(model)))
    fresh = tnt_hub.TNTBackbone.from_preset(str(tmp_path), load_weights=False)
    assert np.abs(fresh(pixels(model)) - model(pixels(model))).max() > 0
    half = tnt_hub.TNTBackbone.from_preset(str(tmp_path), dtype="mixed_bfloat16")
    assert half(pixels(model)).dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    assert all(weight.dtype == "float32" for weight in half.weights)


@pytest.mark.slow
def test_from_preset__classifier(tmp_path):
    converter = tnt_hub.TNTImageConverter(image_size=(32, 48))
    preprocessor = tnt_hub.TNTImageClassifierPreprocessor(converter)
    task = classifier(preprocessor=preprocessor, activation=None, dropout=0.1)
    task.save_to_preset(tmp_path)
    loaded = keras_hub.models.ImageClassifier.from_preset(str(tmp_path))
    assert isinstance(loaded, tnt_hub.TNTImageClassifier)
    assert isinstance(loaded.preprocessor, tnt_hub.TNTImageClassifierPreprocessor)
    assert loaded.preprocessor.image_converter.image_size == (32, 48)
    assert loaded.get_config()["dropout"] == 0.1
    photos = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), "uint8")
    expected = task.predict(photos, verbose=0)
    np.testing.assert_array_equal(loaded.predict(photos, verbose=0), expected)
    other = keras_hub.models.ImageClassifier.from_preset(str(tmp_path), num_classes=3)
    assert other.predict(photos, verbose=0).shape == (2, 3)
    for found, stored in zip(
        other.backbone.weights, task.backbone.weights, strict=True
    ):
        np.testing.assert_array_equal(found, stored)


def test_from_preset__before_the_module_is_imported(monkeypatch, tmp_path):
    """`import keras_tnt` registers the classes, but does not import them."""
    task = classifier()
    task.save_to_preset(tmp_path)
    monkeypatch.setattr(keras_tnt, "keras_hub", tnt_hub)  # restores it afterwards
    for module in [m for m in sys.modules if m.startswith("keras_tnt.keras_hub")]:
        monkeypatch.delitem(sys.modules, module)
    registered = keras.saving.get_custom_objects()
    for name in vars(tnt_hub):
        if f"keras_tnt>{name}" in registered:
            lazy = LazyClass("keras_tnt.keras_hub", name)
            monkeypatch.setitem(registered, f"keras_tnt>{name}", lazy)
    loaded = keras_hub.models.ImageClassifier.from_preset(str(tmp_path))
    assert type(loaded) is sys.modules["keras_tnt.keras_hub"].TNTImageClassifier
    images = pixels(task.backbone)
    np.testing.assert_array_equal(loaded(images), task(images))


def test_classifier__learns_and_saves(tmp_path):
    task = classifier()
    task.compile(keras.optimizers.SGD(1e-2))
    images, labels = pixels(task.backbone, 4), np.array([0, 1, 2, 3])
    losses = task.fit(images, labels, epochs=4, shuffle=False, verbose=0).history[
        "loss"
    ]
    assert losses[-1] < losses[0]
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(loaded(images), task(images))
    assert type(loaded.optimizer) is keras.optimizers.SGD
    assert loaded.optimizer.iterations == 4
    assert not task.loss.from_logits


def test_backbone__any_size(tmp_path):
    options = {name: DEFAULTS[name] for name in ("outer_dim", "inner_dim")}
    backbone = tnt_hub.TNTBackbone(
        (None, None, 3), depth=1, outer_num_heads=3, **options
    )
    backbone.save_to_preset(tmp_path)
    reloaded = tnt_hub.TNTBackbone.from_preset(str(tmp_path))
    assert reloaded.image_shape == (None, None, 3)
    images = np.random.default_rng(0).uniform(0, 255, (1, 70, 50, 3))
    np.testing.assert_array_equal(reloaded(images), backbone(images))
    maps = keras.Model(backbone.input, backbone.pyramid_outputs)(images)
    assert [value.shape[1:3] for value in maps.values()] == [
        (20, 16),
        (10, 8),
        (5, 4),
        (3, 2),
    ]


def test_from_tnt__any_size():
    model = small(depth=1, input_shape=(None, None, 3), native_image_size=(64, 96))
    classifier = tnt_hub.from_tnt(model)
    assert classifier.backbone.image_shape == (64, 96, 3)
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3))
    np.testing.assert_allclose(classifier(images), model(images), atol=1e-5)


def test_backbone__has_its_options_as_attributes():
    model = tnt_hub.TNTBackbone((32, 48, 3), inner_blocks=(2, 1), **OPTIONS)
    config = model.get_config()
    options = config.keys() - {"name", "trainable", "dtype"}
    assert {"outer_dim", "inner_blocks", "patch_size", "remat"} <= options
    for option in options:
        assert getattr(model, option) == config[option]
    assert (model.depth, model.inner_blocks) == (2, [1, 2])
    assert model.data_format == "channels_last"


def test_backbone__refuses_what_is_not_an_option():
    with pytest.raises(ValueError, match="channels-last images, got data_format='cha"):
        tnt_hub.TNTBackbone((3, 32, 48), data_format="channels_first", **OPTIONS)
    with pytest.raises(ValueError, match="inner_blocks must be a list or tuple, got 1"):
        tnt_hub.TNTBackbone((32, 48, 3), inner_blocks=1, **OPTIONS)
    with pytest.raises(ValueError, match="image_shape must be a list or tuple, got 32"):
        tnt_hub.TNTBackbone(32, **OPTIONS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'include_top'"):
        tnt_hub.TNTBackbone((32, 48, 3), include_top=False, **OPTIONS)


@pytest.mark.parametrize(
    "option", [{"pooling": "gap"}, {"include_top": False}, {"autocast": False}]
)
def test_classifier__refuses_what_is_not_an_option(option):
    with pytest.raises(
        TypeError, match=f"unexpected keyword argument '{next(iter(option))}'"
    ):
        tnt_hub.TNTImageClassifier(backbone(depth=1), num_classes=3, **option)


def test_classifier__policy_of_the_head():
    for name in ("head_dtype", "dtype"):
        task = classifier(inner_blocks=(), **{name: "bfloat16"})
        assert task(pixels(task.backbone)).dtype == "bfloat16"
        assert task.backbone.compute_dtype == "float32"
    with pytest.raises(ValueError, match="both the policy of the head"):
        classifier(inner_blocks=(), head_dtype="bfloat16", dtype="float32")


def test_classifier__compiles_on_demand_only():
    assert not classifier(inner_blocks=(), compile=False).compiled
    assert classifier(inner_blocks=(), name="pets").name == "pets"


def test_enable_lora__adapts_queries_keys_and_values(tmp_path):
    model = backbone(depth=1)
    model.enable_lora(2)
    trained = {weight.path.split("/", 1)[1] for weight in model.trainable_weights}
    assert trained == {
        f"{side}/attention/qkv/lora_kernel_{part}"
        for side in ("inner", "outer")
        for part in "ab"
    }
    model.save_lora_weights(str(tmp_path / "model.lora.h5"))
    other = backbone(depth=1)
    other.load_lora_weights(str(tmp_path / "model.lora.h5"))
    np.testing.assert_array_equal(other(pixels(other)), model(pixels(model)))


def freeze(task):
    """Freeze a sublayer and a whole block."""
    task.backbone.get_layer("block_1").outer.attention.trainable = False
    task.backbone.get_layer("block_2").trainable = False


def freeze_backbone_and_train_its_norm(task):
    task.backbone.trainable = False
    task.backbone.get_layer("norm").trainable = True


def freeze_all_and_train_the_head(task):
    task.trainable = False
    task.get_layer("predictions").trainable = True


def quantize(task):
    task.quantize("int8")
    task.backbone.get_layer("block_1").trainable = False


def quantize_to_int4(task):
    task.quantize("int4")


def quantize_to_float8(task):
    task.quantize("float8")


def train_biases_of_frozen_parts(task):
    for part in task._flatten_layers(include_self=False):
        part.trainable = False
    for weight in task.weights:
        weight.trainable = weight.name == "bias"


def adapt(task):
    task.backbone.enable_lora(2)
    qkv = task.backbone.get_layer("block_1").outer.attention.qkv
    qkv.lora_kernel_b.assign(np.full(qkv.lora_kernel_b.shape, 0.01))
    task.get_layer("predictions").enable_lora(1)


@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
@pytest.mark.parametrize(
    "change",
    [
        freeze,
        pytest.param(freeze_backbone_and_train_its_norm, marks=pytest.mark.slow),
        pytest.param(freeze_all_and_train_the_head, marks=pytest.mark.slow),
        quantize,
        pytest.param(quantize_to_int4, marks=pytest.mark.slow),
        pytest.param(quantize_to_float8, marks=pytest.mark.slow),
        pytest.param(train_biases_of_frozen_parts, marks=pytest.mark.slow),
        adapt,
    ],
)
def test_classifier__frozen_and_quantized_parts_are_as_before(change, tmp_path):
    converter = tnt_hub.TNTImageConverter(image_size=(32, 48))
    preprocessor = tnt_hub.TNTImageClassifierPreprocessor(converter)
    task = classifier(preprocessor=preprocessor, inner_blocks=(1,))
    change(task)
    task.save_to_preset(tmp_path / "preset")
    task.optimizer.build(task.trainable_variables)
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    assert len(loaded.optimizer.variables) == len(task.optimizer.variables)
    preset = keras_hub.models.ImageClassifier.from_preset(str(tmp_path / "preset"))
    images = pixels(task.backbone)
    for copy in (loaded, preset):
        assert state(copy) == state(task)
        np.testing.assert_array_equal(copy(images), task(images))
    parent = keras_hub.models.Backbone
    alone = parent.from_preset(str(tmp_path / "preset"))
    assert state(alone) == state(task.backbone)
    np.testing.assert_array_equal(alone(images), task.backbone(images))


def state(model):
    parts = [
        (part.name, part.trainable, part.dtype_policy.name)
        for part in model._flatten_layers(include_self=False)
        if part.weights
    ]
    return model.trainable, parts, [weight.trainable for weight in model.weights]


@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_backbone__quantized_under_a_mixed_policy(tmp_path):
    model = backbone(dtype="mixed_bfloat16", depth=1)
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert state(loaded) == state(model)
    images = pixels(model)
    assert loaded(images).dtype == "bfloat16"
    np.testing.assert_array_equal(
        np.asarray(loaded(images), "float32"), np.asarray(model(images), "float32")
    )


def test_backbone__equals_tnt_under_a_mixed_policy():
    model = backbone(dtype="mixed_bfloat16", depth=1)
    tnt = small(dtype="mixed_bfloat16", depth=1)
    images = pixels(tnt)
    tokens = keras.Model(tnt.input, tnt.get_layer("norm").output)
    np.testing.assert_array_equal(
        np.asarray(model(images), "float32"), np.asarray(tokens(images), "float32")
    )
