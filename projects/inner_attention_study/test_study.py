"""Tests of the study: its code at toy scale, and the committed tables."""

import dataclasses
import itertools
import json
import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
import plan
import pytest
import report
import run as driver
import train

import keras_tnt

DOCUMENT = Path(__file__).with_name("README.md")
RECORDS = driver.read(driver.RECORDS)


def record_of(run, accuracy):
    """A record as `train` makes them."""
    return dataclasses.asdict(run) | {
        "accuracy": accuracy,
        "seconds": 60.0,
        "threads": 1,
        "images_per_second": 1000,
        "parameters": 300_000,
        "multiply_adds": 8_000_000,
        "curves": {"val_accuracy": [0.5, accuracy], "val_loss": [1.0, 0.5]},
    }


def finished(few=1e-3, all_steps=8e-3):
    """Records of the whole plan, in which some rates are the best; TNTs lead."""
    best = {plan.RATE_STEPS: few, plan.STEPS: all_steps}
    rng = np.random.default_rng(0)
    records = []
    while left := plan.missing(records):
        for run in left:
            if run.held_out:
                accuracy = 0.9 if run.learning_rate == best[run.steps] else 0.8
            else:
                lead = 0.02 if run.variant == "tnt" else 0
                accuracy = 0.85 + lead + 0.001 * rng.random()
            records.append(record_of(run, accuracy))
    return records


def test_missing__starts_with_rates_and_ends():
    assert plan.missing([]) == plan.rate_runs()
    records = finished()
    assert plan.missing(records) == []
    few = plan.best_rates(records, plan.rate_runs())
    assert few == dict.fromkeys(plan.TUNED, 1e-3)
    tuned = plan.best_rates(records, plan.all_steps_runs())
    assert tuned == dict.fromkeys(plan.MAIN + plan.LARGE, 8e-3)
    begun = records[: len(plan.rate_runs()) - 1]
    assert plan.missing(begun) == plan.rate_runs()[-1:]
    assert plan.best_rates(begun, plan.rate_runs()).keys() == set(plan.TUNED[:-1])
    left = plan.missing([record for record in records if record["seed"] != 2])
    assert {run.seed for run in left} == {2}


def test_run__equality_ignores_phase():
    run = plan.Run("main", "tnt", 1e-3, seed=0)
    assert run == dataclasses.replace(run, phase="again")
    assert run != dataclasses.replace(run, seed=1)
    same = plan.planned(finished(few=4e-3, all_steps=4e-3))
    assert len(same) == len(set(same)) < len(plan.planned(finished()))
    assert not any(run.phase == "learning rate" for run in same)


def test_planned__tuned_runs_need_all_rates():
    records = finished()
    tuned = plan.tuned_runs(dict.fromkeys(plan.TUNED, 8e-3))
    for run in plan.all_steps_runs():
        without = [r for r in records if plan.Run.of(r) != run]
        known = plan.planned(without)
        assert plan.missing(without) == [run]
        assert not set(known) & set(tuned)


def test_plan__five_or_three_seeds():
    rates = dict.fromkeys(plan.TUNED, 1e-3)
    for seeds, phase, variants, runs in (
        (5, "main", plan.MAIN, plan.first_runs(rates)),
        (5, "main", plan.MAIN, plan.tuned_runs(rates)),
        (5, "large patches", plan.LARGE, plan.tuned_runs(rates)),
        (3, "positions", plan.POSITIONS, plan.first_runs(rates)),
    ):
        asked = [(r.variant, r.seed) for r in runs if r.phase == phase]
        assert sorted(asked) == sorted(itertools.product(variants, range(seeds)))


