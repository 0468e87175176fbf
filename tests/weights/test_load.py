"""Weights in and out of a model: names, layouts, sizes, refusals."""

import json
import logging
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_tnt
from keras_tnt.weights import convert_tnt
from keras_tnt.weights.tensor_files import find_state_dict
from keras_tnt.weights.transfer import assign_upstream, to_upstream
from tests.helpers import reference
from tests.helpers.hub_server import HubServer, hub_environment

CASE = "tnt_timm"


def small(**arguments):
    """The TNT of the reference case, with fresh weights."""
    return reference.build(CASE, load=False, **arguments)


@pytest.fixture
def timm_file(tmp_path):
    path = tmp_path / "timm.safetensors"
    save_file(reference.tensors(CASE, "weight."), path)
    return path


@pytest.mark.parametrize(
    ("manifest", "builder"),
    [
        ("official/tnt_s_patch16_224", keras_tnt.TNTSmall),
        ("timm/tnt_s_patch16_224.in1k", keras_tnt.TNTSmall),
        pytest.param(
            "official/tnt_b_patch16_224",
            keras_tnt.TNTBase,
            marks=pytest.mark.extra_large,
        ),
        pytest.param(
            "timm/tnt_b_patch16_224.in1k", keras_tnt.TNTBase, marks=pytest.mark.slow
        ),
    ],
)
def test_load_weights__published_sizes(manifest, builder, tmp_path):
    source = reference.published_tensors(manifest)
    save_file(source, tmp_path / "source.safetensors")
    model = builder(weights=str(tmp_path / "source.safetensors"))
    keras_tnt.save_upstream_weights(model, tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    expected = convert_tnt.standard_names(source)
    assert back.keys() == expected.keys()
    timm = manifest if manifest.startswith("timm") else f"timm{manifest[8:]}.in1k"
    assert back.keys() == reference.MANIFESTS[timm].keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


@pytest.mark.parametrize(
    "case", ["tnt_official_qkv_bias_gray", "tnt_official_se", "tnt_official_rect", CASE]
)
def test_load_weights__round_trip(case, tmp_path):
    model = reference.build(case)
    path = tmp_path / "weights.safetensors"
    keras_tnt.save_upstream_weights(model, path)
    fresh = reference.build(case, load=False)
    keras_tnt.load_weights(fresh, path)
    for ours, theirs in zip(fresh.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert os.listdir(tmp_path) == ["weights.safetensors"]


def test_load_weights__square_number_of_patches(tmp_path):
    """2x8 patches: upstream files would be taken for 4x4, ours say what they are."""
    model = small(input_shape=(32, 128, 3))
    keras_tnt.save_upstream_weights(model, tmp_path / "wide.safetensors")
    fresh = small(input_shape=(32, 128, 3))
    keras_tnt.load_weights(fresh, tmp_path / "wide.safetensors")
    np.testing.assert_array_equal(
        fresh.get_layer("patch_embedding").position_embedding,
        model.get_layer("patch_embedding").position_embedding,
    )


def test_load_weights__some_inner_blocks(tmp_path):
    model = small(inner_blocks=(1, 3))
    keras_tnt.save_upstream_weights(model, tmp_path / "s.safetensors")
    names = load_file(tmp_path / "s.safetensors")
    assert "blocks.0.attn_in.qk.weight" in names
    assert "blocks.1.attn_in.qk.weight" not in names
    fresh = small(inner_blocks=(1, 3))
    keras_tnt.load_weights(fresh, tmp_path / "s.safetensors")
    np.testing.assert_array_equal(fresh.get_weights()[-2], model.get_weights()[-2])


def test_load_weights__prefix_and_half_precision(tmp_path):
    tensors = reference.tensors(CASE, "weight.")
    save_file(
        {f"module.{name}": value.astype("float16") for name, value in tensors.items()},
        tmp_path / "half.safetensors",
    )
    model = small()
    keras_tnt.load_weights(model, tmp_path / "half.safetensors")
    for name, value in to_upstream(model).items():
        np.testing.assert_array_equal(value, tensors[name].astype("float16"))


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.", "module._orig_mod."]
    + [
        pytest.param(prefix, marks=pytest.mark.slow)
        for prefix in ("model.", "backbone.", "ema.", "a.b.c.")
    ],
)
@pytest.mark.parametrize("case", ["tnt_timm", "tnt_official"])
def test_load_weights__names_behind_a_common_prefix(prefix, case, tmp_path):
    tensors = reference.tensors(case, "weight.")
    path = tmp_path / "wrapped.safetensors"
    counter = {"n_averaged": np.array(3)}
    save_file({prefix + name: t for name, t in tensors.items()} | counter, path)
    model = small()
    keras_tnt.load_weights(model, path)
    save_file(tensors, path)
    expected = small()
    keras_tnt.load_weights(expected, path)
    for value, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_load_weights__head_beside_the_prefix(tmp_path):
    tensors = reference.tensors(CASE, "weight.")
    wrapped = {
        name if name.startswith("head.") else f"backbone.{name}": value
        for name, value in tensors.items()
    }
    save_file(wrapped, tmp_path / "wrapped.safetensors")
    model = small()
    keras_tnt.load_weights(model, tmp_path / "wrapped.safetensors")
    for name, value in to_upstream(model).items():
        np.testing.assert_array_equal(value, tensors[name])
    wrapped["backbone.head.bias"] = tensors["head.bias"]
    save_file(wrapped, tmp_path / "wrapped.safetensors")
    unchanged(small(), tmp_path / "wrapped.safetensors", "is missing")


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"ema.{name}" if "block" in name else f"model.{name}",
        lambda name: f"model.{name}" if "block" in name else name,
        lambda name: "model." if name == "norm.bias" else f"model.{name}",
        lambda name: name + ".model",
        lambda name: f"model.other.{name}" if name == "norm.bias" else f"model.{name}",
    ],
)
def test_load_weights__a_prefix_of_some_names_is_refused(change, tmp_path):
    tensors = reference.tensors(CASE, "weight.")
    path = tmp_path / "wrapped.safetensors"
    save_file({change(name): value for name, value in tensors.items()}, path)
    unchanged(small(), path, "is missing|First offending tensor")


