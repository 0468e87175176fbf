"""The study on a GPU, rehearsed on the CPU; needs JAX (`make test-jax`)."""

import json
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

pytest.importorskip("jax")
if keras.backend.backend() != "jax":
    pytest.skip("the study on a GPU needs the JAX backend", allow_module_level=True)

import jax

from benchmarks import gpu_study
from benchmarks.gpu_study import Training, plan
from benchmarks.gpu_study_results import comparisons
from benchmarks.numpy_initializers import numpy_initializers


def data(rng, number):
    images = rng.integers(0, 256, (number, 28, 28, 1), "uint8")
    return images, rng.integers(0, 10, number, "uint8")


def small_training(rng, monkeypatch, seeds=(0, 3)):
    small = plan.VIT | {"depth": 2, "outer_dim": 12}
    monkeypatch.setitem(plan.VARIANTS, "tnt", small)
    monkeypatch.setattr(plan, "BATCH", 16)
    monkeypatch.setattr(gpu_study, "TEST_BATCH", 10)
    runs = [plan.Run("main", "tnt", 1e-2, seed, 64, 24) for seed in seeds]
    return Training(runs, data(rng, 64), data(rng, 20))


def test_steps__equal_steps_of_keras(rng, monkeypatch):
    """Each seed trains as Keras trains it, masks of stochastic depth included."""
    training = small_training(rng, monkeypatch)
    images, labels = np.array(training.images), np.array(training.labels)
    order, flips = np.array(training.order), np.array(training.flips)
    batches = training.order[:, :3], training.flips[:, :3]
    arguments = training.state, training.images, training.labels, *batches
    state, losses = jax.jit(training.steps)(*arguments)
    model = gpu_study.build("tnt", 3)
    model.compile(gpu_study.AdamW(training.schedule(), 0.05), training.loss)
    for step in range(3):
        chosen = images[order[1, step]]
        flipped = flips[1, step][:, None, None, None]
        chosen = np.where(flipped, chosen[:, :, ::-1], chosen)
        answers = np.eye(10, dtype="float32")[labels[order[1, step]]]
        model.reset_metrics()
        loss = model.train_on_batch(chosen, answers)
        np.testing.assert_allclose(losses[1, step], loss, rtol=1e-5)
    for found, expected in zip(state[0], model.trainable_variables, strict=True):
        np.testing.assert_allclose(found[1], expected, atol=1e-5)
    assert not np.allclose(state[0][0][0], state[0][0][1])


def test_training__without_time_says_so(rng, monkeypatch):
    training = small_training(rng, monkeypatch, seeds=(0,))

    class Compiled:
        def result(self, seconds):
            return lambda *state: pytest.fail("there was time")

    training.programs = [Compiled(), Compiled()]
    record = training.train(deadline=0)
    assert record["error"] == "stopped: no time is left"
    assert (record["accuracy"], record["steps_done"]) == (None, 0)


def test_main__rehearsal(tmp_path, monkeypatch):
    arguments = ["--toy", "--seconds", "100000", "--out", str(tmp_path)]
    # `make test-gpu` rehearses the whole; the programs take half a minute a variant.
    variants = plan.MAIN if find_spec("timm") else plan.MAIN[:1]
    monkeypatch.setattr(
        sys, "argv", ["gpu_study.py", *arguments, "--variants", *variants]
    )
    monkeypatch.setattr(plan, "BATCH", 64)
    gpu_study.main()
    results = json.loads((tmp_path / "gpu_study_toy.json").read_text())
    lines = (tmp_path / "gpu_study_toy.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == results["records"]
    assert [each["variant"] for each in results["records"]] == list(variants)
    for each in results["records"]:
        assert each["error"] is None
        assert each["steps_done"] == each["steps"] == 16
        assert each["accuracy"] == each["accuracy_curves"][-1]
        assert len(each["accuracy"]) == len(each["loss_curves"][0]) == 2
        assert np.mean(each["loss_curves"][-1]) < np.mean(each["loss_curves"][0])
    rates = [each["learning_rate"] for each in results["records"]]
    assert rates == [8e-3, 3e-3, 4e-3][: len(variants)]
    assert set(results["comparisons"]) == set(variants[1:])
    for compared in results["comparisons"].values():
        low, high = compared["interval"]
        assert low < compared["mean"] < high
    text = (tmp_path / "gpu_study_toy.md").read_text(encoding="utf-8")
    for variant in variants:
        assert f"| {variant} | 0.00" in text


def test_comparisons__of_the_published_runs():
    """The study's table has the same numbers by SciPy."""
    known = gpu_study.read(gpu_study.RECORDS)
    rates = {"tnt": 8e-3, "vit_equal_flops": 3e-3, "vit_equal_parameters": 4e-3}
    records = []
    for variant, rate in rates.items():
        runs = [plan.Run("main", variant, rate, seed) for seed in range(5)]
        found = {plan.Run.of(record): record["accuracy"] for record in known}
        records.append({"variant": variant, "accuracy": [found[run] for run in runs]})
    compared = comparisons(records)
    for variant, mean, interval, p in (
        ("vit_equal_flops", -0.15, [-0.69, 0.39], 0.49),
        ("vit_equal_parameters", -0.05, [-0.72, 0.62], 0.84),
    ):
        assert compared[variant]["mean"] == pytest.approx(mean, abs=0.005)
        assert compared[variant]["interval"] == pytest.approx(interval, abs=0.005)
        assert compared[variant]["p"] == pytest.approx(p, abs=0.005)


def test_numpy_initializers__distribution_and_seed():
    drawn = jax.random.normal
    values = []
    for seed in (0, 1):
        with numpy_initializers(seed):
            values.append(keras.initializers.RandomNormal(stddev=0.02)((200, 300)))
    assert jax.random.normal is drawn
    assert np.std(values[0]) == pytest.approx(0.02, rel=0.02)
    assert not np.allclose(values[0], values[1])
