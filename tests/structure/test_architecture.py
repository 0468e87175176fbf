"""Questions about the structure of a model."""

import keras
import pytest

from keras_tnt.layers import TNTBlock, TransformerBlock
from keras_tnt.structure import (
    architecture,
    blocks,
    find_tnt,
    has_preprocessing,
    patch_grid,
    stages,
)
from tests.helpers.small import build_pyramid_tnt, build_tnt, small


def classifier_of(tnt):
    """A functional model with a TNT as a layer."""
    images = keras.Input(tnt.input_shape[1:])
    return keras.Model(images, keras.layers.Dense(2)(tnt(images)))


def without_tnt():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])


def test_architecture__own_layers_only():
    tnt, pyramid_tnt = build_tnt(include_top=False), build_pyramid_tnt()
    grown = keras.Model(tnt.input, tnt.get_layer("block_1").output[1])
    assert architecture(tnt) == architecture(grown) == "tnt"
    assert architecture(pyramid_tnt) == "pyramid_tnt"
    assert architecture(classifier_of(tnt)) is None
    assert architecture(without_tnt()) is None


@pytest.mark.parametrize("build", [build_tnt, build_pyramid_tnt])
def test_has_preprocessing__with_and_without(build):
    assert has_preprocessing(build())
    assert not has_preprocessing(build(include_preprocessing=False))
    assert has_preprocessing(without_tnt())


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], False),
        ([keras.layers.Resizing(32, 48)], False),
        ([keras.layers.CenterCrop(32, 48), keras.layers.Identity()], False),
        ([keras.layers.Rescaling(1 / 127.5, -1), keras.layers.Resizing(32, 48)], True),
        ([keras.layers.Resizing(32, 48), keras.layers.Rescaling(1 / 255)], True),
        ([keras.layers.Resizing(32, 48), keras.layers.Rescaling(2, -1)], False),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_has_preprocessing__nested(before, expected, times):
    model = build_tnt(include_preprocessing=False, depth=1, include_top=False)
    size = (64, 64, 3) if before else model.input_shape[1:]
    model = keras.Sequential([keras.Input(size), *before, model])
    for _ in range(times - 1):
        model = keras.Sequential([keras.Input(size), model])
    assert has_preprocessing(model) == expected


def test_has_preprocessing__nested_with_its_own():
    assert has_preprocessing(classifier_of(build_tnt(include_top=False, pooling="avg")))


def test_blocks__in_order_of_their_numbers():
    tnt = build_tnt(depth=11, inner_blocks=(1, 11), input_shape=(16, 16, 3))
    assert [block.name for block in blocks(tnt)] == [
        f"block_{number}" for number in range(1, 12)
    ]
    assert isinstance(blocks(tnt)[10], TNTBlock)
    assert stages(tnt) == []


def test_blocks__leave_out_layers_of_a_grown_model():
    tnt = build_tnt(include_top=False)
    tokens = TransformerBlock(3, name="decoder")(tnt.get_layer("norm").output)
    other = keras.layers.Dense(2, name="block_3")(tokens)
    grown = keras.Model(tnt.input, other)
    assert [block.name for block in blocks(grown)] == ["block_1", "block_2"]


def test_stages__of_a_pyramid():
    model = build_pyramid_tnt()
    assert [stage.name for stage in stages(model)] == [
        f"stage_{number}" for number in range(1, 5)
    ]
    assert blocks(model) == []


def test_patch_grid__rows_and_columns():
    assert patch_grid(build_tnt()) == (2, 3)
    assert patch_grid(build_pyramid_tnt()) == (8, 12)


def test_find_tnt__refuses_none_and_several():
    images = keras.Input((32, 48, 3))
    plain = keras.Model(images, keras.layers.Flatten()(images), name="plain")
    for model in (plain, "plain"):
        with pytest.raises(ValueError, match=r"has no layer of either"):
            find_tnt(model)
    left, right = (small(name=name, include_top=False) for name in ("left", "right"))
    both = keras.Model(images, keras.layers.Add()([left(images), right(images)]))
    with pytest.raises(ValueError, match=r"more than one TNT: left, right\. Pass"):
        find_tnt(both)


class Wrapper(keras.layers.Layer):
    """A layer that calls a model, as users write it."""

    def __init__(self, inside):
        super().__init__(name="own")
        self.inside = inside

    def call(self, images):
        return self.inside(images)


def test_find_tnt__refuses_one_inside_a_layer():
    tnt = build_tnt(include_top=False, pooling="token", name="inside")
    clip = keras.Input((5, 32, 48, 3))
    distributed = keras.layers.TimeDistributed(tnt, name="frames")
    frames = keras.Model(clip, distributed(clip))
    own = keras.Sequential([keras.Input((32, 48, 3)), Wrapper(tnt)])
    nested = keras.Sequential([keras.Input((5, 32, 48, 3)), frames])
    for model, layer in (
        (frames, "TimeDistributed layer 'frames'"),
        (nested, "TimeDistributed layer 'frames'"),
        (own, "Wrapper layer 'own'"),
    ):
        with pytest.raises(ValueError, match=rf"inside the {layer}.*the TNT itself"):
            find_tnt(model)
    image = keras.Input((32, 48, 3))
    direct = build_tnt(include_top=False, pooling="token", name="direct")
    pooled = keras.layers.GlobalAveragePooling1D()(distributed(clip))
    both = keras.Model([clip, image], keras.layers.Add()([pooled, direct(image)]))
    with pytest.raises(ValueError, match="more than one TNT: direct, frames"):
        find_tnt(both)
