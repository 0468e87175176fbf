"""Feeds mutated images to an exported model, each batch with a good one among them.

    python benchmarks/serving_fuzz.py --cases 20000

A case is an image of `tests.helpers.encoded`, every format and kind, with bytes overwritten,
inserted, repeated or taken away. Bad ones must be marked as such, whatever can be
decoded must get a whole answer, and the good neighbour the answer that it always gets.
The model is tiny: this is about decoding. Should TensorFlow crash, the batch is in the
file that is named at the start.
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

BATCH = 8  # one of them is good
GOOD = AS_PILLOW["png"]


def exported(directory):
    """A classifier that is exported and run quickly, as its signature."""
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 48, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(7, "softmax")(features))
    path = keras_tnt.export_saved_model(model, directory / "tiny")
    loaded = tf.saved_model.load(path)
    return loaded, loaded.signatures["serving_default"]


# Where: half of the time among the first bytes, which say what follows.
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
    """Applies the changes of a case, one after the other."""
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
    """A PNG with checksums that are right again, lest all fail there."""
    start, parts = 8, [png[:8]]
    while start + 12 <= len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        chunk = png[start + 4 : start + 8 + length]
        parts += [png[start : start + 4], chunk, struct.pack(">I", zlib.crc32(chunk))]
        start += 12 + length
    return b"".join([*parts, png[start:]])


def check(outputs, expected, good):
    """Every row is whole or marked, and the good one is as expected."""
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
            assert np.isnan(scores).all()
    for name, value in expected.items():
        np.testing.assert_array_equal(outputs[name][good], value)


def run(number, serve, current):
    """Runs batches until there were that many cases; returns counts by kind."""
    counts = collections.defaultdict(collections.Counter)

    def answer(pictures):
        outputs = serve(image_bytes=tf.constant(pictures))
        return {name: value.numpy() for name, value in outputs.items()}

    expected = {name: value[0] for name, value in answer([GOOD] * BATCH).items()}
    assert expected["ok"]

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
        pictures = [mutate(case) for case in batch]
        pictures.insert(good, GOOD)
        current.write_bytes(pickle.dumps(pictures))
        outputs = answer(pictures)
        check(outputs, expected, good)
        for (kind, _), ok in zip(batch, np.delete(outputs["ok"], good), strict=True):
            counts[kind]["read" if ok else "refused"] += 1

    one_batch()
    return {kind: dict(counts[kind]) for kind in sorted(counts)}


def main():
    """Parses the command line and writes the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/serving_fuzz.json"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        _, serve = exported(Path(directory))
        current = Path(tempfile.gettempdir()) / f"serving_fuzz_{os.getpid()}.pickle"
        print(f"The batch that is being run is in {current}.", flush=True)
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
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['cases']} cases: {dict(total)}, in {result['seconds']} s")


if __name__ == "__main__":
    main()
