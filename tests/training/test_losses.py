"""Every loss in a step and in a run: with adapters, memories, all maps and cached teachers."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from config import Config, ConfigError, Student, load
from data.loading.batches import Batches
from losses import LOSSES
from models import MODELS
from tests.training.tiny_runs import settings, write_caches
from training.optimisers import build_optimiser
from training.run_folder import write_results
from training.stages import train_students, train_teachers
from training.steps import OnlineTeacher, Step, build_losses

ROWS = np.arange(16)
CASES = [(name, task) for name in sorted(LOSSES) for task in ("single_label", "multi_label")]


@pytest.fixture
def config(tmp_path) -> Config:
    (tmp_path / "config.ini").touch()
    return load(tmp_path / "config.ini")


def model_for(view, width):
    torch.manual_seed(0)
    return MODELS["dcase_small"](num_classes=2, input_shape=view.shape, width_mult=width)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_trains_the_student_and_itself_or_is_refused(views, targets, config, name, task):
    if task not in LOSSES[name].tasks:
        found = f"found '{name}', but the data set is {task.replace('_', '-')}"
        with pytest.raises(ConfigError, match=found):
            build_losses(name, task, Student(), config)
        return
    student, teacher = model_for(views["student"], 0.25), model_for(views["teacher"], 0.5)
    losses = build_losses(name, task, Student(), config)
    step = Step(student, "student", losses, {}, [OnlineTeacher(teacher)])
    batches = Batches(views, targets, ROWS, 8, 0)
    step.build(student, batches, ROWS, seed=0)
    student.train()
    optimiser = build_optimiser(
        student, Student(learning_rate=1e-3), torch.device("cpu"), step.parameters()
    )
    before = [p.detach().clone() for p in (*student.parameters(), *step.parameters())]
    for batch in batches.epoch(0):
        terms = step(batch)
        assert terms[name].isfinite()
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
    after = [*student.parameters(), *step.parameters()]
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert any(changed)
    assert all(changed[len(list(student.parameters())) :]), "of its own parameters"
    assert all(p.grad is None for p in teacher.parameters())


def test_a_run_with_adapters_a_memory_and_all_maps(tmp_path, monkeypatch):
    """Cached and online teachers give the same students, whose files hold no adapter."""
    monkeypatch.chdir(tmp_path)
    write_caches()
    variant = "ce+dkd+at+crd+fitnet+rkd"
    weights = {}
    for teacher in ("cached", "online"):
        config = settings(
            teacher,
            *(f"distillation.variants={variant}", f"distillation.teacher={teacher}"),
            *("data.folds=1", "teacher.width_mult=0.5", "loss.crd.negatives=2"),
            *("loss.dkd.others_weight=2", "coefficients.crd=0.1"),
        )
        train_teachers(config)
        train_students(config)
        folder = tmp_path / f"runs/{teacher}/student/{variant}/seed_0/fold_1"
        weights[teacher] = load_file(folder / "weights.safetensors")
        history = pd.read_csv(folder / "history.csv")
        names = variant.split("+")
        assert history[names].notna().all(axis=None)
        total = sum(history[name] * {"crd": 0.1}.get(name, 1) for name in names)
        np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    assert not [name for name in weights["cached"] if "adapter" in name or "memory" in name]
    for name, tensor in weights["cached"].items():
        torch.testing.assert_close(tensor, weights["online"][name], rtol=1e-3, atol=1e-4)
    outputs = {
        path.name.partition(".")[0] for path in tmp_path.glob("runs/cached/**/outputs/*/*.npy")
    }
    assert outputs == {"logits", "embedding", "map", "energies"}
    results = write_results("cached")
    student = results[results["role"] == "student"]["parameters"].iloc[0]
    assert student == sum(
        t.numel() for name, t in weights["cached"].items() if t.is_floating_point()
    )


def test_other_settings_of_a_loss_are_another_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_caches()
    base = ("distillation.variants=ce+dkd", "data.folds=1")
    train_teachers(settings("one", *base))
    train_students(settings("one", *base))
    train_students(settings("one", *base, "loss.rkd.angle_weight=0"))  # of another loss
    with pytest.raises(Exception, match=r"loss.dkd.others_weight: unset -> 2"):
        train_students(settings("one", *base, "loss.dkd.others_weight=2"))


def test_a_wrong_loss_section_is_refused_before_data_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"\[loss.dkd\] other_weight: no such key; nearest: others_"
    ):
        train_teachers(settings("one", "loss.dkd.other_weight=2"))
    with pytest.raises(ConfigError, match=r"\[loss.dkdd\]: found 'dkdd'; nearest: dkd"):
        train_teachers(settings("one", "loss.dkdd.temperature=2"))