def test_find_state_dict__nested():
    def find(checkpoint):
        return find_state_dict(checkpoint, lambda v: isinstance(v, np.ndarray))

    raw, averaged = {"w": np.zeros(1)}, {"w": np.ones(1)}
    for wrapped in (
        raw,
        {"state_dict": raw, "epoch": 3},
        {"model": {"state_dict": raw, "name": "tnt"}, "optimizer": {}},
        {"model_state_dict": raw, "ema": 0.99},
        {"ema": {"decay": 0.99}, "model": raw},
        {"state_dict_ema": None, "state_dict": {"module": raw}},
    ):
        assert find(wrapped) is raw
    for wrapped in (
        {"state_dict": raw, "state_dict_ema": averaged},
        {"model": raw, "ema": {"module": averaged, "updates": 7}},
        {"checkpoint": 3, "model": {"model_ema": averaged, "state_dict": raw}},
    ):
        assert find(wrapped) is averaged
    for nothing in ({}, {"epoch": 3}, {"state_dict": {}}, [raw], None, {"other": raw}):
        assert find(nothing) is None


def test_load_weights__other_number_of_classes(timm_file, caplog):
    model = small(classes=3)
    head = model.get_layer("predictions").get_weights()
    with caplog.at_level(logging.WARNING, "keras_tnt"):
        keras_tnt.load_weights(model, timm_file)
    assert "keeps its values: the weights come with 7 classes" in caplog.text
    np.testing.assert_array_equal(
        model.get_layer("predictions").get_weights()[0], head[0]
    )
    expected = reference.tensors(CASE, "weight.")["norm.weight"]
    np.testing.assert_array_equal(model.get_layer("norm").gamma, expected)


def test_load_weights__without_top(timm_file, tmp_path, caplog):
    backbone = small(include_top=False, pooling="token", weights=str(timm_file))
    features = backbone(reference.images(CASE))
    expected = reference.tensors(CASE)["features"][:, 0]
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert not caplog.records
    keras_tnt.save_upstream_weights(backbone, tmp_path / "backbone.safetensors")
    model = small(weights=str(tmp_path / "backbone.safetensors"))
    assert "the weights come without a head" in caplog.text
    assert model.name in caplog.text


