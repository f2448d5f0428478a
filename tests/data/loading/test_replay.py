"""A replayed view of a clip is the same, bit for bit, in every batch and epoch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from config import Augment, Mel
from data.augment import Augmentation
from data.loading.batches import Batches, ClipFeatures
from data.loading.replay import Replay
from data.tables.clips import Clip, ClipTable
from tests.memory_cache import memory_cache

CLIPS, TRAIN = 13, np.array([1, 2, 3, 5, 6, 8, 9, 10, 12])
ALL = Augment(
    mixup_alpha=0.4, roll_seconds=0.3, gain_db=6, time_mask_seconds=0.2, frequency_mask_share=0.2
)
CROPPED = replace(ALL, crop_seconds=0.5)
STYLED = replace(ALL, mixup_prob=0.5, mixstyle_alpha=0.4, mixstyle_prob=0.6)
TWICE = replace(STYLED, wave_mixup_alpha=2.0, wave_mixup_prob=0.5, crop_seconds=0.5)
GRIDS = {
    "teacher": Mel(num_bands=7, spectrum="power", log="decibel"),
    "student": Mel(num_bands=5),
}


def features_of(grid, steps):
    names = [f"{n:02d}" for n in range(CLIPS)]
    clips = [Clip(id=name, path=Path(f"{name}.wav"), labels={"a": 1.0}) for name in names]
    generator = torch.Generator().manual_seed(steps)
    stored = torch.randn(CLIPS, 1, steps, grid.num_bands, generator=generator).half()
    table = ClipTable.of(clips, ("a",), "single_label")
    view = ClipFeatures(memory_cache(table, stored, grid), table.ids, torch.device("cpu"), 1.0)
    view.normalise("bands", TRAIN)
    return view


VIEWS = {"teacher": features_of(GRIDS["teacher"], 37), "student": features_of(GRIDS["student"], 23)}


def replay_of(views=3, seed=0, augment=ALL):
    return Replay(Augmentation(augment, 1.0, 8000.0), TRAIN, views, seed)


def heard(replay, role, rows, view):
    taken, params = replay.take(torch.as_tensor(rows), view)
    return VIEWS[role].augmented(taken, replay.augmentation, params)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rows=st.lists(st.sampled_from(TRAIN.tolist()), min_size=1, max_size=12),
    view=st.integers(0, 2),
    seed=st.integers(0, 5),
    role=st.sampled_from(sorted(GRIDS)),
    augment=st.sampled_from([ALL, CROPPED, STYLED, TWICE]),
)
def test_a_view_of_a_clip_does_not_depend_on_its_batch(rows, view, seed, role, augment):
    replay = replay_of(seed=seed, augment=augment)
    together = heard(replay, role, rows, view)
    alone = torch.cat([heard(replay, role, [row], view) for row in rows])
    assert torch.equal(together, alone)


def by_clip(batches, epoch):
    """role or "targets" -> (clips, ...) in the order of the rows; and the index of the view."""
    found = list(batches.epoch(epoch))
    order = torch.cat([batch.rows for batch in found]).argsort()
    values = {role: torch.cat([b.inputs[role] for b in found])[order] for role in VIEWS}
    values["targets"] = torch.cat([batch.targets for batch in found])[order]
    return values, {batch.view_index for batch in found}


@pytest.mark.parametrize(
    "augment", [ALL, CROPPED, STYLED, TWICE, Augment(gain_db=6, roll_seconds=0.3)]
)
def test_epochs_replay_the_views_in_turn_in_batches_of_any_size(augment):
    replay, targets = replay_of(augment=augment), torch.eye(CLIPS)
    small = Batches(VIEWS, targets, TRAIN, 2, seed=1, replay=replay)
    large = Batches(VIEWS, targets, TRAIN, 7, seed=9, replay=replay)
    for epoch in range(4):
        values, index = by_clip(small, epoch)
        again, same_index = by_clip(large, epoch + 3)
        assert index == same_index == {epoch % 3}
        for name in values:
            assert torch.equal(values[name], again[name])
        for role in VIEWS:
            assert torch.equal(values[role], heard(replay, role, TRAIN, epoch % 3))
        other, _ = by_clip(small, epoch + 1)
        assert not torch.equal(values["student"], other["student"])


@pytest.mark.parametrize("augment", [CROPPED, STYLED, TWICE])
def test_processes_share_replayed_batches(augment):
    replay, targets = replay_of(augment=augment), torch.eye(CLIPS)
    whole, *shares = (
        Batches(VIEWS, targets, TRAIN, 5, 1, replay=replay, rank=rank, world=world).epoch(1)
        for rank, world in ((0, 1), (0, 2), (1, 2))
    )
    for batch, *parts in zip(whole, *shares, strict=True):
        for role, features in batch.inputs.items():
            assert torch.equal(features, torch.cat([part.inputs[role] for part in parts]))
        assert all(torch.equal(part.targets, batch.targets) for part in parts)


def test_teacher_student_and_targets_mix_the_same_clip_by_the_same_share():
    """Features that are the clip's number everywhere, below no logarithm, show what was mixed."""
    grid = Mel(num_bands=2, log="none")
    number = torch.arange(CLIPS).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 2).half()
    view = features_of(grid, 4)
    view.normalise("none", TRAIN)
    view.resident = number
    replay = replay_of(augment=Augment(mixup_alpha=1.0))
    batches = Batches({"student": view}, torch.eye(CLIPS), TRAIN, 4, seed=0, replay=replay)
    partners = []
    for batch in batches.epoch(0):
        own = batch.targets[torch.arange(len(batch.rows)), batch.rows]
        assert (own >= 0.5).all()
        assert ((batch.targets > 0).sum(1) == 2).all()
        numbers = batch.targets @ torch.arange(CLIPS).float()
        torch.testing.assert_close(batch.inputs["student"][:, 0, 0, 0], numbers)
        others = batch.targets.clone()
        others[torch.arange(len(batch.rows)), batch.rows] = 0
        partners += others.argmax(1).tolist()
    assert sorted(partners) == TRAIN.tolist(), "training clips alone are mixed in, each once"


