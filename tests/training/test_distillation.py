"""Distillation: DeiT's losses, and a training in which only the student changes."""

import contextlib
import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tnt.cli import main
from keras_tnt.training import (
    RunDirectory,
    distillation,
    tnt_tiny_distilled,
    train,
    training_run,
)
from keras_tnt.training.builders import build_model, compile_model
from keras_tnt.training.checkpoints import Checkpoints
from keras_tnt.training.distillation import distilling, hard_loss, soft_loss
from keras_tnt.training.teacher import Teacher, logits_function
from tests.helpers.checks import two_replicas
from tests.helpers.small import dense_classifier, pixels, randomised
from tests.helpers.toy import toy_recipe

SHAPE = (28, 28, 1)
NAMES = [str(number) for number in range(10)]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def hard(teacher, student):
    predicted = np.eye(teacher.shape[1])[teacher.argmax(axis=1)]
    return -(predicted * np.log(softmax(student))).sum(axis=1).mean()


def soft(teacher, student, temperature):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return [rng.normal(scale=4, size=(5, 7)).astype("float32") for _ in range(2)]


def test_hard_loss__formula(logits):
    assert float(hard_loss(*logits)) == pytest.approx(hard(*logits), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_loss__formula(temperature, logits):
    found = soft_loss(*logits, temperature=temperature)
    assert float(found) == pytest.approx(soft(*logits, temperature), rel=1e-5)


def test_soft_loss__sample_weight(logits):
    weights = np.array([1, 0, 1, 0, 0], "float32")
    found = soft_loss(*logits, sample_weight=weights, temperature=2.0)
    counted = [values[weights > 0] for values in logits]
    assert float(found) == pytest.approx(soft(*counted, 2.0) * 2 / 5, rel=1e-5)


def test_soft_loss__gradient(logits):
    """It is temperature · (student's - teacher's probabilities) / images."""
    teacher, student = logits
    with tf.GradientTape() as tape:
        scores = tf.Variable(student)
        log = distillation.log_probabilities(tf.nn.softmax(scores))
        loss = soft_loss(teacher, log, temperature=3.0)
    expected = 3 * (softmax(student / 3) - softmax(teacher / 3)) / len(student)
    np.testing.assert_allclose(tape.gradient(loss, scores), expected, atol=1e-6)


def dense(activation="softmax", seed=0):
    """A quick classifier whose logits have the scale of a trained one's."""
    keras.utils.set_random_seed(seed)
    return dense_classifier(10, activation, SHAPE)


def as_logits(model):
    """The same classifier without its softmax."""
    plain = dense(None)
    plain.set_weights(model.get_weights())
    return plain


@pytest.mark.parametrize(
    ("name", "temperature"), [("hard", 1.0), ("soft", 1.0), ("soft", 3.0)]
)
@pytest.mark.parametrize("ends_in_softmax", [True, False])
def test_distilling__loss_of_a_step(name, temperature, ends_in_softmax):
    """On logits, also of models that end in a softmax; from NumPy's formulas."""
    teacher, student = dense(seed=1), dense(seed=2)
    student.compile(keras.optimizers.SGD(0.0), keras.losses.CategoricalCrossentropy())
    images = pixels(student, 6).astype("float32")
    labels = np.eye(10, dtype="float32")[:6]
    outputs = [np.asarray(as_logits(model)(images)) for model in (teacher, student)]
    of_labels = -np.log(softmax(outputs[1])[np.arange(6), np.arange(6)]).mean()
    recipe = toy_recipe(
        distillation=name,
        distillation_alpha=0.3,
        distillation_temperature=temperature,
    )
    given = teacher if ends_in_softmax else as_logits(teacher)
    with distilling(student, logits_function(Teacher(given), NAMES, SHAPE), recipe):
        loss = student.train_on_batch(images, labels)
        evaluated = student.test_on_batch(images, labels)
    distilled = hard(*outputs) if name == "hard" else soft(*outputs, temperature)
    assert float(loss) == pytest.approx(0.7 * of_labels + 0.3 * distilled, rel=1e-4)
    assert float(evaluated) == pytest.approx(of_labels, rel=1e-4)
    # A softmax of probabilities is almost uniform.
    wrong = soft(softmax(outputs[0]), outputs[1], temperature)
    assert abs(wrong - distilled) > 0.05 * distilled
    after = student.train_on_batch(images, labels)
    assert float(after) == pytest.approx(of_labels, rel=1e-4)


def test_distilling__half_precision():
    teacher, recipe = dense(seed=1), toy_recipe(distillation="soft")
    losses = []
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            student = dense(seed=2)
        finally:
            keras.config.set_dtype_policy("float32")
        loss = keras.losses.CategoricalCrossentropy()
        student.compile(keras.optimizers.SGD(0.1), loss)
        function = logits_function(Teacher(teacher), NAMES, SHAPE)
        with distilling(student, function, recipe):
            images = pixels(student, 10)
            losses.append(float(student.train_on_batch(images, np.eye(10))))
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=0.02)