def test_load_weights__own_head(timm_file):
    backbone = small(include_top=False, pooling="token")
    model = keras.Model(
        backbone.input, keras.layers.Dense(2, name="own")(backbone.output)
    )
    own = model.get_layer("own").get_weights()
    keras_tnt.load_weights(model, timm_file)
    np.testing.assert_array_equal(model.get_layer("own").get_weights()[0], own[0])
    expected = reference.tensors(CASE, "weight.")["cls_token"]
    np.testing.assert_array_equal(
        model.get_layer("patch_embedding").class_token, expected
    )


def test_load_weights__one_channel(timm_file):
    grey = small(input_shape=(64, 64, 1), weights=str(timm_file))
    colour = reference.build(CASE)
    images = reference.images(CASE)[..., :1]
    np.testing.assert_allclose(
        grey(images), colour(np.repeat(images, 3, axis=-1)), atol=1e-4
    )


@pytest.mark.parametrize(
    "channels", [2, *[pytest.param(n, marks=pytest.mark.slow) for n in (4, 6, 7)]]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_load_weights__other_channels(channels, suffix, timm_file, tmp_path):
    color = reference.build(CASE)
    path = timm_file
    if suffix == ".keras":
        path = tmp_path / "model.keras"
        color.save(path)
    model = small(input_shape=(64, 64, channels), weights=str(path))
    kernel = model.get_layer("pixel_embedding").projection.kernel.numpy()
    rgb = color.get_layer("pixel_embedding").projection.kernel.numpy()
    for channel in range(channels):
        expected = rgb[:, :, channel % 3] * (3 / channels)
        np.testing.assert_allclose(kernel[:, :, channel], expected, rtol=1e-6)
    if channels == 6:  # the same image twice
        images = reference.images(CASE)
        twice = np.concatenate([images, images], axis=-1)
        np.testing.assert_allclose(model(twice), color(images), atol=1e-4)


def test_load_weights__channels_of_source_not_three(tmp_path):
    small(input_shape=(64, 64, 2)).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match=r"pixel_embed\.proj\.weight' has shape"):
        small(input_shape=(64, 64, 4), weights=str(tmp_path / "two.keras"))


