"""Send mutated images to an exported model, one valid image in each batch.

    python benchmarks/serving_fuzz.py --cases 20000

A case is an image of `tests.helpers.encoded`, of any format and kind, with bytes
overwritten, inserted, repeated or removed. Corrupt images must be marked. Decoded
images must have a complete result. The result of the valid image must not change. The
model is tiny, because this tests decoding. If TensorFlow crashes, the batch is in the
file that is printed at the start.
"""

import argparse
import collections
import json
import os
import pickle
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import keras_tnt
from tests.helpers.encoded import AS_PILLOW

BATCH = 8  # one image is valid
GOOD = AS_PILLOW["png"]


def exported(directory):
    """Export a small, fast classifier and return it with its signature."""
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 48, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(7, "softmax")(features))
    path = keras_tnt.export_saved_model(model, directory / "tiny")
    loaded = tf.saved_model.load(path)
    return loaded, loaded.signatures["serving_default"]


# Half of the positions are in the header.
places = st.one_of(st.floats(0, 1), st.integers(0, 64))
values = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"\0", b"\xff", b"\x80", b"\x7f", b"\0" * 4, b"\xff" * 4]),
)
changes = st.tuples(
    st.sampled_from(["overwrite"] * 5 + ["insert", "remove", "repeat", "cut"]),
    places,
    values,
)
cases = st.tuples(
    st.sampled_from(sorted(AS_PILLOW)), st.lists(changes, min_size=1, max_size=3)
)


def mutate(case):
    """Apply the changes of a case in order."""
    kind, changes = case
    contents = AS_PILLOW[kind]
    for change, place, value in changes:
        at = place if isinstance(place, int) else round(place * len(contents))
        before, behind = contents[:at], contents[at:]
        contents = {
            "overwrite": before + value + behind[len(value) :],
            "insert": before + value + behind,
            "remove": before + behind[len(value) :],
            "repeat": before + behind[: 16 * len(value)] + behind,
            "cut": before,
        }[change]
    return with_checksums(contents) if kind.startswith("png") else contents


def with_checksums(png):
    """Correct the checksums of a PNG, so that decoders read beyond them."""
    start, parts = 8, [png[:8]]
    while start + 12 <= len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        chunk = png[start + 4 : start + 8 + length]
        parts += [png[start : start + 4], chunk, struct.pack(">I", zlib.crc32(chunk))]
        start += 12 + length
    return b"".join([*parts, png[start:]])


def check(outputs, expected, good):
    """Check that every row is complete or marked, and the valid one unchanged."""
    for row, ok in enumerate(outputs["ok"]):
        classes, ids, scores = (
            outputs[name][row] for name in ("classes", "class_ids", "scores")
        )
        if ok:
            assert [int(name) for name in classes] == list(ids)
            assert np.all((scores >= 0) & (scores <= 1))
        else:
            assert set(classes) == {b""}
            assert set(ids) == {-1}
            assert not scores.any()
    for name, value in expected.items():
        np.testing.assert_array_equal(outputs[name][good], value[good])


def run(number, serve, current):
    """Run batches with this number of cases and return counts by kind."""
    counts = collections.defaultdict(collections.Counter)

    def classify(images):
        outputs = serve(image_bytes=tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}

    # By row: the last bits of a product depend on the row of a batch.
    expected = classify([GOOD] * BATCH)
    assert expected["ok"].all()

    @seed(0)
    @settings(
        max_examples=-(-number // (BATCH - 1)),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(cases, min_size=BATCH - 1, max_size=BATCH - 1), st.integers(0, 7))
    def one_batch(batch, good):
        images = [mutate(case) for case in batch]
        images.insert(good, GOOD)
        current.write_bytes(pickle.dumps(images))
        outputs = classify(images)
        check(outputs, expected, good)
        for (kind, _), ok in zip(batch, np.delete(outputs["ok"], good), strict=True):
            counts[kind]["read" if ok else "refused"] += 1

    one_batch()
    return {kind: dict(counts[kind]) for kind in sorted(counts)}


def main():
    """Run the cases and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/serving_fuzz.json"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        _, serve = exported(Path(directory))
        current = Path(tempfile.gettempdir()) / f"serving_fuzz_{os.getpid()}.pickle"
        print(f"The current batch is in {current}.", flush=True)
        start = time.time()
        counts = run(arguments.cases, serve, current)
        current.unlink()
    total = collections.Counter()
    for count in counts.values():
        total.update(count)
    result = {
        "cases": sum(total.values()),
        **total,
        "seconds": round(time.time() - start),
        "tensorflow": tf.__version__,
        "kinds": counts,
    }
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{result['cases']} cases: {dict(total)}, in {result['seconds']} s")


if __name__ == "__main__":
    main()
