"""Data sets that leave the shape of their images open."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_tnt
from keras_tnt.layers import PixelEmbedding, PyramidStem

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
LABELS = np.array([0, 2])
OPEN = {
    "sizes": (None, None, None, 3),
    "channels": (None, 32, 32, None),
    "all": (None, None, None, None),
    "rank": None,
}

STEMS = {
    "tnt": lambda: PixelEmbedding(4),
    "pyramid_tnt": lambda: PyramidStem(8, 4),
}


def tnt(**options):
    return keras_tnt.TNT(
        48, 12, depth=1, outer_num_heads=3, input_shape=(32, 32, 3), **options
    )


def pyramid_tnt(**options):
    return keras_tnt.PyramidTNT(
        16, 4, (1, 1, 1, 1), 2, 1, input_shape=(32, 32, 3), **options
    )


def generated(shape, images=IMAGES):
    """A data set of one batch, of this static shape."""
    signature = tf.TensorSpec(shape, tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(
        lambda: iter([(images, LABELS)]), output_signature=signature
    )


def decoded():
    """A data set of JPEG images, decoded to an unknown number of channels."""
    files = [
        tf.io.encode_jpeg(tf.cast(image, tf.uint8), quality=100).numpy()
        for image in IMAGES
    ]
    data = tf.data.Dataset.from_tensor_slices((files, LABELS))
    return data.map(lambda file, label: (tf.io.decode_jpeg(file), label)).batch(2)


@pytest.mark.slow
@pytest.mark.parametrize("build", [tnt, pyramid_tnt])
def test_fix_image_shape__fit_on_images_of_open_shape(build):
    """`fit`, `evaluate` and `predict` see what the model computes of these images."""
    model = build(classes=3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    weights = [weight.numpy() for weight in model.weights]
    entropy = keras.losses.SparseCategoricalCrossentropy()
    expected = entropy(LABELS, model(IMAGES, training=True))
    model.set_weights(weights)
    data = generated(OPEN["all"]).repeat()
    history = model.fit(data, steps_per_epoch=1, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], [expected], rtol=1e-4)
    assert np.any(model.weights[0].numpy() != weights[0])
    found = model.predict(data, steps=1, verbose=0)
    np.testing.assert_allclose(found, model(IMAGES), atol=1e-5)
    loss = model.evaluate(data, steps=1, verbose=0)
    np.testing.assert_allclose(loss, entropy(LABELS, found), rtol=1e-4)


@pytest.mark.parametrize("kind", STEMS)
@pytest.mark.parametrize("shape", OPEN)
def test_fix_image_shape__any_axis_may_be_open(kind, shape):
    stem = STEMS[kind]()
    expected = keras.tree.flatten(stem(IMAGES))
    function = tf.function(stem, [tf.TensorSpec(OPEN[shape])])
    for found, value in zip(
        keras.tree.flatten(function(IMAGES)), expected, strict=True
    ):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-4)
    outputs = keras.tree.flatten(function.get_concrete_function().structured_outputs)
    for output, value in zip(outputs, expected, strict=True):
        assert output.shape.as_list() == [None, *value.shape[1:]]


def test_fix_image_shape__decoded_images_of_unknown_channels():
    model = tnt(classes=3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    (batch, _) = next(iter(decoded()))
    found = model.predict(decoded(), verbose=0)
    np.testing.assert_allclose(found, model(batch), atol=1e-5)


@pytest.mark.parametrize("kind", STEMS)
@pytest.mark.parametrize("size", [(48, 32, 3), (64, 16, 3), (32, 32, 1)])
def test_fix_image_shape__other_images_are_refused(kind, size):
    stem = STEMS[kind]()
    stem.build((None, 32, 32, 3))
    images = np.zeros((2, *size), "float32")
    function = tf.function(stem, [tf.TensorSpec(OPEN["all"])])
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        function(images)
    shape = ",".join(map(str, images.shape))
    message = str(caught.value)
    assert f"[{shape}] is not compatible with expected shape [?,32,32,3]" in message
    assert f"{stem.name}_images" in message