@pytest.mark.parametrize(
    "suffix", [".keras", pytest.param(".weights.h5", marks=pytest.mark.slow)]
)
class TestKerasFiles:
    def save(self, model, directory, suffix):
        path = directory / f"model{suffix}"
        if suffix == ".keras":
            model.save(path)
        else:
            model.save_weights(path)
        return path

    def test_load_weights__same_model(self, suffix, tmp_path):
        path = self.save(reference.build(CASE), tmp_path, suffix)
        model = small()
        keras_tnt.load_weights(model, str(path))
        logits = reference.tensors(CASE)["logits"]
        np.testing.assert_allclose(model(reference.images(CASE)), logits, atol=1e-4)

    def test_load_weights__own_layers(self, suffix, tmp_path):
        def grown():
            backbone = small(include_top=False, pooling="token")
            outputs = keras.layers.Dense(2, name="own")(backbone.output)
            return keras.Model(backbone.input, outputs)

        model = grown()
        path = self.save(model, tmp_path, suffix)
        fresh = grown()
        keras_tnt.load_weights(fresh, path)
        images = reference.images(CASE)
        np.testing.assert_array_equal(fresh(images), model(images))

    def test_load_weights__mixed_dtypes(self, suffix, tmp_path):
        keras.config.set_dtype_policy("bfloat16")
        half = small()
        keras.config.set_dtype_policy("float32")
        whole = small(weights=str(self.save(half, tmp_path, suffix)))
        for ours, theirs in zip(whole.weights, half.weights, strict=True):
            np.testing.assert_array_equal(ours, np.asarray(theirs, "float32"))
        half.set_weights([weight * 0 for weight in half.get_weights()])
        (tmp_path / "whole").mkdir()
        keras_tnt.load_weights(half, self.save(whole, tmp_path / "whole", suffix))
        for ours, theirs in zip(half.weights, whole.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(ours, "float32"), theirs)

    def test_load_weights__other_blocks(self, suffix, tmp_path):
        """Same number of blocks and shapes: by order alone they would fit."""
        path = self.save(small(inner_blocks=(1, 2)), tmp_path, suffix)
        unchanged(small(inner_blocks=(1, 3)), path, self.misfit(suffix, "inner_blocks"))

    def test_load_weights__other_depth(self, suffix, tmp_path):
        path = self.save(small(depth=4), tmp_path, suffix)
        unchanged(small(), path, self.misfit(suffix, "Build the model with the depth"))

    def test_load_weights__other_width(self, suffix, tmp_path):
        path = self.save(small(outer_dim=60), tmp_path, suffix)
        unchanged(small(), path, self.misfit(suffix, r"has shape \(1, 1, 60\)"))

    def misfit(self, suffix, message):
        if suffix == ".keras":
            return f"does not fit .*{message}"
        return "does not fit .* in the file, .* in the model.* save as .keras"

    def test_load_weights__damaged_file(self, suffix, tmp_path):
        path = self.save(small(), tmp_path, suffix)
        whole = path.read_bytes()
        for content in (b"", b"text", whole[: len(whole) // 2]):
            path.write_bytes(content)
            unchanged(small(), path, f"model{suffix} is not a complete")

    def test_load_weights__nan(self, suffix, tmp_path):
        model = small()
        model.get_layer("norm").beta.assign(np.full(48, np.nan))
        path = self.save(model, tmp_path, suffix)
        name = {".keras": "norm.bias", ".weights.h5": "layers/.*/vars/1"}[suffix]
        unchanged(small(), path, f"NaN or infinite values, first in tensor '{name}'")

    def test_load_weights__other_architecture(self, suffix, tmp_path):
        images = keras.Input((64, 64, 3))
        other = keras.Model(images, keras.layers.Conv2D(4, 3)(images))
        path = self.save(other, tmp_path, suffix)
        message = {
            ".keras": "has no layer of either",
            ".weights.h5": "First difference",
        }
        unchanged(small(), path, message[suffix])


class TestFilesWithArchitecture:
    """A .keras file is loaded as a model, so that sizes and head may differ."""

    @pytest.fixture
    def file(self, tmp_path):
        reference.build(CASE).save(tmp_path / "model.keras")
        return tmp_path / "model.keras"

    def test_load_weights__another_image_size(self, file):
        model = small(input_shape=(48, 80, 3), weights=str(file))
        expected = reference.tensors("tnt_timm_resized")["logits48x80"]
        images = reference.images("tnt_timm_resized", "input48x80")
        np.testing.assert_allclose(model(images), expected, atol=1e-4)

    def test_load_weights__another_number_of_classes(self, file, caplog):
        model = small(classes=3, drop_path_rate=0.1, dropout_rate=0.1)
        keras_tnt.load_weights(model, file)
        assert "the weights come with 7 classes" in caplog.text
        expected = reference.tensors(CASE, "weight.")["norm.weight"]
        np.testing.assert_array_equal(model.get_layer("norm").gamma, expected)

    def test_load_weights__tnt_nested_in_the_saved_model(self, tmp_path):
        tnt = reference.build(CASE)
        images = keras.Input((64, 64, 3))
        keras.Model(images, tnt(images)).save(tmp_path / "outer.keras")
        model = small(weights=str(tmp_path / "outer.keras"))
        logits = reference.tensors(CASE)["logits"]
        np.testing.assert_allclose(model(reference.images(CASE)), logits, atol=1e-4)

    def test_load_weights__unknown_class_is_named(self, tmp_path):
        class Unknown(keras.layers.Layer):
            def call(self, inputs):
                return inputs

        tnt = small(include_top=False, pooling="token")
        model = keras.Model(tnt.input, Unknown()(tnt.output))
        model.save(tmp_path / "model.keras")
        unchanged(
            small(),
            tmp_path / "model.keras",
            "unknown class.*'Unknown'; import and register",
        )


@pytest.mark.parametrize(
    "compiled",
    [
        pytest.param("saved", marks=pytest.mark.slow),
        pytest.param("loaded", marks=pytest.mark.slow),
        "both",
    ],
)
def test_load_weights__h5_keeps_the_optimizer(compiled, tmp_path):
    """`fit` with `ModelCheckpoint(save_weights_only=True)` saves the optimizer too."""
    saved, model = reference.build(CASE), small()
    for part, wanted in ((saved, "saved"), (model, "loaded")):
        if compiled in (wanted, "both"):
            part.compile("adam", "sparse_categorical_crossentropy")
            part.optimizer.build(part.trainable_variables)
            part.optimizer.iterations.assign(7 if part is saved else 3)
    saved.save_weights(tmp_path / "model.weights.h5")
    keras_tnt.load_weights(model, tmp_path / "model.weights.h5")
    for ours, theirs in zip(model.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if compiled != "saved":
        assert int(model.optimizer.iterations) == 3


def test_load_weights__nan_in_bfloat16_h5_is_refused(tmp_path):
    model = small(dtype="bfloat16")
    model.get_layer("norm").beta.assign(np.full(48, np.nan))
    model.save_weights(tmp_path / "model.weights.h5")
    unchanged(small(), tmp_path / "model.weights.h5", "NaN or infinite values")


@pytest.mark.parametrize("changes", [{"input_shape": (48, 80, 3)}, {"classes": 3}])
def test_load_weights__h5_of_another_size_or_head_is_refused(changes, tmp_path):
    small().save_weights(tmp_path / "model.weights.h5")
    unchanged(small(**changes), tmp_path / "model.weights.h5", "save as .keras")


def unchanged(model, source, message):
    """Loading must raise the message and leave the model as it was."""
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(ValueError, match=message):
        keras_tnt.load_weights(model, source)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def changed(path, **changes):
    """Writes the case's tensors with some replaced, or left out by None."""
    tensors = reference.tensors(CASE, "weight.")
    tensors |= {name.replace("__", "."): value for name, value in changes.items()}
    save_file({k: v for k, v in tensors.items() if v is not None}, path)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"norm__weight": None},
            "First offending tensor: 'norm.weight'.* 1 are missing",
        ),
        (
            {"norm__more": np.ones(3, "float32")},
            "First offending tensor: 'norm.more'.* 1 are unknown",
        ),
        (
            {"proj__weight": np.ones((48, 191), "float32")},
            r"'proj.weight' has shape \(48, 191\), the model's has \(48, 192\)",
        ),
        (
            {"blocks__1__mlp__fc1__bias": np.full(192, np.inf, "float32")},
            "NaN or infinite values, first in tensor 'blocks.1.mlp.fc1.bias'",
        ),
        (
            {"patch_pos": np.full((1, 17, 48), np.nan, "float32")},
            "NaN or infinite values, first in tensor 'patch_pos'",
        ),
        (
            {"patch_pos": np.ones((1, 12, 48), "float32")},
            "grid of tensor 'patch_pos' is unknown: its 11 positions",
        ),
        (
            {"pixel_embed__proj__weight": np.ones((12, 4, 7, 7), "float32")},
            r"'pixel_embed.proj.weight' has shape \(12, 4, 7, 7\)",
        ),
        (
            {"blocks__0__proj__bias": np.ones(48, "float32")},
            "'blocks.0.proj.bias' marks the legacy TNT-S.*timm/tnt_s_patch16_224.in1k",
        ),
        ({"cls_token": None}, "'cls_token' is missing"),
    ],
)
def test_load_weights__mismatch_changes_nothing(changes, message, tmp_path):
    unchanged(small(), changed(tmp_path / "bad.safetensors", **changes), message)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("timm/tnt_s_legacy_patch16_224.in1k", "marks the legacy TNT-S"),
        (
            "official/ptnt_s_patch16_256",
            "'patch_embed.common_conv.0.weight' marks a Pyr",
        ),
    ],
)
def test_load_weights__other_published_architecture(manifest, message, tmp_path):
    save_file(reference.published_tensors(manifest), tmp_path / "other.safetensors")
    unchanged(small(), tmp_path / "other.safetensors", message)