def fit(teacher, strategy=None, optimizer_options=None, **options):
    """The weights of a student after four steps with a teacher."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        student = dense(seed=2)
        student.compile(
            keras.optimizers.SGD(0.1, **(optimizer_options or {})),
            keras.losses.CategoricalCrossentropy(),
            **options,
        )
    images, labels = pixels(student, 8), np.eye(10, dtype="float32")[:8]
    function = logits_function(Teacher(teacher), NAMES, SHAPE)
    with distilling(student, function, toy_recipe(distillation="soft")):
        student.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return student.get_weights()


def assert_close(found, expected, atol):
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, other, atol=atol)


@pytest.mark.slow
def test_distilling__same_on_two_replicas_and_under_xla():
    teacher = dense(seed=1)
    expected = fit(teacher)
    assert_close(fit(teacher, two_replicas()), expected, 1e-5)
    assert_close(fit(teacher, jit_compile=True, steps_per_execution=2), expected, 1e-5)


def test_distilling__accumulated_gradients():
    teacher = dense(seed=1)
    found = fit(teacher, optimizer_options={"gradient_accumulation_steps": 2})
    assert_close(found, fit(teacher), 0.05)
    assert np.abs(found[0] - dense(seed=2).get_weights()[0]).max() > 1e-4


RECIPE = toy_recipe(
    model_options={"depth": 1, "inner_blocks": [], "dropout_rate": 0.1},
    augmentation=dataclasses.replace(toy_recipe().augmentation, mixup=0.8),
    train_split="train[:48]",
    validation_split="test[:40]",
    epochs=1,
    warmup_epochs=0,
    ema_decay=0.9,
    distillation="soft",
    distillation_temperature=3.0,
    deterministic=True,
    checkpoint_every=2,
    keep_checkpoints=99,
)


@pytest.fixture(scope="module")
def teacher():
    return randomised(dense())


@pytest.fixture(scope="module")
def distilled(teacher, tmp_path_factory):
    """A finished training of six steps."""
    directory = tmp_path_factory.mktemp("runs") / "distilled"
    return RunDirectory(directory), train(RECIPE, directory, teacher=teacher)


@pytest.mark.slow
def test_train__only_the_student_is_kept(teacher, distilled):
    run, result = distilled
    np.testing.assert_array_equal(
        np.concatenate([w.ravel() for w in teacher.get_weights()]),
        np.concatenate([w.ravel() for w in randomised(dense()).get_weights()]),
    )
    assert teacher.trainable
    student = build_model(RECIPE, 10)
    compile_model(student, RECIPE, 6)
    tensors = Checkpoints(run.checkpoints).newest().tensors
    parts = {name.partition("/")[0] for name in tensors}
    assert parts == {"model", "optimizer", "average"}
    for part, variables in {
        "model": student.variables,
        "optimizer": student.optimizer.variables,
        "average": student.weights,
    }.items():
        found = [name for name in tensors if name.startswith(f"{part}/")]
        assert len(found) == len(variables)
    saved = keras.saving.load_model(run.model)
    assert {w.path for w in saved.weights} == {w.path for w in student.weights}
    assert result.model.compute_loss.__func__ is keras.Model.compute_loss
    assert set(result.history[0]) >= {"accuracy", "loss", "val_accuracy"}


@pytest.mark.slow
def test_train__resumed_equals_uninterrupted(teacher, distilled, tmp_path):
    """Bit for bit, from the middle of an epoch."""
    run, result = distilled
    shutil.copytree(run.path, tmp_path / "copy")
    for checkpoint in Checkpoints(tmp_path / "copy" / "checkpoints").paths()[1:]:
        checkpoint.unlink()  # after step 2
    resumed = train(RECIPE, tmp_path / "copy", teacher=teacher, verbose=0)
    expected, found = (
        Checkpoints(path / "checkpoints").newest().tensors
        for path in (run.path, tmp_path / "copy")
    )
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    for name, value in result.history[0].items():
        if name != "images_per_second":
            assert resumed.history[0][name] == pytest.approx(value, rel=1e-6)


def test_train__another_teacher_on_resuming(distilled, caplog):
    run, _ = distilled
    other = dense(seed=3)
    with pytest.raises(FileExistsError, match="differs in the teacher's weights"):
        train(RECIPE, run.path, teacher=other)
    with pytest.raises(ValueError, match="distillation='soft' has no effect without"):
        train(RECIPE, run.path)


def test_train__same_weights_elsewhere_on_resuming(
    teacher, distilled, tmp_path, caplog
):
    run, result = distilled
    shutil.copytree(run.path, tmp_path / "copy")
    teacher.save(tmp_path / "teacher.keras")
    recipe = dataclasses.replace(RECIPE, teacher=str(tmp_path / "teacher.keras"))
    again = train(recipe, tmp_path / "copy", verbose=0)
    assert again.history == result.history
    assert "teacher (None →" in caplog.text


def test_train__initial_weights_do_not_depend_on_the_teacher(
    teacher, tmp_path, monkeypatch
):
    """So the comparison of a student with and without its teacher is paired."""
    monkeypatch.setattr(
        training_run.TrainingRun, "run", lambda training: training.model.get_weights()
    )
    alone = train(toy_recipe(), tmp_path / "alone")
    taught = train(toy_recipe(), tmp_path / "taught", teacher=teacher)
    assert_close(taught, alone, 0)


def test_train__two_teachers(teacher, tmp_path):
    recipe = dataclasses.replace(RECIPE, teacher="tnt_base")
    with pytest.raises(ValueError, match="two teachers: the recipe's, 'tnt_base'"):
        train(recipe, tmp_path / "run", teacher=teacher)
    assert not (tmp_path / "run").exists()


def test_command__teacher(tmp_path, monkeypatch, capsys):
    command = [
        "train",
        "--recipe=fashion_mnist_demo",
        "--train-split=train[:64]",
        "--validation-split=test[:64]",
        f"--out={tmp_path / 'student'}",
        "--distillation=soft",
        "--distillation-temperature=2",
        "--distillation-alpha=0.9",
    ]
    assert main(command) == 1
    assert "has no effect without a teacher" in capsys.readouterr().err
    assert main([*command, "--teacher=nowhere"]) == 1
    assert "There is no teacher 'nowhere'" in capsys.readouterr().err
    assert not (tmp_path / "student").exists()
    dense().save(tmp_path / "teacher.keras")
    monkeypatch.setattr(training_run.TrainingRun, "run", stop)
    with pytest.raises(AssertionError, match="a teacher is in the loss: True"):
        main([*command, f"--teacher={tmp_path / 'teacher.keras'}"])
    found, _ = RunDirectory(tmp_path / "student").read_recipe()
    assert found.teacher == str(tmp_path / "teacher.keras")
    assert (found.distillation, found.distillation_alpha) == ("soft", 0.9)
    assert found.distillation_temperature == 2.0


def stop(training):
    """In place of the training: say whether its loss has a teacher."""
    has_teacher = "compute_loss" in vars(training.model)
    raise AssertionError(f"a teacher is in the loss: {has_teacher}")


def test_tnt_tiny_distilled__settings():
    recipe = tnt_tiny_distilled()
    assert (recipe.model, recipe.weights) == ("TNTTiny", None)
    assert recipe.teacher == "TNTBase:imagenet"
    assert (recipe.distillation, recipe.distillation_alpha) == ("hard", 0.5)
