"""A cached teacher gives the same losses, gradients and students as an online one."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from config import Augment
from data.augment import Augmentation
from data.loading.batches import Batches
from data.loading.replay import Replay
from losses import LOSSES
from losses.loss import Loss
from models import MODELS
from training import output_tables
from training.steps import OnlineTeacher, Step
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

ROWS = np.array([3, 1, 4, 15, 9, 2, 6, 5, 17, 20, 11, 7, 13])
AUGMENT = Augment(mixup_alpha=0.3, roll_seconds=0.05, gain_db=3, time_mask_seconds=0.03)


@pytest.fixture(autouse=True)
def parts_of_five_clips(monkeypatch):
    monkeypatch.setattr(output_tables, "PART", 5)


def model_for(view, seed):
    torch.manual_seed(seed)
    return MODELS["dcase_small"](
        num_classes=2, input_shape=view.shape, width_mult=0.25, batch_norm=True
    )


def teacher_for(view, seed=1):
    model = model_for(view, seed)
    with torch.no_grad():
        for _ in range(3):  # batch statistics like those of a trained model
            model(torch.randn(8, *view.shape) * 2)
    return model.eval().requires_grad_(False)


class Counted(torch.nn.Module):
    """A teacher that counts its clips and is killed after a number of calls."""

    def __init__(self, model, calls=10**9):
        super().__init__()
        self.model, self.clips, self.calls = model, 0, calls

    def forward(self, x):
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        self.clips += len(x)
        return self.model(x)


def replay_of(views, augment=AUGMENT):
    return Replay(Augmentation(augment, 0.16, 8000.0), ROWS, views, seed=3)


def cache_of(model, view, folder, replay=None, resident=1.0, disk=1.0):
    folders = [folder / str(index) for index in range(len(replay) if replay else 1)]
    for each in folders:
        each.mkdir(parents=True, exist_ok=True)
    return TeacherCache(model, view, ROWS, replay, folders, resident, disk)


def cached(model, view, folder, variant, **limits):
    cache = cache_of(model, view, folder, **limits)
    cache.fill(required_outputs(variant))
    return cache.teacher(required_outputs(variant))


def losses_of(variant):
    task = "multi_label" if "bce" in variant else "single_label"
    settings = {"kd": {"task": task, "temperature": 2.0}}
    return {name: LOSSES[name](**settings.get(name, {})) for name in variant.split("+")}


def trained(student, teachers, views, targets, variant, steps, replay=None):
    """The losses and the gradients of a number of steps of Adam."""
    student = copy.deepcopy(student)
    features = {role: views[role] for role in ("student", *teachers[0].input_roles)}
    batches = Batches(features, targets, ROWS, 5, seed=0, replay=replay)
    step = Step(student, "student", losses_of(variant), {"sp": 10.0}, teachers)
    optimiser = torch.optim.Adam(student.parameters(), lr=1e-3)
    losses, gradients = [], []
    for batch in (batch for epoch in range(steps) for batch in batches.epoch(epoch)):
        if len(losses) == steps:
            break
        terms = step(batch)
        optimiser.zero_grad()
        terms["loss"].backward()
        losses.append(torch.stack(list(terms.values())).detach())
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters()]))
        optimiser.step()
    return torch.stack(losses), torch.stack(gradients)


def relative(found, wanted):
    """The largest relative difference of a step."""
    return ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max().item()


@pytest.mark.parametrize(("variant", "views_replayed"), [("ce+kd+sp", 0), ("bce+kd+sp", 3)])
def test_fifty_steps_equal_those_of_the_online_teacher(
    views, targets, tmp_path, variant, views_replayed
):
    replay = replay_of(views_replayed) if views_replayed else None
    student, model = model_for(views["student"], 0), teacher_for(views["teacher"])
    looked_up = cached(model, views["teacher"], tmp_path, variant, replay=replay)
    assert looked_up.input_roles == ()
    arguments = (views, targets, variant, 50, replay)
    found = trained(student, [looked_up], *arguments)
    wanted = trained(student, [OnlineTeacher(model)], *arguments)
    for mine, others in zip(found, wanted, strict=True):
        assert len(mine) == 50
        assert relative(mine, others) < 1e-4


def test_cached_outputs_are_those_of_the_replayed_crops(views, targets, tmp_path):
    view, replay = views["teacher"], replay_of(2, Augment(mixup_alpha=0.3, crop_seconds=0.1))
    model = teacher_for(view)
    teacher = cached(model, view, tmp_path, "ce+kd+sp", replay=replay)
    for epoch in range(2):
        for batch in Batches({"teacher": view}, targets, ROWS, 4, 0, replay=replay).epoch(epoch):
            assert batch.inputs["teacher"].shape[2] == 10  # of the 16 frames of 0.16 s
            outputs, found = model(batch.inputs["teacher"]), teacher.outputs(batch)
            torch.testing.assert_close(found["logits"], outputs.logits, rtol=1e-5, atol=1e-6)


def test_features_on_disk_differ_by_the_rounding_of_float16_only(views, targets, tmp_path):
    student, model = model_for(views["student"], 0), teacher_for(views["teacher"])
    limits = {"resident": 0.0, "disk": 1.0}
    looked_up = cached(model, views["teacher"], tmp_path, "ce+kd+sp", **limits)
    assert {path.name[:11] for path in tmp_path.glob("*/*")} == {"logits.floa", "map.float16"}
    found = trained(student, [looked_up], views, targets, "ce+kd+sp", 10)
    wanted = trained(student, [OnlineTeacher(model)], views, targets, "ce+kd+sp", 10)
    assert relative(found[0], wanted[0]) < 2e-3
    assert relative(found[1], wanted[1]) < 2e-2


def test_a_batch_takes_its_sub_matrix_of_the_gram_matrix(views, targets, tmp_path):
    view, model = views["teacher"], teacher_for(views["teacher"])
    teacher = cached(model, view, tmp_path, "ce+kd+sp")
    for batch in Batches({"teacher": view}, targets, ROWS, 4, 0).epoch(0):
        outputs = model(view[batch.rows])
        features = outputs.maps[-1].flatten(1)
        found = teacher.outputs(batch)
        assert found.keys() == {"logits", "map_gram"}
        torch.testing.assert_close(found["logits"], outputs.logits, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found["map_gram"], features @ features.T, rtol=1e-5, atol=1e-5)


def test_only_the_outputs_that_the_losses_take_are_stored(views, tmp_path, monkeypatch):
    class Hint(Loss):
        def forward(self, student_embedding, teacher_embedding): ...

    class MapHint(Loss):
        def forward(self, student_maps, teacher_map): ...

    monkeypatch.setitem(LOSSES, "hint", Hint)
    monkeypatch.setitem(LOSSES, "map_hint", MapHint)
    assert required_outputs("bce") == required_outputs("bce+kd") == {"logits"}
    assert required_outputs("ce+sp") == {"logits", "map_gram"}
    assert required_outputs("ce+sp+hint+map_hint") == {"logits", "map_gram", "embedding", "map"}
    for variant, names in {
        "ce+kd": {"logits"},
        "ce+sp": {"logits", "map_gram"},
        "ce+hint": {"logits", "embedding"},
        "ce+sp+map_hint": {"logits", "map", "map_gram"},
    }.items():
        folder = tmp_path / variant
        cached(teacher_for(views["teacher"]), views["teacher"], folder, variant)
        assert {path.name.partition(".")[0] for path in folder.glob("0/*")} == names


def test_each_member_of_several_teachers_has_its_own_outputs(views, targets, tmp_path):
    student = model_for(views["student"], 0)
    models = [teacher_for(views["teacher"], seed) for seed in (1, 2)]
    members = [
        cached(model, views["teacher"], tmp_path / str(n), "ce+kd+sp")
        for n, model in enumerate(models)
    ]
    found, _ = trained(student, members, views, targets, "ce+kd+sp", 3)
    online = [OnlineTeacher(model) for model in models]
    wanted, _ = trained(student, online, views, targets, "ce+kd+sp", 3)
    assert relative(found, wanted) < 1e-5
    first, _ = trained(student, members[:1], views, targets, "ce+kd+sp", 3)
    assert relative(first, wanted) > 1e-2


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.npy"))}


@pytest.mark.parametrize(("views_replayed", "calls"), [(0, 1), (0, 3), (2, 3), (2, 6)])
def test_parts_that_were_finished_before_a_kill_are_used_again(
    views, tmp_path, views_replayed, calls
):
    """The first call shows the shapes, each further one makes a part."""
    replay = replay_of(views_replayed) if views_replayed else None
    view, model = views["teacher"], teacher_for(views["teacher"])
    cached(model, view, tmp_path / "full", "ce+kd+sp", replay=replay)
    killed, again = Counted(model, calls), Counted(model)
    with pytest.raises(KeyboardInterrupt):
        cached(killed, view, tmp_path / "killed", "ce+kd+sp", replay=replay)
    cached(again, view, tmp_path / "killed", "ce+kd+sp", replay=replay)
    assert (killed.clips - 1) + (again.clips - 1) == len(ROWS) * max(1, views_replayed)
    assert contents(tmp_path / "killed") == contents(tmp_path / "full")


def test_a_second_start_runs_no_forward_pass(views, tmp_path):
    model = Counted(teacher_for(views["teacher"]))
    cached(model, views["teacher"], tmp_path, "ce+kd")
    assert model.clips == 1 + len(ROWS)
    cached(model, views["teacher"], tmp_path, "ce+kd")
    assert model.clips == 2 + len(ROWS), "one clip shows the shapes"
    cached(model, views["teacher"], tmp_path, "ce+kd+sp")
    assert model.clips == 3 + 2 * len(ROWS), "the maps are new"


def test_a_damaged_part_is_computed_again(views, tmp_path):
    view, model = views["teacher"], teacher_for(views["teacher"])
    cached(model, view, tmp_path, "ce+kd+sp")
    full = contents(tmp_path)
    for path in tmp_path.rglob("*.npy"):
        if "00000005" in path.name:
            path.write_bytes(path.read_bytes()[:-3])
    cached(model, view, tmp_path, "ce+kd+sp")
    assert contents(tmp_path) == full


def test_outputs_that_do_not_fit_are_not_cached(views, tmp_path):
    view, model = views["teacher"], teacher_for(views["teacher"])
    size = model(view[torch.tensor([0])]).maps[-1].numel() * len(ROWS) * 4e-9
    gram, logits = len(ROWS) ** 2 * 4e-9, len(ROWS) * 2 * 4e-9

    def kept(resident, disk, replay=None):
        return cache_of(model, view, tmp_path, replay, resident, disk).stored_as("map_gram")

    assert kept(gram, gram + size) == ("map_gram", "float32")
    assert kept(gram, gram + 0.9 * size) == ("map", "float16")
    assert kept(gram, 2 * size, replay_of(2)) == ("map", "float16"), "two matrices do not fit"
    assert kept(gram, 0.9 * size, replay_of(2)) is None, "nor do the maps of two views"
    assert kept(0.9 * gram, 2 * size) == ("map", "float16")
    assert kept(0, size / 2) == ("map", "float16")
    assert kept(gram, 0.4 * size) is None
    limits = {"resident": gram, "disk": 0.4 * size}
    cache = cache_of(model, view, tmp_path, **limits)
    cache.fill(required_outputs("ce+kd+sp"))
    assert cache.teacher(required_outputs("ce+kd+sp")) is None
    assert logits < limits["disk"]
    assert cache.teacher(required_outputs("ce+kd")) is not None, "the logits fit all the same"


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    first=st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)),
    second=st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)),
    ids=st.lists(st.sampled_from(["1", "2", "12"]), max_size=3),
    other_ids=st.lists(st.sampled_from(["1", "2", "12"]), max_size=3),
)
def test_outputs_have_one_folder_for_all_that_they_are_made_from(
    tmp_path_factory, first, second, ids, other_ids
):
    top = tmp_path_factory.mktemp("outputs")
    same = (first, ids) == (second, other_ids)
    folder, other = outputs_folder(top, first, ids), outputs_folder(top, second, other_ids)
    assert (folder == other) == same
    assert (folder / "clips.txt").read_text().split() == ids


def test_other_clips_than_the_cached_ones_have_no_outputs(views, targets, tmp_path):
    teacher = cached(teacher_for(views["teacher"]), views["teacher"], tmp_path, "ce+kd+sp")
    batch = next(Batches({}, targets, np.array([0, 23]), 2, 0).epoch(0))
    with pytest.raises(IndexError):
        teacher.outputs(batch)


@pytest.mark.parametrize("resident", [1.0, 0.0])
def test_all_maps_are_cached_as_one_row(views, targets, tmp_path, monkeypatch, resident):
    class Hint(Loss):
        def forward(self, student_maps, teacher_maps): ...

    monkeypatch.setitem(LOSSES, "hint", Hint)
    view, model = views["teacher"], teacher_for(views["teacher"])
    teacher = cached(model, view, tmp_path, "ce+hint", resident=resident)
    for batch in Batches({"teacher": view}, targets, ROWS, 4, 0).epoch(0):
        found, wanted = teacher.outputs(batch)["maps"], model(view[batch.rows]).maps
        assert len(found) == len(wanted) > 1
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if resident else {"rtol": 1e-3, "atol": 1e-3}
        for mine, others in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, others, **tolerance)