def test_load_weights__lora(timm_file, tmp_path):
    model = small(weights=str(timm_file))
    dense = model.get_layer("block_1").outer.attention.qkv
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    unchanged(model, timm_file, "adapted by LoRA")
    keras_tnt.save_upstream_weights(model, tmp_path / "merged.safetensors")
    merged = small(weights=str(tmp_path / "merged.safetensors"))
    images = reference.images(CASE)
    np.testing.assert_allclose(merged(images), model(images), atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:(Layer .* does not have a|.model.quantize):UserWarning"
)
def test_load_weights__quantized(timm_file, tmp_path):
    model = small()
    model.quantize("int8")
    unchanged(model, timm_file, "are quantized")
    with pytest.raises(ValueError, match="are quantized"):
        keras_tnt.save_upstream_weights(model, tmp_path / "int8.safetensors")


def test_load_weights__used_outer_tokens(tmp_path):
    tensors = reference.tensors("tnt_official", "weight.")
    tensors["outer_tokens"] += 1
    save_file(tensors, tmp_path / "used.safetensors")
    unchanged(
        small(), tmp_path / "used.safetensors", "'outer_tokens' is zero and unused"
    )


def test_load_weights__truncated_file(timm_file):
    whole = timm_file.read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    start = len(whole) - max(entry["data_offsets"][1] for entry in header.values())
    name, entry = min(header.items(), key=lambda item: item[1]["data_offsets"])
    end = start + entry["data_offsets"][1]
    for size, message in [
        (0, "ends after 0 bytes, inside its table"),
        (100, "ends after 100 bytes, inside its table"),
        (end - 1, f"ends before the end of tensor '{name}'"),
        (len(whole) - 1, "ends before the end of tensor"),
    ]:
        timm_file.write_bytes(whole[:size])
        unchanged(small(), timm_file, message)
    timm_file.write_bytes(b"\x10" + bytes(7) + b"no table at all!" + bytes(100))
    unchanged(small(), timm_file, "its table of tensors is unreadable")
    timm_file.write_bytes(whole + b"more")
    unchanged(small(), timm_file, "do not match its table")


