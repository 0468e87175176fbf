"""Ask the main question of the study of inner attention again, at five times the steps.

    python benchmarks/gpu_study.py [--seconds 300] [--out benchmarks/results]

The study (projects/inner_attention_study) trains for 1,800 steps on a CPU. Here the
TNT and the two ViTs train for 9,000, at the learning rates that the study chose, on
Keras's JAX backend. Five seeds train at once (`vmap`), and the steps between two
evaluations are one program (`lax.scan`). Images, their order and flips are the study's;
initial values and masks of stochastic depth are drawn anew. Products are computed in
float32 at the highest precision.

`--data` is the directory of Fashion-MNIST's four original files (30 MB). Where they are
missing, the 12,000 bundled images are used, which the results say. Each model's record
is written to gpu_study.jsonl when its training ends; gpu_study.json and the table
gpu_study.md follow. `--toy` trains small models for a few steps, on a CPU too.
"""

import argparse
import concurrent.futures
import os
import sys
import time
from pathlib import Path

STARTED = time.monotonic()
os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "projects" / "inner_attention_study")]

import jax
import jax.numpy as jnp
import keras
import numpy as np
import plan
from fashion_mnist import load
from fashion_mnist_files import ORIGINALS
from run import RECORDS, read

import keras_tnt
from benchmarks.bundled_images import bundled
from benchmarks.gpu_report import Results, machine
from benchmarks.gpu_study_results import comparisons, table
from benchmarks.numpy_initializers import numpy_initializers
from keras_tnt.training import AdamW
from keras_tnt.training.schedules import warmup_cosine

TIMES = 5  # the study's steps
SEEDS = 5
EVALUATIONS = 8
WARMUP = 1 / 12  # of the steps
TEST_BATCH = 500


def main():
    """Train the variants that the time allows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--data", type=Path, default=ORIGINALS)
    parser.add_argument("--variants", nargs="+", choices=plan.MAIN, default=plan.MAIN)
    parser.add_argument("--toy", action="store_true", help="two seeds, 16 steps")
    options = parser.parse_args()
    deadline = STARTED + options.seconds - min(5, options.seconds)
    jax.config.update("jax_default_matmul_precision", "highest")
    training, test, source = images(options.data)
    steps, seeds = TIMES * plan.STEPS, range(SEEDS)
    if options.toy:
        steps, seeds = 2 * EVALUATIONS, range(2)
        test = tuple(values[:TEST_BATCH] for values in test)
    results = Results(
        options.out,
        "gpu_study_toy" if options.toy else "gpu_study",
        table,
        toy=options.toy,
        machine=machine(),
        device=jax.devices()[0].device_kind,
        data=source,
        training_images=len(training[0]),
        test_images=len(test[0]),
    )
    rates = plan.best_rates(read(RECORDS), plan.all_steps_runs())
    trainings, pool = [], concurrent.futures.ThreadPoolExecutor()
    for variant in options.variants:
        runs = [
            plan.Run("main", variant, rates[variant], seed, len(training[0]), steps)
            for seed in seeds
        ]
        trainings.append(Training(runs, training, test, options.toy))
        trainings[-1].compile(pool)
    for each in trainings:
        results.add(each.train(deadline))
        results.write(comparisons=comparisons(results.records))


def images(originals):
    """Return images and labels for training and test, and where they are from."""
    if Path(originals).is_dir():
        return *load(originals=Path(originals)), "Fashion-MNIST"
    return bundled("train"), bundled("test"), "bundled part of Fashion-MNIST"


def build(variant, seed, toy=False):
    """Build a variant of the study's main question, as the study's train.py does."""
    options = plan.VARIANTS[variant]
    if toy:
        options = options | {"depth": 1}
    keras.utils.set_random_seed(seed)
    with numpy_initializers(seed):
        return keras_tnt.TNT(
            **options,
            drop_path_rate=0.1,
            classes=10,
            input_shape=(28, 28, 1),
            classifier_activation=None,
            name=variant,
        )


def values(variables):
    """Return the arrays of Keras's variables."""
    return [variable.value for variable in variables]


