"""Batches: what is in them, and that restarts and workers change nothing."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.data import (
    FLIP_AUGMENTATION,
    IMAGENET_AUGMENTATION,
    Augmentation,
    ImageSource,
    image_dataset,
    load_dataset,
)
from keras_tnt.data.error_handling import readable_errors
from keras_tnt.data.source import lookup
from tests.helpers.checks import two_replicas
from tests.helpers.datasets import encoded, write_directory
from tests.helpers.small import small

SIZE = {"image_size": (16, 20), "channels": 3}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """26 images of three classes."""
    return write_directory(
        tmp_path_factory.mktemp("data") / "photos", {"ant": 12, "bee": 9, "cat": 5}
    )


def arrays(dataset):
    return [tuple(map(np.asarray, element)) for element in dataset]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for values, others in zip(found, expected, strict=True):
        for value, other in zip(values, others, strict=True):
            np.testing.assert_array_equal(value, other)


def numbered(size, classes=5, label=None):
    """A source whose images are of one gray value, their number, in one class each.

    With mirroring only, images tell which image is where.
    """
    contents = [encoded(np.full((6, 6, 1), n, "uint8"), "PNG") for n in range(size)]
    labels = [n % classes for n in range(size)]
    if label is not None:
        labels[-1] = label
    names = tuple("abcdefgh"[:classes])
    describe = lambda index: tf.strings.join(["number ", tf.strings.as_string(index)])  # noqa: E731
    return ImageSource("numbers", names, size, lookup(contents, labels), describe)


def numbers_of(source, batch_size, **arguments):
    """The numbers of the images of every batch, an array (steps, batch_size)."""
    dataset = image_dataset(
        source, batch_size=batch_size, image_size=6, channels=1, crop_fraction=1.0,
        **arguments,
    )  # fmt: skip
    images = np.stack([element[0] for element in arrays(dataset)])
    assert (images == images[:, :, :1, :1]).all()
    return images[:, :, 0, 0, 0].astype(int)


@pytest.mark.parametrize(
    "augmentation", [None, FLIP_AUGMENTATION, IMAGENET_AUGMENTATION]
)
def test_image_dataset__static_element_spec(directory, augmentation):
    dataset = image_dataset(
        directory,
        batch_size=12,
        augmentation=augmentation,
        replicas=2,
        epochs=2,
        **SIZE,
    )
    spec = [tf.TensorSpec((6, 16, 20, 3)), tf.TensorSpec((6, 3))]
    spec += [tf.TensorSpec((6,))] if augmentation is None else []
    assert dataset.element_spec == tuple(spec)
    steps = 3 if augmentation is None else 2  # 26 images
    found = arrays(dataset)
    assert len(dataset) == len(found) == 2 * 2 * steps
    for images, labels, *_ in found:
        assert images.min() >= 0
        assert images.max() <= 255
        np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("epochs", [1, 3])
def test_image_dataset__epoch_has_every_image_once(epochs):
    order = numbers_of(numbered(24), 6, augmentation=FLIP_AUGMENTATION, epochs=epochs)
    passes = order.reshape(epochs, 24)
    for numbers in passes:
        np.testing.assert_array_equal(np.sort(numbers), np.arange(24))
    assert len({numbers.tobytes() for numbers in passes}) == epochs


def test_image_dataset__remainder_dropped():
    order = numbers_of(numbered(23), 5, augmentation=FLIP_AUGMENTATION, epochs=4)
    assert order.shape == (16, 5)
    for numbers in order.reshape(4, 20):
        assert len(set(numbers)) == 20
    assert len(set(order.flat)) == 23


def test_image_dataset__length_with_repeats():
    augmentation = Augmentation(repeats=3, flip=0.5)
    order = numbers_of(numbered(48), 8, augmentation=augmentation, epochs=2)
    assert order.shape == (12, 8)
    chosen = []
    for numbers in order.reshape(2, 48):
        values, counts = np.unique(numbers, return_counts=True)
        assert (counts == 3).all()
        assert len(values) == 16
        chosen.append(values)
    assert not np.array_equal(*chosen)


def test_image_dataset__labels_belong_to_images():
    source = numbered(20)
    dataset = image_dataset(
        source, batch_size=5, image_size=6, channels=1, crop_fraction=1.0,
        augmentation=FLIP_AUGMENTATION, label_smoothing=0.1,
    )  # fmt: skip
    for images, labels in arrays(dataset):
        expected = np.full((5, 5), 0.02)
        expected[np.arange(5), images[:, 0, 0, 0].astype(int) % 5] = 0.92
        np.testing.assert_allclose(labels, expected, atol=1e-6)


def test_image_dataset__repeats_augmented_apart(directory):
    augmentation = dataclasses.replace(IMAGENET_AUGMENTATION, mixup=0.0, cutmix=0.0)
    dataset = image_dataset(directory, batch_size=24, augmentation=augmentation, **SIZE)
    ((images, _),) = arrays(dataset)
    assert len({image.tobytes() for image in images}) == 24


def labelled(size):
    """A source of black images, each of its own class: labels tell who is mixed."""
    contents = [encoded(np.zeros((6, 6, 1), "uint8"), "PNG")] * size
    names = tuple(map(str, range(size)))
    fetch = lookup(contents, list(range(size)))
    return ImageSource("labels", names, size, fetch, tf.strings.as_string)


def mixed_labels(source, batch_size, first_step=0, **settings):
    """The labels of every step, (steps, batch_size, classes)."""
    augmentation = Augmentation(mixup=0.8, **settings)
    dataset = image_dataset(
        source, batch_size=batch_size, image_size=6, channels=1, crop_fraction=1.0,
        augmentation=augmentation, first_step=first_step, epochs=2,
    )  # fmt: skip
    return np.stack([labels for _, labels in arrays(dataset)])


def test_image_dataset__mixes_each_group_with_itself_reversed():
    plain = mixed_labels(labelled(24), 12, mix_group_size=4, mix_probability=0.0)
    order = plain.argmax(axis=-1)  # as if all were one group
    found = mixed_labels(labelled(24), 12, mix_group_size=4)
    assert found.shape == (4, 12, 24)
    shares = set()
    for step, labels in enumerate(found):
        for g in range(3):
            members = order[step, g::3]  # as officially, dealt in turn
            share = labels[4 * g, members[0]]
            shares.add(float(share))
            expected = (
                share * np.eye(24)[members] + (1 - share) * np.eye(24)[members[::-1]]
            )
            group = labels[4 * g : 4 * g + 4]
            np.testing.assert_allclose(group, expected, atol=1e-6)
    assert len(shares) == 12  # a draw for each group


def test_image_dataset__mixing_ends_after_an_epoch():
    found = mixed_labels(labelled(24), 12, mix_off_epoch=1)
    once = (found == 1).any(axis=-1)
    np.testing.assert_array_equal(once.all(axis=1), [False, False, True, True])
    np.testing.assert_array_equal(found[:2], mixed_labels(labelled(24), 12)[:2])
    resumed = mixed_labels(labelled(24), 12, mix_off_epoch=1, first_step=1)
    np.testing.assert_array_equal(resumed, found[1:])


def test_image_dataset__erases_the_mixed_image():
    """What is erased in an image does not show in its partner."""
    source = numbered(16)
    augmentation = Augmentation(mixup=0.8, random_erasing=0.5)
    arguments = {"batch_size": 8, "image_size": 6, "channels": 1, "crop_fraction": 1.0}
    found, plain = (
        arrays(image_dataset(source, augmentation=each, **arguments))
        for each in (
            augmentation,
            dataclasses.replace(augmentation, random_erasing=0.0),
        )
    )
    erased = 0
    for (images, labels), (mixed, others) in zip(found, plain, strict=True):
        np.testing.assert_array_equal(labels, others)
        changed = images != mixed
        erased += changed.any(axis=(1, 2, 3)).sum()
        assert (changed & ~changed[::-1]).any()
        np.testing.assert_array_equal(mixed, mixed.round())
    assert 2 < erased < 14


LIGHT = dataclasses.replace(IMAGENET_AUGMENTATION, rand_augment=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("augmentation", "splits"),
    [
        (IMAGENET_AUGMENTATION, [(2, 2)]),
        (LIGHT, [(1, 4), (4, 1)]),
        (dataclasses.replace(LIGHT, mix_group_size=2, mix_mode="pair"), [(1, 4)]),
        (None, [(1, 2), (2, 2)]),
    ],
)
def test_image_dataset__independent_of_restarts_and_shards(
    directory, augmentation, splits
):
    """Bit for bit, as everything is a function of the seed and the step."""

    def build(**arguments):
        dataset = image_dataset(
            directory, batch_size=8, augmentation=augmentation, epochs=2, seed=5,
            label_smoothing=0.1, **SIZE, **arguments,
        )  # fmt: skip
        return arrays(dataset)

    whole = build()
    steps = 2 * (3 if augmentation else 4)
    assert len(whole) == steps
    found = build(first_step=steps - 2, parallel_calls=1, prefetch=1, cache=True)
    assert_same(found, whole[-2:])
    for workers, replicas in splits:
        parts = [
            build(worker=worker, workers=workers, replicas=replicas, first_step=1)
            for worker in range(workers)
        ]
        for step in range(1, steps):
            at = slice((step - 1) * replicas, step * replicas)
            batches = list(itertools.chain(*[part[at] for part in parts]))
            joined = tuple(map(np.concatenate, zip(*batches, strict=True)))
            assert_same([joined], [whole[step]])


def test_image_dataset__resume_after_last_step():
    dataset = image_dataset(numbered(8), batch_size=4, image_size=6, first_step=2)
    assert len(dataset) == len(arrays(dataset)) == 0


def test_image_dataset__seeds_and_epochs_differ(directory):
    def images(**arguments):
        found = arrays(
            image_dataset(
                directory,
                batch_size=26,
                augmentation=FLIP_AUGMENTATION,
                **SIZE,
                **arguments,
            )
        )
        return [values[0].tobytes() for values in found]

    assert len({*images(epochs=3), *images(seed=1), *images(seed=-1)}) == 5


def test_image_dataset__strategy():
    """Each replica of a step gets its part of the global batch, in order."""
    source, strategy = numbered(24), two_replicas()

    def build(context):
        return image_dataset(
            source, batch_size=8, image_size=6, channels=1, crop_fraction=1.0,
            augmentation=FLIP_AUGMENTATION,
            worker=context.input_pipeline_id, workers=context.num_input_pipelines,
            replicas=context.num_replicas_in_sync // context.num_input_pipelines,
        )  # fmt: skip

    distributed = strategy.distribute_datasets_from_function(build)
    expected = numbers_of(source, 8, augmentation=FLIP_AUGMENTATION)
    for (images, _), numbers in zip(distributed, expected, strict=True):
        parts = strategy.experimental_local_results(images)
        assert [part.shape[0] for part in parts] == [4, 4]
        found = np.concatenate([part[:, 0, 0, 0] for part in parts])
        np.testing.assert_array_equal(found, numbers)


@pytest.mark.slow
def test_image_dataset__fit_and_evaluate(directory):
    model = small(input_shape=(32, 48, 3), classes=3)
    model.compile("adamw", "categorical_crossentropy", weighted_metrics=["accuracy"])
    size = {"image_size": (32, 48), "batch_size": 8}
    train = image_dataset(directory, augmentation=IMAGENET_AUGMENTATION, **size)
    history = model.fit(train, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    found = model.evaluate(
        image_dataset(directory, **size), verbose=0, return_dict=True
    )
    ((images, labels, _),) = arrays(
        image_dataset(directory, image_size=(32, 48), batch_size=26)
    )
    right = model.predict(images, verbose=0).argmax(1) == labels.argmax(1)
    np.testing.assert_allclose(found["accuracy"], right.mean(), atol=1e-6)


@pytest.mark.parametrize(("workers", "replicas"), [(1, 1), (2, 1), (2, 4)])
def test_image_dataset__evaluation_of_every_image_once(workers, replicas):
    source = numbered(21)
    found, weights = [], []
    for worker in range(workers):
        dataset = image_dataset(
            source, batch_size=16, image_size=6, channels=1, crop_fraction=1.0,
            worker=worker, workers=workers, replicas=replicas,
        )  # fmt: skip
        batches = arrays(dataset)
        assert len(batches) == 2 * replicas  # as many on each worker
        for images, labels, weight in batches:
            assert len(images) == 16 // workers // replicas
            assert set(weight) <= {0.0, 1.0}
            numbers = images[weight == 1, 0, 0, 0]
            np.testing.assert_array_equal(labels[weight == 1].argmax(1), numbers % 5)
            assert (images[weight == 0] == 0).all()
            found += numbers.tolist()
            weights += weight.tolist()
    assert sorted(found) == list(range(21))
    assert sum(weights) == 21


def test_image_dataset__evaluation_of_fewer_images_than_batch():
    numbers = numbers_of(numbered(3), 8)
    np.testing.assert_array_equal(numbers, [[0, 1, 2, 0, 0, 0, 0, 0]])


@pytest.fixture
def broken_directory(tmp_path):
    """Images of which some are broken, the last among them."""
    directory = write_directory(tmp_path / "photos", {"ant": 5, "bee": 5})
    (directory / "ant" / "001.jpeg").write_bytes(b"")
    (directory / "ant" / "002.jpeg").write_bytes(b"no image at all")
    last = directory / "bee" / "004.jpeg"
    last.write_bytes(last.read_bytes()[:300])
    return directory


@pytest.mark.parametrize(
    "augmentation", [None, FLIP_AUGMENTATION, IMAGENET_AUGMENTATION]
)
def test_image_dataset__corrupt_image_named(broken_directory, augmentation):
    dataset = image_dataset(
        broken_directory, batch_size=4, augmentation=augmentation, epochs=3, **SIZE
    )
    message = r"(ant/00[12]|bee/004)\.jpeg\] \[cannot be read or decoded"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        arrays(dataset)


def test_image_dataset__corrupt_last_image_named(tmp_path):
    directory = write_directory(tmp_path / "photos", {"ant": 4})
    (directory / "ant" / "003.jpeg").write_bytes(b"no image")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"ant/003\.jpeg"):
        arrays(image_dataset(directory, batch_size=4, **SIZE))


def test_image_dataset__evaluation_skips_corrupt(broken_directory, caplog):
    source = load_dataset(broken_directory)
    dataset = image_dataset(source, batch_size=4, skip_corrupt=True, epochs=2, **SIZE)
    found = arrays(dataset)
    weights = np.concatenate([weight for _, _, weight in found])
    expected = [1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(weights, expected * 2)
    good = arrays(image_dataset(source, batch_size=1, skip_corrupt=True, **SIZE))
    np.testing.assert_array_equal(found[0][0][3], good[3][0][0])
    assert sorted(source.corrupt) == [1, 2, 9]
    assert source.corrupt[9] == str(broken_directory / "bee" / "004.jpeg")
    lines = [record.getMessage() for record in caplog.records]
    assert sorted(lines) == [
        f"Skipped {broken_directory / name}: it cannot be read or decoded: it {reason}."
        for name, reason in (
            ("ant/001.jpeg", "is empty"),
            ("ant/002.jpeg", "starts with b'no image', which is no known format"),
            (
                "bee/004.jpeg",
                "starts like a JPEG but is damaged or of an unsupported kind",
            ),
        )
    ]


def test_image_dataset__skip_corrupt_takes_next(broken_directory):
    def build(directory, skip_corrupt, first_step=0):
        source = load_dataset(directory)
        dataset = image_dataset(
            source, batch_size=5, augmentation=FLIP_AUGMENTATION, epochs=2,
            skip_corrupt=skip_corrupt, first_step=first_step, **SIZE,
        )  # fmt: skip
        return arrays(dataset), source

    found, source = build(broken_directory, skip_corrupt=True)
    assert sorted(source.corrupt) == [1, 2, 9]
    resumed, _ = build(broken_directory, skip_corrupt=True, first_step=2)
    assert_same(resumed, found[2:])
    for name, other in (("ant/001", "ant/003"), ("ant/002", "ant/003"),
                        ("bee/004", "ant/000")):  # fmt: skip
        contents = (broken_directory / f"{other}.jpeg").read_bytes()
        (broken_directory / f"{name}.jpeg").write_bytes(contents)
    mended, source = build(broken_directory, skip_corrupt=False)
    for (images, _), (others, _) in zip(found, mended, strict=True):
        np.testing.assert_array_equal(images, others)
    assert source.corrupt == {}


def test_image_dataset__only_corrupt_images(tmp_path):
    directory = write_directory(tmp_path / "photos", {"ant": 4})
    for path in directory.glob("*/*"):
        path.write_bytes(b"no image")
    dataset = image_dataset(
        directory,
        batch_size=2,
        augmentation=FLIP_AUGMENTATION,
        skip_corrupt=True,
        **SIZE,
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="No image of"):
        arrays(dataset)


def test_image_dataset__wrong_label_named():
    for label in (-1, 5):
        dataset = image_dataset(numbered(9, 5, label), batch_size=3, image_size=6)
        message = rf"number 8\] \[has a label outside 0 to 4.*\[{label}\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            arrays(dataset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 21}, "batch_size=21 is more than the 20 images of 'numbers'"),
        ({"batch_size": 9, "workers": 2}, "Use a multiple of 2"),
        (
            {
                "batch_size": 12,
                "augmentation": dataclasses.replace(
                    IMAGENET_AUGMENTATION, mix_group_size=8
                ),
            },
            "batch_size=12 cannot be divided into groups of mix_group_size=8",
        ),
        ({"batch_size": 4, "worker": 1}, "worker must be from 0 to 0, got 1"),
        ({"batch_size": 4, "classes": 7}, "'numbers' has 5 classes, but 7 were"),
        ({"batch_size": 4, "channels": 4}, "channels must be 1 .* got 4"),
        ({"batch_size": 4, "image_size": 0}, "image_size must be .* got 0"),
        ({"batch_size": 4, "image_size": (8, 8, 3)}, "image_size must be"),
        ({"batch_size": 4, "label_smoothing": 1.5}, "label_smoothing must be .* 1.5"),
        ({"batch_size": 4, "first_step": -1}, "first_step must be .* got -1"),
        ({"batch_size": 4, "epochs": 0}, "epochs must be .* got 0"),
        ({"batch_size": 4, "parallel_calls": 0}, "parallel_calls must be .*1.* got 0"),
        ({"batch_size": 4, "parallel_calls": -2}, "parallel_calls must be .* got -2"),
        ({"batch_size": 4, "prefetch": -2}, "prefetch must be at least 0.* got -2"),
    ],
)
def test_image_dataset__invalid_arguments(arguments, message):
    arguments = {"image_size": 8, "augmentation": IMAGENET_AUGMENTATION} | arguments
    with pytest.raises(ValueError, match=message):
        image_dataset(numbered(20), **arguments)


@pytest.mark.parametrize("prefetch", [0, None])
def test_image_dataset__prefetch(prefetch):
    """0 is no prefetching; only without a number does TensorFlow choose."""
    dataset = image_dataset(numbered(8), batch_size=2, image_size=6, prefetch=prefetch)
    assert len(list(dataset)) == 4
    expected = tf.data.AUTOTUNE if prefetch is None else prefetch
    assert dataset._input_dataset._buffer_size.numpy() == expected


def failing(source, error, bad, times=10**9):
    """The source with a fault of one image, for a number of times."""
    left = [times]

    def read(index):
        if index == bad and left[0]:
            left[0] -= 1
            raise error(None, None, "no route to host")
        return index

    def fetch(index):
        index = tf.numpy_function(read, [index], tf.int64)
        return source.fetch(tf.ensure_shape(index, ()))

    return dataclasses.replace(source, fetch=fetch, corrupt={})


AUGMENTATIONS = [None, pytest.param(FLIP_AUGMENTATION, marks=pytest.mark.slow)]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize(
    ("error", "name"),
    [
        (tf.errors.UnavailableError, "Unavailable"),
        (tf.errors.DeadlineExceededError, "DeadlineExceeded"),
    ],
)
def test_image_dataset__network_error_not_skipped(
    error, name, skip_corrupt, augmentation
):
    source = failing(numbered(8), error, bad=5)
    dataset = image_dataset(
        source,
        batch_size=4,
        image_size=6,
        augmentation=augmentation,
        skip_corrupt=skip_corrupt,
    )
    message = rf"number 5.*cannot be read: {name}: no route to host\."
    with pytest.raises(ValueError, match=message), readable_errors():
        arrays(dataset)
    assert source.corrupt == {}


@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_image_dataset__passing_fault_not_skipped(skip_corrupt):
    source = failing(numbered(8), tf.errors.UnavailableError, bad=5, times=1)
    dataset = image_dataset(
        source, batch_size=4, image_size=6, skip_corrupt=skip_corrupt
    )
    with pytest.raises(ValueError, match="failed at first"), readable_errors():
        arrays(dataset)
    assert source.corrupt == {}


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_image_dataset__missing_file_keeps_reason(augmentation, tmp_path, caplog):
    directory = write_directory(tmp_path / "photos", {"ant": 4})
    source = load_dataset(directory)
    gone = directory / "ant" / "002.jpeg"
    gone.unlink()
    arguments = {"batch_size": 4, "augmentation": augmentation, **SIZE}
    with (
        pytest.raises(ValueError, match=rf"{gone} cannot be read or .*: NotFound: "),
        readable_errors(),
    ):
        arrays(image_dataset(source, **arguments))
    arrays(image_dataset(source, skip_corrupt=True, **arguments))
    (line,) = (record.getMessage() for record in caplog.records)
    assert re.match(rf"Skipped {gone}: .*NotFound: .*No such file", line)


def test_readable_errors__whole_name():
    """Also one that starts or ends like Python's bytes."""
    source = numbered(4)
    source = dataclasses.replace(
        source,
        fetch=lookup([b"no image"] * 4, [0] * 4),
        describe=lambda index: tf.gather(["birds/b", "'b'", "b", "x"], index),
    )
    dataset = image_dataset(source, batch_size=1, image_size=6)
    with pytest.raises(ValueError, match=r"^birds/b cannot be read"), readable_errors():
        arrays(dataset)