def test_load_weights__unknown_name(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"")
    unchanged(
        small(), tmp_path / "weights.bin", "Unknown kind of weight file: .*weights.bin"
    )
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        keras_tnt.load_weights(small(), tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        keras_tnt.save_upstream_weights(small(), tmp_path / "weights.pth")
    images = keras.Input((64, 64, 3))
    outer = keras.Model(images, small(name="inside")(images))
    with pytest.raises(ValueError, match=r"model.get_layer\(NAME\)"):
        keras_tnt.load_weights(outer, tmp_path / "weights.safetensors")
    keras_tnt.save_upstream_weights(
        outer.get_layer("inside"), tmp_path / "a.safetensors"
    )


def test_save_weights__failed_write(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        keras_tnt.save_upstream_weights(small(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]
    assert path.read_bytes() == b"old"


def test_load_weights__pytorch_missing(tmp_path, monkeypatch):
    (tmp_path / "tnt.pth.tar").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install torch.*safetensors.torch"):
        keras_tnt.load_weights(small(), tmp_path / "tnt.pth.tar")


@pytest.mark.processes
def test_load_weights__imagenet_from_hub(tmp_path):
    """A user's `TNTSmall()` against a hub on loopback, then offline from the cache."""
    source = tmp_path / "source.safetensors"
    save_file(reference.published_tensors("timm/tnt_s_patch16_224.in1k"), source)
    script = (
        "import keras_tnt, numpy\n"
        "model = keras_tnt.TNTSmall(classes=5, input_shape=(32, 48, 3), name='mine')\n"
        "print(model.get_layer('norm').gamma.numpy().sum(dtype='float64'))\n"
        "assert model.predict(numpy.ones((1, 32, 48, 3)), verbose=0).shape == (1, 5)\n"
    )
    environment = hub_environment(tmp_path / "cache")

    def run(**more):
        return subprocess.run(
            [sys.executable, "-c", script],
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=300,
        )

    with HubServer() as hub:
        hub.publish("timm/tnt_s_patch16_224.in1k", source.read_bytes())
        first = run(HF_ENDPOINT=hub.url)
    offline = run(HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert (first.returncode, offline.returncode) == (0, 0), first.stderr[-2000:]
    assert len(hub.downloads()) == 1
    expected = load_file(source)["norm.weight"].sum(dtype="float64")
    for process in (first, offline):
        np.testing.assert_allclose(float(process.stdout), expected, rtol=1e-6)
        assert "keeps its values: the weights come with 1000 classes" in process.stderr


def test_load_weights__any_order():
    tensors = reference.tensors(CASE, "weight.")
    model = small()
    assign_upstream(model, dict(reversed(tensors.items())))
    for name, value in to_upstream(model).items():
        np.testing.assert_array_equal(value, tensors[name])