def test_plan__each_model_at_its_rate_and_tnt_at_vit_rate():
    rates = {variant: 1e-3 * (1 + i) for i, variant in enumerate(plan.TUNED)}
    runs = plan.first_runs(rates)
    for run in runs + plan.tuned_runs(rates) + plan.last_runs(rates):
        if run.phase == "learning rate":
            assert run.variant == "tnt"
            assert run.learning_rate == rates["vit_equal_flops"]
        else:
            assert run.learning_rate == rates.get(run.variant, rates["tnt"])
    assert any(run.phase == "learning rate" for run in runs)


def test_all_steps_runs__five_rates_for_each_main_model():
    runs = plan.all_steps_runs()
    assert len(set(runs)) == len(runs)
    assert all(run.held_out and run.steps == plan.STEPS for run in runs)
    for variant in plan.MAIN:
        tried = {run.learning_rate for run in runs if run.variant == variant}
        assert len(tried) == 5
        assert tried > set(plan.RATES)
    assert all(run.held_out and run.images == 50_000 for run in plan.rate_runs())


def test_build__equal_cost_and_equal_parameters():
    costs, parameters = {}, {}
    for variant in plan.TUNED:
        model = train.build(variant)
        costs[variant] = keras_tnt.complexity(model).multiply_adds
        parameters[variant] = model.count_params()
    assert costs["vit_equal_flops"] == pytest.approx(costs["tnt"], rel=0.02)
    for variant in ("vit_large_patches", "pyramid_tnt"):
        large = costs["tnt_large_patches"]
        assert costs[variant] == pytest.approx(large, rel=0.03), variant
    assert parameters["vit_equal_parameters"] == pytest.approx(
        parameters["tnt"], rel=0.02
    )
    assert 300_000 < parameters["tnt"] < 1_000_000


def test_build__variant_without_positions():
    model = train.build("positions_patches")
    positions = model.get_layer("pixel_embedding").position_embedding
    assert not positions.trainable
    assert not np.any(positions)
    assert np.any(model.get_layer("patch_embedding").position_embedding)


def test_train__repeats_from_its_seed(rng, monkeypatch):
    smaller = plan.TNT | {"outer_dim": 12, "depth": 1}
    monkeypatch.setitem(plan.VARIANTS, "tnt", smaller)
    run = plan.Run("main", "tnt", 1e-3, seed=3, images=150, steps=8)
    images = rng.integers(0, 256, (200, 28, 28, 1), "uint8")
    labels = rng.integers(0, 10, 200, "uint8")
    records = [
        train.train(run, (images, labels), (images[:50], labels[:50])) for _ in "ab"
    ]
    first, second = records
    assert plan.Run.of(first) == run
    assert len(first["curves"]["val_accuracy"]) == train.EVALUATIONS
    np.testing.assert_allclose(first["loss"], second["loss"], atol=0.01)
    assert json.loads(json.dumps(first)) == first


def test_batches__number_of_images_and_seed():
    images = np.arange(1000).reshape(-1, 1, 1, 1) % 251
    labels = np.zeros(1000, "uint8")
    runs = [plan.Run("main", "tnt", 1e-3, seed, 300, 8) for seed in (0, 0, 1)]
    orders = [
        np.concatenate([batch[0].numpy() for batch in train.batches(images, labels, r)])
        for r in runs
    ]
    assert orders[0].shape == (8 * train.BATCH, 1, 1, 1)
    np.testing.assert_array_equal(orders[0], orders[1])
    assert np.any(orders[0] != orders[2])
    counts = np.unique(
        np.arange(1000)[np.random.default_rng(0).permutation(1000)[:300]]
    )
    assert set(np.unique(orders[0])) == set(counts % 251)


def test_main__continues_after_interrupt(tmp_path, monkeypatch, capsys):
    records = tmp_path / "runs.jsonl"
    monkeypatch.setattr(driver.fashion_mnist, "install", lambda: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "--records", str(records)])
    done = []

    def pretend(run, threads):
        done.append(run)
        if len(done) == 5:
            raise KeyboardInterrupt
        return record_of(run, 0.5 + run.learning_rate)

    monkeypatch.setattr(driver, "run_in_process", pretend)
    with pytest.raises(KeyboardInterrupt):
        driver.main()
    assert len(driver.read(records)) == 4
    driver.main()
    assert plan.missing(driver.read(records)) == []
    assert done[4] == done[5]
    assert len(set(done)) == len(done) - 1
    assert "0 known runs are left" in capsys.readouterr().out


