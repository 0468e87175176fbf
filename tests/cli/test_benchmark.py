"""`keras-tnt benchmark`: what is measured, drawn, written and refused."""

import json

import pytest

from keras_tnt.cli import main
from keras_tnt.cli.benchmark import Measurement, benchmark, plot_speed
from tests.helpers.figures import saved_figures
from tests.helpers.small import small


@pytest.mark.slow
def test_benchmark__speed_from_durations():
    measured = list(benchmark(small(depth=1), [1, 3], repetitions=2))
    kinds = ["inference", "inference", "training", "training"]
    assert [m.kind for m in measured] == kinds
    assert [m.batch_size for m in measured] == [1, 3, 1, 3]
    for m in measured:
        assert len(m.seconds) == 2
        assert m.images_per_second == pytest.approx(m.batch_size * 2 / sum(m.seconds))
        assert m.peak_mib > 100
    assert measured[2].first_call > max(measured[2].seconds)


def test_benchmark__inference_keeps_weights():
    model = small(depth=1)
    before = model.get_weights()
    assert len(list(benchmark(model, [2], training=False, repetitions=1))) == 1
    assert not model.compiled
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "arguments",
    [{"batch_sizes": []}, {"batch_sizes": [0]}, {"repetitions": 0}],
)
def test_benchmark__invalid_numbers(arguments):
    with pytest.raises(ValueError, match="must be at least 1, got batch_sizes="):
        list(benchmark(small(depth=1), **arguments))


@pytest.mark.slow
def test_benchmark_command__report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small(depth=1).save("model.keras")
    arguments = ["benchmark", "--model", "model.keras", "--batch-sizes", "1", "2"]
    assert main([*arguments, "--repetitions", "1"]) == 0
    said = capsys.readouterr().out
    assert "training, batch 2:" in said
    assert "images/s" in said
    record = json.loads((tmp_path / "benchmark" / "benchmark.json").read_text())
    assert record["image_size"] == [32, 48]
    assert [m["batch_size"] for m in record["measurements"]] == [1, 2, 1, 2]
    image = (tmp_path / "benchmark" / "benchmark.png").read_bytes()
    assert image.startswith(b"\x89PNG")


def test_benchmark_command__builder_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = "benchmark --model TNTTiny --image-size 32 --precision mixed_bfloat16"
    arguments += " --batch-sizes 1 --repetitions 1 --no-training --json"
    assert main(arguments.split()) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model"] == "tnt_tiny"
    assert record["image_size"] == [32, 32]
    assert record["precision"] == "mixed_bfloat16"


def test_benchmark_command__option_of_saved_model(tmp_path, capsys):
    path = str(tmp_path / "model.keras")
    small(depth=1).save(path)
    assert main(["benchmark", "--model", path, "--image-size", "64"]) == 1
    assert "go with a model's name" in capsys.readouterr().err


def test_plot_speed__points(tmp_path, monkeypatch):
    figures = saved_figures(monkeypatch)
    points = {1: 10.0, 8: 40.0}
    measured = [
        Measurement("inference", n, 2.0, [0.1], s, 900) for n, s in points.items()
    ]
    plot_speed(measured, tmp_path / "s.png")
    (line,) = figures[0].axes[0].lines
    assert line.get_label() == "inference"
    assert dict(zip(*line.get_data(), strict=True)) == points
