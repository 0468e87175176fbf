"""What the portable layer norms of a SavedModel cost on CPUs.

Compares two SavedModels of TNT-S in turn: with the portable layer norm, as
`keras_tnt.export_saved_model` writes it, and with the operation of oneDNN that the live
model uses on CPUs. Set TF_ENABLE_ONEDNN_OPTS to 0 or 1 for TensorFlow without or with
oneDNN's operations; its default depends on the processor.

    TF_ENABLE_ONEDNN_OPTS=1 python benchmarks/saved_model_norms.py
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf

import keras_tnt
from keras_tnt.cli.benchmark import describe_machine
from keras_tnt.layers.layer_norm import decomposed_layer_norm

RESULTS = Path(__file__).with_name("results") / "saved_model_norms.json"
SPEC = tf.TensorSpec((None, 224, 224, 3), name="images")


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = keras_tnt.TNTSmall(weights=None)
    with tempfile.TemporaryDirectory() as directory:
        forms = {
            "portable": saved(model, f"{directory}/portable", decomposed_layer_norm()),
            "onednn": saved(model, f"{directory}/onednn", contextlib.nullcontext()),
        }
    record = {
        "machine": describe_machine(),
        "pairs": options.pairs,
        "batches": [compare(forms, n, options.pairs) for n in options.batch_sizes],
    }
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    name = f"TF_ENABLE_ONEDNN_OPTS={os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'default')}"
    known[name] = record
    RESULTS.write_text(json.dumps(known, indent=2) + "\n")
    print(name, json.dumps(record["batches"], indent=2))


def saved(model, path, form):
    """Save a model whose layer norms have a form; return its reloaded function."""
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    serve = tf.function(
        lambda images: {"probabilities": model(images, training=False)},
        input_signature=[SPEC],
        autograph=False,
    )
    with form:
        tf.saved_model.save(module, path, signatures={"serve": serve})
    return tf.saved_model.load(path).signatures["serve"]


def compare(forms, batch_size, pairs):
    """Run the forms in turn and return milliseconds and their median ratio."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (batch_size, *SPEC.shape[1:])), tf.float32)
    seconds = {name: [] for name in forms}
    for number in range(pairs + 1):
        for name, serve in forms.items():
            started = time.process_time()
            serve(images=images)["probabilities"].numpy()
            if number:  # the first run optimizes the graph
                seconds[name].append(time.process_time() - started)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    return {
        "batch_size": batch_size,
        "portable_over_onednn": statistics.median(ratios),
        "quartiles": statistics.quantiles(ratios, n=4),
        "milliseconds": {
            name: 1000 * statistics.median(values) for name, values in seconds.items()
        },
    }


if __name__ == "__main__":
    main()