def test_a_fingerprint_depends_on_the_parameters():
    assert replay_of().fingerprint(1) == replay_of(views=2).fingerprint(1)
    different = [
        replay_of().fingerprint(0),
        replay_of().fingerprint(1),
        replay_of(seed=1).fingerprint(0),
        replay_of(augment=Augment(mixup_alpha=0.4)).fingerprint(0),
        replay_of(augment=Augment(mixup_alpha=0.5)).fingerprint(0),
        replay_of(augment=Augment(mixstyle_alpha=0.4)).fingerprint(0),
        replay_of(augment=Augment(wave_mixup_alpha=0.4)).fingerprint(0),
        replay_of(augment=Augment(wave_mixup_alpha=0.5)).fingerprint(0),
        replay_of(augment=Augment(crop_seconds=0.5)).fingerprint(0),
        replay_of(augment=Augment(crop_seconds=0.4)).fingerprint(0),
    ]
    assert len(set(different)) == len(different)


@pytest.mark.parametrize(
    ("augment", "other"),
    [
        (Augment(mixup_alpha=0.4), Augment(mixup_alpha=0.4, mixup_domain="log")),
        (ALL, replace(ALL, mask_with="mean")),
    ],
)
def test_a_fingerprint_depends_on_how_the_parameters_are_rendered(augment, other):
    one, two = replay_of(augment=augment), replay_of(augment=other)
    assert torch.equal(one.params[0].weight, two.params[0].weight)
    assert one.fingerprint(0) != two.fingerprint(0)


def test_a_fingerprint_depends_on_the_length_of_the_clips():
    """A roll by as many seconds is another share of the clip."""
    roll = Augment(roll_seconds=0.3)
    short, long = (Replay(Augmentation(roll, s, 8000.0), TRAIN, 1, 0) for s in (1.0, 2.0))
    assert torch.equal(short.params[0].roll, long.params[0].roll)
    assert short.fingerprint(0) != long.fingerprint(0)


def test_a_clip_without_parameters_is_an_error():
    with pytest.raises(IndexError):
        replay_of().take(torch.tensor([1, 4]), 0)
