"""Reference tensors of the published implementations, and their models."""

import json

import numpy as np
from safetensors.numpy import load_file

import keras_tnt
from keras_tnt.weights.transfer import assign_upstream
from tests.helpers import ASSETS

DIRECTORY = ASSETS / "reference"
CASES = json.loads((DIRECTORY / "cases.json").read_text())
MANIFESTS = json.loads((DIRECTORY / "checkpoint_manifests.json").read_text())


def tensors(case, prefix=""):
    """The tensors of a case whose names start with a prefix, without that prefix."""
    stored = load_file(DIRECTORY / f"{case}.safetensors")
    return {
        name.removeprefix(prefix): value
        for name, value in stored.items()
        if name.startswith(prefix)
    }


def published_tensors(manifest):
    """Random values with the names and shapes of a published file."""
    rng = np.random.default_rng(0)
    return {
        name: np.asarray(_published_value(name, shape, rng))
        for name, shape in MANIFESTS[manifest].items()
    }


def _published_value(name, shape, rng):
    if name == "outer_tokens":
        return np.zeros(shape, "float32")
    if name.endswith("num_batches_tracked"):
        return np.int64(375_300)
    return rng.standard_normal(shape, "float32")


def images(case, name="input"):
    """Images of a case, channels last."""
    return tensors(case)[name].transpose(0, 2, 3, 1)


def build(case, load=True, **changes):
    """The model of a case, with logits as output and the case's weights."""
    config = CASES[case]["config"]
    arguments = {
        "classes": config["num_classes"],
        "include_preprocessing": False,
        "classifier_activation": None,
    }
    if "configs" in config:
        model = keras_tnt.PyramidTNT(
            **(arguments | pyramid_arguments(config) | changes)
        )
    else:
        model = keras_tnt.TNT(**(arguments | tnt_arguments(config) | changes))
    if load:
        assign_upstream(model, tensors(case, "weight."))
    return model


def pyramid_arguments(config):
    """A PyramidTNT's arguments; those of the later stages follow from the first."""
    stages = config["configs"]
    return {
        "outer_dim": stages["outer_dims"][0],
        "inner_dim": stages["inner_dims"][0],
        "depths": stages["depths"],
        "outer_num_heads": stages["outer_heads"][0],
        "inner_num_heads": stages["inner_heads"][0],
        "input_shape": (config["img_size"], config["img_size"], 3),
    }


def tnt_arguments(config):
    """A TNT's arguments, from official or timm names."""
    size = config["img_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return {
        "outer_dim": config.get("outer_dim") or config["embed_dim"],
        "inner_dim": config["inner_dim"],
        "depth": config["depth"],
        "outer_num_heads": config.get("outer_num_heads") or config["num_heads_outer"],
        "inner_num_heads": config.get("inner_num_heads") or config["num_heads_inner"],
        "patch_size": config["patch_size"],
        "inner_stride": config.get("inner_stride", 4),
        "qkv_bias": config.get("qkv_bias", False),
        "se_ratio": 0.25 if config.get("se") else 0.0,
        "input_shape": (height, width, config.get("in_chans", 3)),
    }
