"""Count multiply-adds, bytes, fusions, copies and transposes of TNT-S under XLA.

    python benchmarks/xla_cost.py

Compiles inference and a training step with AdamW for the CPU, for two images of
224x224. Compares them with Keras's own layer norm and optimizer. The counts are exact.
Writes benchmarks/results/xla_cost.json.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).parent
import contextlib

import keras
import tensorflow as tf
from xla_program import of_executable, of_program, training_step

import keras_tnt
from keras_tnt.layers.layer_norm import decomposed_layer_norm
from keras_tnt.training import AdamW
from keras_tnt.utils.files import atomic_write

RESULTS = HERE / "results" / "xla_cost.json"
BATCH = 2


def main():
    """Compile and write the counts."""
    record = {
        "batch": BATCH,
        "versions": {name: version(name) for name in ("keras", "tensorflow")},
    }
    for kind in (inference, training):
        for name, norms, optimizer in (
            ("keras_tnt", contextlib.nullcontext, AdamW),
            ("plain", decomposed_layer_norm, keras.optimizers.AdamW),
        ):
            keras.backend.clear_session()
            with norms():
                function, inputs = kind(optimizer)
                stages = function.experimental_get_compiler_ir(*inputs)
                found = {"multiply_adds": of_program(stages(stage="hlo"))}
                found |= of_executable(stages(stage="optimized_hlo"))
            record[f"{kind.__name__}, {name}"] = found
            print(kind.__name__, name, found, flush=True)
    with atomic_write(RESULTS) as unfinished:
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def inference(_):
    """Return a forward pass and its inputs."""
    model = keras_tnt.TNTSmall(weights=None)
    function = tf.function(lambda x: model(x, training=False), jit_compile=True)
    return function, [tf.zeros((BATCH, 224, 224, 3))]


def training(optimizer):
    """Return a training step and its inputs."""
    _, function = training_step(optimizer(1e-3), jit_compile=True)
    return function, [tf.zeros((BATCH, 224, 224, 3)), tf.zeros((BATCH,), tf.int64)]


if __name__ == "__main__":
    main()
