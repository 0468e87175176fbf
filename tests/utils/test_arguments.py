"""Arguments that take several values refuse a single one, and strings."""

import keras
import numpy as np
import pytest

import keras_tnt
from keras_tnt.export import export_model
from keras_tnt.inference.classification import predict_files
from keras_tnt.inference.classifier import Classifier
from keras_tnt.layers import PyramidStage
from keras_tnt.training import AdamW
from keras_tnt.utils.arguments import as_list
from keras_tnt.visualization import (
    AttentionMaps,
    BlockFeatures,
    plot_attention_heads,
    plot_attention_overlays,
    plot_feature_map_tsne,
    plot_feature_maps,
    plot_features,
    plot_inner_attention,
    plot_mean_pixels,
    plot_patch_attention,
)
from tests.helpers.small import dense_classifier

MAPS = AttentionMaps({1: np.ones((1, 1, 7, 7))}, {}, {1: (2, 3)}, {1: 1})
FEATURES = BlockFeatures({}, {})
IMAGE = np.zeros((32, 48, 3), "uint8")


@pytest.mark.parametrize("values", [(1, 2), [1, 2], range(1, 3), np.array([1, 2])])
def test_as_list__several(values):
    assert as_list("blocks", values) == [1, 2]


@pytest.mark.parametrize("value", [1, 1.5, "12", b"12", None, np.array(1)])
def test_as_list__one(value):
    with pytest.raises(ValueError, match="blocks must be a list or tuple, got"):
        as_list("blocks", value)


CALLS = {
    "inner_blocks": lambda path: keras_tnt.TNT(inner_blocks=1),
    "depths": lambda path: keras_tnt.PyramidTNT(depths=2),
    "input_shape": lambda path: keras_tnt.TNT(input_shape=224),
    "input_shape ": lambda path: keras_tnt.PyramidTNTTiny(
        weights=None, input_shape="224"
    ),
    "drop_path_rates": lambda path: PyramidStage(1, 1, 1, drop_path_rates=0.1),
    "var_names": lambda path: AdamW().exclude_from_weight_decay(var_names="kernel"),
    "var_list": lambda path: AdamW().exclude_from_weight_decay(
        keras.Variable(np.ones(3), name="kernel")
    ),
    "labels": lambda path: keras_tnt.export_saved_model(
        dense_classifier(3), path, labels="cat"
    ),
    "labels ": lambda path: export_model(
        dense_classifier(3), path, "onnx", labels="cat"
    ),
    "batch_sizes": lambda path: keras_tnt.export_saved_model(
        dense_classifier(3), path, batch_sizes=8
    ),
    "image_size": lambda path: export_model(
        dense_classifier(3), path, "onnx", image_size=32
    ),
    "paths": lambda path: list(
        predict_files(Classifier(dense_classifier(3), ["a", "b", "c"], 0.9), "cat.png")
    ),
    "blocks": lambda path: plot_attention_overlays(MAPS, IMAGE, 1, path),
    "blocks ": lambda path: plot_attention_heads(MAPS, IMAGE, "1", path),
    "blocks  ": lambda path: plot_inner_attention(MAPS, IMAGE, 1, (0, 0), path),
    "blocks   ": lambda path: plot_features(FEATURES, [IMAGE], 1, path),
    "blocks    ": lambda path: plot_patch_attention(MAPS, 1, path),
    "blocks     ": lambda path: plot_feature_maps(FEATURES, IMAGE, 1, path),
    "blocks      ": lambda path: plot_feature_map_tsne(FEATURES, 1, path),
    "blocks       ": lambda path: plot_mean_pixels(FEATURES, IMAGE[None], 1, path),
}


@pytest.mark.parametrize("argument", CALLS)
def test_as_list__is_how_public_functions_read_lists(argument, tmp_path):
    with pytest.raises(
        ValueError, match=f"^{argument.strip()} must be a list or tuple"
    ):
        CALLS[argument](tmp_path / "file")
    assert not any(tmp_path.iterdir())
