"""Models as users build them, spec by hypothesis."""

import dataclasses
import warnings

import keras
import numpy as np
from hypothesis import strategies as st

import keras_tnt

CLASSES = 3
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16")
FORMATS = ("onnx", "litert", "openvino")


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """How a model is built.

    Attributes:
        family: ``"tnt"`` or ``"pyramid_tnt"``.
        form: the outermost model: ``"functional"``, ``"sequential"`` or
            ``"subclassed"``; not used without nesting.
        nesting: 0 for a TNT itself, 1 for a TNT as a layer, 2 for one level more.
        before: what precedes a nested TNT: ``"nothing"``, ``"rescaling"``,
            ``"resizing"`` or ``"open"``, a resizing of images of any size.
        after: what follows a nested TNT: ``"dense"``, with softmax; ``"softmax op"``,
            ``"softmax layer"``, ``"temperature"`` or ``"cast"`` after a Dense layer of
            logits; or ``"logits"``.
        body_policy: the policy of the TNT.
        head_policy: the policy of the layers after it.
        frozen: ``"nothing"``, ``"body"`` or ``"block"``, one block of the TNT.
        lora: whether the Dense layers of the TNT are low-rank adapted.
        quantized: whether the whole model is quantized to int8, if its policies are
            not float16, which Keras refuses.
        file_format: the format exported to beside a SavedModel.
    """

    family: str
    form: str
    nesting: int
    before: str
    after: str
    body_policy: str
    head_policy: str
    frozen: str
    lora: bool
    quantized: bool
    file_format: str


random_models = st.builds(
    ModelSpec,
    family=st.sampled_from(("tnt", "pyramid_tnt")),
    form=st.sampled_from(("functional", "sequential", "subclassed")),
    nesting=st.sampled_from((1, 0, 2)),
    before=st.sampled_from(("nothing", "rescaling", "resizing", "open")),
    after=st.sampled_from(
        ("dense", "softmax op", "softmax layer", "temperature", "cast", "logits")
    ),
    body_policy=st.sampled_from(POLICIES),
    head_policy=st.sampled_from(POLICIES),
    frozen=st.sampled_from(("nothing", "body", "block")),
    lora=st.sampled_from((False, False, False, True)),
    quantized=st.sampled_from((False, False, False, True)),
    file_format=st.sampled_from(FORMATS),
)


@keras.saving.register_keras_serializable("random_models")
class Subclassed(keras.Model):
    """A model whose graph is not known: layers called in a row."""

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def build(self, input_shape):
        """Let Keras build the parts by a call."""
        self.call(keras.Input(batch_shape=input_shape))
        self.built = True

    def call(self, images):
        """Call the parts."""
        for part in self.parts:
            images = part(images)
        return images

    def get_config(self):
        """Serialize the parts."""
        return {"parts": keras.saving.serialize_keras_object(self.parts)}

    @classmethod
    def from_config(cls, config):
        """Build the model from its parts."""
        return cls(keras.saving.deserialize_keras_object(config["parts"]))


def is_quantized(spec):
    """Whether the model is quantized."""
    policies = {spec.body_policy, spec.head_policy}
    return spec.quantized and "mixed_float16" not in policies


def build(spec):
    """Build the model."""
    model = _build_body(spec) if spec.nesting == 0 else _nest(spec)
    if is_quantized(spec):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that stay as they are
            model.quantize("int8")
    return model


def images(spec, batch=2):
    """Return images for the model: float32 pixels, ``(batch, height, width, 3)``."""
    size = _size(spec)
    if spec.nesting and spec.before in ("resizing", "open"):
        size = (size[0] + 8, size[1] + 16)
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (batch, *size, 3)).astype("float32")


def _size(spec):
    return (32, 32) if spec.family == "tnt" else (64, 64)


def _build_body(spec):
    options = {"input_shape": (*_size(spec), 3), "dtype": spec.body_policy}
    if spec.nesting:
        options |= {"include_top": False}
        options |= {"pooling": "token" if spec.family == "tnt" else "avg"}
    else:
        activation = None if spec.after == "logits" else "softmax"
        options |= {"classes": CLASSES, "classifier_activation": activation}
    if spec.family == "tnt":
        body = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, **options)
    else:
        body = keras_tnt.PyramidTNT(16, 4, (1, 1, 1, 1), 2, 1, **options)
    rng = np.random.default_rng(0)
    for weight in body.weights:
        noise = rng.normal(0, 0.05, weight.shape)
        weight.assign(weight + noise.astype("float32"))
    if spec.lora:
        for layer in body._flatten_layers():
            if isinstance(layer, keras.layers.Dense):
                layer.enable_lora(2)
    if spec.frozen == "body":
        body.trainable = False
    elif spec.frozen == "block":
        blocks = (keras_tnt.layers.TNTBlock, keras_tnt.layers.PyramidStage)
        next(each for each in body.layers if isinstance(each, blocks)).trainable = False
    return body


def _nest(spec):
    body = _build_body(spec)
    if spec.nesting == 2:
        inputs = keras.Input(body.input_shape[1:])
        body = keras.Model(inputs, keras.layers.Identity()(body(inputs)))
    shape = images(spec).shape[1:]
    if spec.before == "open":
        shape = (None, None, 3)
    parts = [*_before(spec), body, *_after(spec)]
    if spec.form == "subclassed":
        model = Subclassed(parts)
        model.build((None, *images(spec).shape[1:]))
        return model
    operations = [part for part in parts if not isinstance(part, keras.layers.Layer)]
    if spec.form == "sequential" and not operations:
        return keras.Sequential([keras.Input(shape), *parts])
    tensor = inputs = keras.Input(shape)
    for part in parts:
        tensor = part(tensor)
    return keras.Model(inputs, tensor)


def _before(spec):
    return {
        "nothing": [],
        "rescaling": [keras.layers.Rescaling(0.5, offset=20.0)],
        "resizing": [keras.layers.Resizing(*_size(spec))],
        "open": [keras.layers.Resizing(*_size(spec))],
    }[spec.before]


def _after(spec):
    policy = spec.head_policy
    dense = keras.layers.Dense(CLASSES, dtype=policy)
    return {
        "dense": [keras.layers.Dense(CLASSES, activation="softmax", dtype=policy)],
        "softmax op": [dense, keras.ops.softmax],
        "softmax layer": [dense, keras.layers.Softmax(dtype="float32")],
        "temperature": [
            dense,
            keras.layers.Rescaling(0.5, dtype="float32"),
            keras.layers.Activation("softmax", dtype="float32"),
        ],
        "cast": [
            keras.layers.Dense(CLASSES, activation="softmax", dtype=policy),
            _as_float32,
        ],
        "logits": [dense],
    }[spec.after]


@keras.saving.register_keras_serializable("random_models")
def _as_float32(tensor):
    return keras.ops.cast(tensor, "float32")