class Training:
    """The runs of a variant, one for each seed, trained at once.

    Args:
        runs: runs of the study that differ in their seeds only.
        training: images and labels.
        test: images and labels; the number is a multiple of `TEST_BATCH`.
        toy: whether the model has a single block.
    """

    def __init__(self, runs, training, test, toy=False):
        self.run, self.seeds = runs[0], [run.seed for run in runs]
        self.images, self.labels = map(jnp.asarray, training)
        self.test = [
            jnp.asarray(each.reshape(-1, TEST_BATCH, *each.shape[1:])) for each in test
        ]
        orders = [plan.image_order(run, len(training[0])) for run in runs]
        self.order, self.flips = (
            jnp.asarray(np.stack(x)) for x in zip(*orders, strict=True)
        )
        states = []
        for run in runs:
            self.model = build(run.variant, run.seed, toy)
            self.optimizer = AdamW(self.schedule(), weight_decay=0.05)
            self.optimizer.build(self.model.trainable_variables)
            states.append(
                (
                    values(self.model.trainable_variables),
                    values(self.model.non_trainable_variables),
                    values(self.optimizer.variables),
                )
            )
        self.state = jax.tree.map(lambda *each: jnp.stack(each), *states)
        self.loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.1
        )

    def schedule(self):
        """Return the study's schedule, stretched over the steps."""
        rate, steps = self.run.learning_rate, self.run.steps
        return warmup_cosine(rate, rate / 100, round(WARMUP * steps), steps)

    def losses(self, trained, other, images, labels):
        """Return the loss of a batch and the state that is not trained."""
        logits, other = self.model.stateless_call(trained, other, images, training=True)
        return self.loss(jax.nn.one_hot(labels, 10), logits), other

    def step(self, state, images, labels, batch):
        """Train one seed for one step; return the next state and the loss."""
        (trained, other, slots), (indices, flipped) = state, batch
        chosen = images[indices]
        flipped = flipped[:, None, None, None]
        chosen = jnp.where(flipped, chosen[:, :, ::-1], chosen)
        gradient = jax.value_and_grad(self.losses, has_aux=True)
        (loss, other), gradients = gradient(trained, other, chosen, labels[indices])
        trained, slots = self.optimizer.stateless_apply(slots, gradients, trained)
        return (trained, other, slots), loss

    def steps(self, state, images, labels, order, flips):
        """Train all seeds for some steps; return states and losses `(seeds, steps)`."""

        def one_seed(state, order, flips):
            def step(state, batch):
                return self.step(state, images, labels, batch)

            return jax.lax.scan(step, state, (order, flips))

        return jax.vmap(one_seed)(state, order, flips)

    def evaluate(self, state, images, labels):
        """Return the accuracy of each seed on batches of test images."""

        def one_seed(state):
            def correct(batch):
                logits = self.model.stateless_call(
                    *state[:2], batch[0], training=False
                )[0]
                return jnp.mean(jnp.argmax(logits, -1) == batch[1])

            return jnp.mean(jax.lax.map(correct, (images, labels)))

        return jax.vmap(one_seed)(state)

    def chunk(self, index):
        """Return the order and the flips up to the next evaluation."""
        size = self.run.steps // EVALUATIONS
        part = slice(index * size, (index + 1) * size)
        return self.order[:, part], self.flips[:, part]

    def compile(self, pool):
        """Compile both programs beside what follows."""
        arguments = self.state, self.images, self.labels, *self.chunk(0)
        lowered = jax.jit(self.steps, donate_argnums=0).lower(*arguments)
        evaluation = jax.jit(self.evaluate).lower(self.state, *self.test)
        self.programs = [pool.submit(each.compile) for each in (lowered, evaluation)]

    def train(self, deadline):
        """Train and evaluate until the end or the deadline; return the record."""
        record = {
            "variant": self.run.variant,
            "learning_rate": self.run.learning_rate,
            "seeds": self.seeds,
            "steps": self.run.steps,
            "parameters": self.model.count_params(),
            "multiply_adds": keras_tnt.complexity(self.model).multiply_adds,
        }
        curves, losses, chunks, error = [], [], [], None
        try:
            steps, evaluate = (
                each.result(max(0, deadline - time.monotonic()))
                for each in self.programs
            )
            for index in range(EVALUATIONS):
                started = time.monotonic()
                if started + max(chunks, default=0) > deadline:
                    error = "stopped: no time is left"
                    break
                self.state, loss = steps(
                    self.state, self.images, self.labels, *self.chunk(index)
                )
                losses.append(np.mean(loss, axis=1).tolist())
                chunks.append(time.monotonic() - started)
                curves.append(evaluate(self.state, *self.test).tolist())
        except concurrent.futures.TimeoutError:
            error = "stopped: not compiled in time"
        except Exception as failure:
            error = f"{type(failure).__name__}: {str(failure).partition(chr(10))[0]}"
        steps_done = len(chunks) * (self.run.steps // EVALUATIONS)
        images = plan.BATCH * steps_done * len(self.seeds)
        return record | {
            "steps_done": steps_done,
            "accuracy": curves[-1] if len(curves) == EVALUATIONS else None,
            "accuracy_curves": curves,
            "loss_curves": losses,
            "seconds": sum(chunks),
            "images_per_second": images / sum(chunks) if chunks else None,
            "error": error,
        }


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # a program that is still being compiled would keep this process
