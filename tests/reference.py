"""The published implementations' tensors (tests/data/reference) and models for them."""

import json
import pathlib

from safetensors.numpy import load_file

import keras_tnt
from keras_tnt.weights.loading import assign_upstream

FOLDER = pathlib.Path(__file__).parent / "data" / "reference"
CASES = json.loads((FOLDER / "cases.json").read_text())
MANIFESTS = json.loads((FOLDER / "checkpoint_manifests.json").read_text())


def tensors(case, prefix=""):
    """The tensors of a case whose names start with the prefix, which is cut off."""
    stored = load_file(FOLDER / f"{case}.safetensors")
    return {
        name.removeprefix(prefix): value
        for name, value in stored.items()
        if name.startswith(prefix)
    }


def images(case, name="input"):
    """Images of a case, channels last."""
    return tensors(case)[name].transpose(0, 2, 3, 1)


def build(case, load=True, **changes):
    """The TNT of a case, giving logits, with the case's weights."""
    config = CASES[case]["config"]
    size = config["img_size"]
    height, width = (size, size) if isinstance(size, int) else size
    arguments = {
        "outer_dim": config.get("outer_dim") or config["embed_dim"],
        "inner_dim": config["inner_dim"],
        "depth": config["depth"],
        "outer_num_heads": config.get("outer_num_heads") or config["num_heads_outer"],
        "inner_num_heads": config.get("inner_num_heads") or config["num_heads_inner"],
        "patch_size": config["patch_size"],
        "inner_stride": config.get("inner_stride", 4),
        "qkv_bias": config.get("qkv_bias", False),
        "se_ratio": 0.25 if config.get("se") else 0.0,
        "classes": config["num_classes"],
        "input_shape": (height, width, config.get("in_chans", 3)),
        "include_preprocessing": False,
        "classifier_activation": None,
    }
    model = keras_tnt.TNT(**(arguments | changes))
    if load:
        assign_upstream(model, tensors(case, "weight."))
    return model
