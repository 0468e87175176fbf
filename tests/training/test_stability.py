"""The committed run of `benchmarks/stability.py`: no loss jumps."""

import dataclasses
import json

import pytest

from benchmarks.stability import CURVES, LIMIT, RESULTS, jumps, recipe
from keras_tnt.training import Recipe, tnt_small_imagenet


def test_jumps__ratios_after_the_warmup():
    losses = [3.0, 4.0, 2.0, 2.5]
    assert jumps(losses, warmup_epochs=1) == {2: 4 / 3, 3: 0.5, 4: 1.25}
    assert jumps(losses, warmup_epochs=3) == {4: 1.25}


def test_stability__committed_run_of_the_full_recipe():
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    settings = Recipe.from_dict(record["recipe"])
    # On a CPU, where nothing is compiled, this is what the default means.
    assert settings == dataclasses.replace(recipe(), jit_compile=False)
    full = tnt_small_imagenet()
    for name in ("schedule", "learning_rate", "weight_decay", "clip_norm", "keep"):
        assert getattr(settings, name) == getattr(full, name)
    assert settings.augmentation.repeats == 3
    assert settings.ema_decay > 0

    losses = [row["loss"] for row in record["history"]]
    assert len(losses) == settings.epochs == full.epochs // 10
    ratios = jumps(losses, settings.warmup_epochs)
    assert max(ratios.values()) <= LIMIT == 1.1
    assert record["largest_ratio"] == pytest.approx(max(ratios.values()), abs=1e-4)
    assert CURVES.exists()