def test_work__parallel_runs_share_cores(tmp_path, monkeypatch):
    records = tmp_path / "runs.jsonl"
    runs = plan.rate_runs()[:4]
    together = threading.Barrier(2)

    def missing(records):
        done = [plan.Run.of(record) for record in records]
        return [run for run in runs if run not in done]

    def pretend(run, threads):
        assert threads == 2
        together.wait(timeout=60)
        return record_of(run, 0.5)

    monkeypatch.setattr(plan, "missing", missing)
    monkeypatch.setattr(driver.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(driver, "run_in_process", pretend)
    driver.work(records, 2, time.monotonic() + 600)
    assert sorted(map(str, map(plan.Run.of, driver.read(records)))) == sorted(
        map(str, runs)
    )


def test_work__failed_run_keeps_others(tmp_path, monkeypatch):
    records = tmp_path / "runs.jsonl"
    failed = threading.Event()

    def pretend(run, threads):
        if run == plan.rate_runs()[0]:
            failed.set()
            raise SystemExit("failed")
        assert failed.wait(timeout=60)
        return record_of(run, 0.5)

    monkeypatch.setattr(driver, "run_in_process", pretend)
    with pytest.raises(SystemExit, match="failed"):
        driver.work(records, 2, time.monotonic() + 600)
    assert [plan.Run.of(r) for r in driver.read(records)] == [plan.rate_runs()[1]]


def test_work__no_run_after_end(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "run_in_process", None)
    driver.work(tmp_path / "runs.jsonl", 2, time.monotonic())
    assert not (tmp_path / "runs.jsonl").exists()


def test_report__whole_study(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    marks = "".join(f"<!-- {name} -->\n<!-- end -->\n" for name in report.tables([]))
    (tmp_path / "README.md").write_text(marks)
    records = tmp_path / "runs.jsonl"
    for record in finished():
        driver.add(records, record)
    monkeypatch.setattr(
        sys, "argv", ["report.py", f"--records={records}", f"--docs={tmp_path}"]
    )
    for _ in range(2):
        report.main()
    text = (tmp_path / "README.md").read_text()
    row = r"\| TNT \| 300,000 \| 8\.00 \| 1,000 \| 87\.0\d ± 0\.0\d \(5 seeds\)"
    assert re.search(row, text)
    # Each of the conditions at both rates, the better in bold.
    for images, steps, rates, seeds in (
        ("1,000", "1,800", "0.001 and 0.001", 3),
        ("1,000", "1,800", "**0.008 and 0.008**", 3),
        ("60,000", "1,800", "0.001 and 0.001", 5),
        ("60,000", "1,800", "**0.008 and 0.008**", 5),
    ):
        row = f"| 7x7 | {images} | {steps} | {rates} | 87.0"
        assert text.count(row) == 1
        assert f"({seeds} seeds)" in text.partition(row)[2].partition("|")[0]
    assert "| PyramidTNT | 300,000 |" in text
    for name in ("cost", "curves", "sizes"):
        assert (tmp_path / "images" / f"{name}.png").stat().st_size > 10_000
    (tmp_path / "README.md").write_text("")
    with pytest.raises(ValueError, match="<!-- rates -->"):
        report.main()


def test_report__committed_tables_match_runs():
    text = DOCUMENT.read_text()
    assert report.fill(text, report.tables(RECORDS)) == text


def test_plan__contains_committed_runs():
    found = [plan.Run.of(r) for r in RECORDS]
    assert set(found) <= set(plan.planned(RECORDS))
    assert len(set(found)) == len(found)
