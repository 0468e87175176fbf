"""A run that is killed, stopped or starved, and goes on as if nothing had been."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.history import History
from tests.helpers.boxes import write_boxes
from tests.helpers.masks import write_masks
from tests.helpers.toy import environment_without_coverage, toy_recipe
from tests.training.test_detection_task import box_recipe
from tests.training.test_segmentation_task import mask_recipe

# Slow enough to be hit in the middle, with everything that is random.
RECIPE = toy_recipe(
    model_options={"depth": 3, "dropout_rate": 0.1, "drop_path_rate": 0.2},
    augmentation=dataclasses.replace(
        toy_recipe().augmentation, mixup=0.8, cutmix=1.0, crop_scale=(0.3, 1.0)
    ),
    train_split="train[:4%]",
    epochs=3,
    checkpoint_every=7,
    ema_decay=0.99,
    deterministic=True,
)
STEPS = 3 * 60


def start(directory, recipe=RECIPE, **options):
    """Starts the training of a recipe file in a process of its own."""
    path = directory.with_suffix(".json")
    record = {"recipe": dataclasses.asdict(recipe), "class_names": []}
    path.write_text(json.dumps(record))
    command = [sys.executable, "-m", "keras_tnt", "train", "--recipe", str(path)]
    return subprocess.Popen(
        [*command, "--out", str(directory), "--strategy", "one_device"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process, status=0):
    """What a process says until it ends with a status."""
    output, errors = process.communicate(timeout=600)
    assert process.returncode == status, output[-2000:] + errors[-3000:]
    return output + errors


def wait_for_step(process, directory, step):
    """Waits for a checkpoint of that step or a later one."""
    checkpoints = Checkpoints(directory / "checkpoints")
    while process.poll() is None:
        steps = [int(path.stem.removeprefix("step-")) for path in checkpoints.paths()]
        if steps and steps[-1] >= step:
            return
        time.sleep(0.005)
    raise AssertionError(finish(process))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "unbroken"
    process = start(directory)
    yield directory, process
    process.kill()


def assert_same_end(directory, expected):
    directories = (directory, expected)
    ends = [Checkpoints(path / "checkpoints").newest() for path in directories]
    assert [end.state["step"] for end in ends] == [STEPS, STEPS]
    bests = [Checkpoints(path / "best").newest() for path in directories]
    assert bests[0].state["epoch"] == bests[1].state["epoch"]
    for ours, theirs in (ends, bests):
        for name, tensor in ours.tensors.items():
            np.testing.assert_allclose(
                tensor, theirs.tensors[name], rtol=0, atol=1e-5, err_msg=name
            )
    for ours, theirs in zip(
        *(History(path / "history.csv").rows() for path in directories), strict=True
    ):
        del ours["images_per_second"], theirs["images_per_second"]
        assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("make_recipe", "write"), [(mask_recipe, write_masks), (box_recipe, write_boxes)]
)
def test_train__killed_dense_task_equals_uninterrupted(make_recipe, write, tmp_path):
    """Bit for bit: deterministic, and killed between two checkpoints."""
    data = write(tmp_path / "data", {"train": 24, "validation": 3})
    recipe = make_recipe(data, epochs=4, checkpoint_every=5, keep="best")
    whole = start(tmp_path / "whole", recipe)
    killed = start(tmp_path / "killed", recipe)
    wait_for_step(killed, tmp_path / "killed", 16)
    killed.kill()
    killed.communicate()
    newest = Checkpoints(tmp_path / "killed" / "checkpoints").newest().state["step"]
    assert 16 <= newest < 48
    said = finish(start(tmp_path / "killed", recipe))
    assert f"Resuming after step {newest}, from " in said
    finish(whole)
    ends = [
        Checkpoints(tmp_path / name / kind).newest()
        for kind in ("checkpoints", "best")
        for name in ("whole", "killed")
    ]
    assert ends[0].state["step"] == ends[1].state["step"] == 48
    for expected, found in (ends[:2], ends[2:]):
        for name, tensor in expected.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], tensor, err_msg=name)


@pytest.mark.processes
def test_train__killed_and_stopped_equals_uninterrupted(unbroken, tmp_path):
    directory = tmp_path / "run"
    killed = start(directory)
    step = 31  # between two checkpoints
    wait_for_step(killed, directory, step)
    killed.kill()
    killed.communicate()
    newest = Checkpoints(directory / "checkpoints").newest().state["step"]
    assert newest >= step // 7 * 7

    stopped = start(directory)
    wait_for_step(stopped, directory, 80)
    stopped.send_signal(signal.SIGTERM)
    said = finish(stopped, status=128 + signal.SIGTERM)
    assert f"Resuming after step {newest}, from " in said
    assert "Traceback" not in said
    saved = Checkpoints(directory / "checkpoints").newest().state["step"]
    assert f"stopped by SIGTERM after step {saved}, which is saved" in said
    assert 80 <= saved < STEPS

    last = finish(start(directory))
    assert f"Resuming after step {saved}, from " in last
    finish(unbroken[1])
    assert_same_end(directory, unbroken[0])


@pytest.mark.processes
def test_train__full_disk(unbroken, tmp_path):
    """The limit on the size of a file stands for the disk's: the same call fails."""
    directory = tmp_path / "run"
    finish(unbroken[1])
    size = Checkpoints(unbroken[0] / "checkpoints").paths()[0].stat().st_size
    process = start(directory, env=environment_without_coverage())
    wait_for_step(process, directory, 21)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size // 2, size // 2))
    said = finish(process, status=1)
    assert "Traceback" not in said
    newest = Checkpoints(directory / "checkpoints").newest()
    assert newest.state["step"] >= 21
    assert f"The last one is {newest.path}" in said
    assert not [name for name in os.listdir(newest.path.parent) if "tmp" in name]
    finish(start(directory))
    assert_same_end(directory, unbroken[0])
