import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.models.catalog import BUILDERS, builder_options
from keras_tnt.weights import registry
from tests.helpers.small import build_pyramid_tnt, build_tnt, small


def test_list_models__names_and_patterns():
    assert len(keras_tnt.list_models()) == 7
    assert keras_tnt.list_models("*_base") == ["pyramid_tnt_base", "tnt_base"]
    assert keras_tnt.list_models(pretrained=True) == ["tnt_base", "tnt_small"]
    assert keras_tnt.list_models("vit*") == []


def test_create_model__builds_the_size():
    model = keras_tnt.create_model("pyramid_tnt_tiny", classes=7, name="own")
    assert model.name == "own"
    assert model.output_shape == (None, 7)
    info = keras_tnt.model_info(model)
    assert info == keras_tnt.model_info("pyramid_tnt_tiny")
    assert info.weights is None


def test_create_model__pretrained(monkeypatch):
    sources = []
    monkeypatch.setattr(
        "keras_tnt.models.builder.load_weights",
        lambda model, source: sources.append(source),
    )
    keras_tnt.create_model("tnt_small", pretrained=True)
    keras_tnt.create_model("tnt_small", pretrained=False)
    assert sources == ["hf://timm/tnt_s_patch16_224.in1k"]
    with pytest.raises(ValueError, match="file-sharing site"):
        keras_tnt.create_model("pyramid_tnt_base", pretrained=True)
    with pytest.raises(ValueError, match="either pretrained or weights"):
        keras_tnt.create_model("tnt_small", pretrained=True, weights=None)


@pytest.mark.parametrize("function", [keras_tnt.create_model, keras_tnt.model_info])
def test_catalog__unknown_name(function):
    with pytest.raises(ValueError, match=r"no model 'vit'\. Expected one of tnt_tiny,"):
        function("vit")


def test_model_info__of_a_model(tmp_path):
    model = keras_tnt.TNTTiny(input_shape=(32, 64, 3), classes=5, dtype="bfloat16")
    model.save(tmp_path / "renamed.keras")
    loaded = keras.saving.load_model(tmp_path / "renamed.keras")
    scaled = keras_tnt.TNTTiny(include_top=False, include_preprocessing=False)
    inside = keras.Sequential([scaled, keras.layers.GlobalAveragePooling2D()])
    for found, size, includes in (
        (model, (32, 64), True),
        (loaded, (32, 64), True),
        (inside, (224, 224), False),
    ):
        info = keras_tnt.model_info(found)
        assert info.variant == "tnt_tiny"
        assert info.architecture == "tnt"
        assert info.image_size == size
        assert info.includes_preprocessing == includes


def test_model_info__preprocessing_is_the_models():
    scaled = small(include_preprocessing=False)
    whole = small()
    images = np.random.default_rng(0).integers(0, 256, (2, *whole.input_shape[1:]))
    info = keras_tnt.model_info(scaled)
    pixels = (images / 255 - np.array(info.mean)) / np.array(info.std)
    np.testing.assert_allclose(scaled(pixels), whole(images), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"se_ratio": 0.25}, {"inner_blocks": (1,)}, {"depth": 2}]
)
def test_model_info__other_sizes(options):
    arguments = {"outer_dim": 192, "inner_dim": 12, "outer_num_heads": 3}
    model = keras_tnt.TNT(
        **arguments, inner_num_heads=2, input_shape=(32, 32, 3), **options
    )
    info = keras_tnt.model_info(model)
    assert info.variant is None
    assert info.weights is None


def test_model_info__weights():
    info = keras_tnt.model_info("tnt_small")
    assert info.weights is registry.PUBLISHED["tnt_small"]
    assert info.weights.license == "apache-2.0"


def test_builder_options__rebuild_equal_weights():
    for model, build in (
        (build_tnt(inner_blocks=(2,), se_ratio=0.25, qkv_bias=True), keras_tnt.TNT),
        (build_pyramid_tnt(se_ratio=0.25, mlp_ratio=2), keras_tnt.PyramidTNT),
    ):
        again = build(
            **builder_options(model), input_shape=model.input_shape[1:], classes=7
        )
        shapes = [(weight.path, weight.shape) for weight in model.weights]
        assert [(weight.path, weight.shape) for weight in again.weights] == shapes


def test_builders__default_weights_can_be_downloaded():
    import inspect

    for name, builder in BUILDERS.items():
        default = inspect.signature(builder).parameters["weights"].default
        assert default == ("imagenet" if name in registry.PUBLISHED else None)
