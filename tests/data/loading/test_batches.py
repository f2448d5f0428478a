import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from config import Augment, Mel, UserError
from data.augment import Augmentation
from data.loading.batches import Batches, ClipFeatures, DeviceTargets, share
from data.tables.clips import Clip, ClipTable
from tests.memory_cache import memory_cache

CPU = torch.device("cpu")


def cache(ids, channels=1, step=0.0):
    """Each clip is its number, and more by `step` from one frame to the next."""
    clips = [Clip(id=i, path=Path(i), labels={"a": 1.0}) for i in ids]
    table = ClipTable.of(clips, ("a",), "single_label")
    numbers = torch.tensor([float(i) for i in table.ids])
    stored = numbers.reshape(-1, 1, 1, 1).expand(-1, channels, 4, 2)
    stored = (stored + step * torch.arange(4.0)[:, None]).half()
    return memory_cache(table, stored, Mel(num_bands=2), "features/x")


@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_view_finds_clips_by_id_whatever_the_order_of_its_cache(gigabytes, channels):
    found = ClipFeatures(cache(["3", "1", "2"], channels), np.array(["2", "3"]), CPU, gigabytes)
    assert (found.resident is None) == (gigabytes == 0.0)
    batch = found[torch.tensor([1, 0, 0])]
    assert batch.dtype == torch.float32
    assert batch.shape == (3, channels, 4, 2)
    assert batch[:, 0, 0, 0].tolist() == [3, 2, 2]


def test_a_clip_without_features_is_named():
    with pytest.raises(UserError, match="'7'"):
        ClipFeatures(cache(["1"]), np.array(["1", "7"]), CPU, 1.0)


@pytest.mark.parametrize("kind", ["global", "bands"])
def test_normalisation_is_measured_on_the_training_clips_only(kind):
    stored = torch.randn(100, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    stored[..., 1] = stored[..., 1] * 3 + 5
    source = cache([f"{n:02d}" for n in range(100)])
    source.gather = lambda rows, **_: stored[torch.as_tensor(rows)].half()
    view = ClipFeatures(source, source.table.ids, CPU, 1.0)
    view.normalise(kind, np.arange(80))
    scaled = view[torch.arange(80)]
    axes = (0, 1, 2) if kind == "bands" else (0, 1, 2, 3)
    torch.testing.assert_close(scaled.mean(axes), torch.zeros_like(view.mean).squeeze(), **LOOSE)
    std = scaled.std(axes, correction=0)
    torch.testing.assert_close(std, torch.ones_like(std), **LOOSE)
    view.normalise("none", np.arange(80))
    torch.testing.assert_close(view[torch.arange(5)], stored[:5].half().float())


@pytest.mark.parametrize(("kind", "value"), [("bands", 0.0), ("bands", -4.605), ("global", -4.605)])
def test_constant_features_are_centred_and_not_scaled(kind, value):
    stored = torch.randn(50, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    stored[..., 1] = value  # of a mel filter without a bin, say
    if kind == "global":
        stored[:] = value
    source = cache([f"{n:02d}" for n in range(50)])
    source.gather = lambda rows, **_: stored[torch.as_tensor(rows)].half()
    view = ClipFeatures(source, source.table.ids, CPU, 1.0)
    view.normalise(kind, np.arange(50))
    assert view.std[-1] == 1
    assert view[torch.arange(50)][..., 1].abs().max() < 1e-6
    assert view.scale(stored.clone())[..., 1].abs().max() < 2e-3, (
        "float32 features, as an export computes"
    )
    if kind == "bands":
        ordinary = stored[..., 0].half().float().std(correction=0)
        torch.testing.assert_close(view.std[0], ordinary, rtol=1e-6, atol=0)


def test_a_normalisation_may_be_given():
    view = ClipFeatures(cache(["1", "5"]), np.array(["1", "5"]), CPU, 1.0)
    view.set_normalisation(2.0, 4.0)
    assert view[torch.tensor([0, 1])][:, 0, 0, 0].tolist() == [-0.25, 0.75]


LOOSE = {"rtol": 1e-3, "atol": 1e-3}


def batches(augmentation=None, seed=0, rank=0, world=1, step=0.0):
    source = cache([f"{n:02d}" for n in range(10)], step=step)
    view = ClipFeatures(source, source.table.ids, CPU, 1.0)
    targets = torch.eye(10)
    rows = np.arange(2, 10)
    return Batches({"student": view}, targets, rows, 3, seed, augmentation, rank=rank, world=world)


def test_an_epoch_holds_every_training_clip_once_and_the_last_batch_is_short():
    found = list(batches().epoch(0))
    assert len(found) == len(batches()) == 3
    rows = torch.cat([batch.rows for batch in found])
    assert sorted(rows.tolist()) == list(range(2, 10))
    for batch in found:
        assert torch.equal(batch.targets, torch.eye(10)[batch.rows])
        assert torch.equal(batch.inputs["student"][:, 0, 0, 0], batch.rows.float())


def test_an_epoch_depends_on_seed_and_epoch_only():
    augmentation = Augmentation(Augment(mixup_alpha=0.3, gain_db=3), 1.0, 8000.0)

    def inputs(seed, epoch):
        return torch.cat([b.inputs["student"] for b in batches(augmentation, seed).epoch(epoch)])

    assert torch.equal(inputs(0, 5), inputs(0, 5))
    assert not torch.equal(inputs(0, 5), inputs(0, 6))
    assert not torch.equal(inputs(0, 5), inputs(1, 5))


def test_mixup_may_begin_late():
    late = Augmentation(Augment(mixup_alpha=1.0, mixup_start_epoch=2), 1.0, 8000.0)

    def mixed(epoch):
        targets = torch.cat([batch.targets for batch in batches(late).epoch(epoch)])
        return int(((targets > 0).sum(1) == 2).sum())

    assert [mixed(epoch) for epoch in range(4)] == [0, 0, 8, 8]


def test_training_crops_are_shorter_and_evaluation_uses_full_clips():
    cropping = batches(Augmentation(Augment(crop_seconds=0.5), 1.0, 8000.0))
    assert {batch.inputs["student"].shape[1:] for batch in cropping.epoch(0)} == {(1, 2, 2)}
    assert cropping.features["student"][torch.arange(2)].shape == (2, 1, 4, 2)


def test_mixed_targets_stay_distributions():
    augmentation = Augmentation(Augment(mixup_alpha=1.0), 1.0, 8000.0)
    for batch in batches(augmentation).epoch(0):
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.rows)))
        assert (batch.targets > 0).sum(1).max() == 2


def test_shares_are_even_and_none_is_empty():
    assert [share(7, rank, 3) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert [share(2, rank, 4) for rank in range(4)] == [
        slice(0, 1),  # for another: it has none of its own
        slice(0, 1),
        slice(1, 2),
        slice(1, 2),
    ]


@pytest.mark.parametrize(
    "augmentation",
    [
        None,
        Augmentation(Augment(mixup_alpha=0.3), 1.0, 8000.0),
        Augmentation(Augment(mixup_alpha=0.3, crop_seconds=0.5), 1.0, 8000.0),
        Augmentation(Augment(mixup_alpha=0.3, wave_mixup_alpha=2.0), 1.0, 8000.0),
        Augmentation(Augment(wave_mixup_alpha=2.0, crop_seconds=0.5), 1.0, 8000.0),
    ],
)
@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(augmentation, world):
    ranks = [
        batches(augmentation, rank=rank, world=world, step=0.25).epoch(1) for rank in range(world)
    ]
    for whole, *shares in zip(batches(augmentation, step=0.25).epoch(1), *ranks, strict=True):
        clips, found = len(whole.rows), []
        for rank, part in enumerate(shares):
            assert torch.equal(part.rows, whole.rows)
            assert torch.equal(part.targets, whole.targets)
            counted = clips * (rank + 1) // world - clips * rank // world
            found.append(part.inputs["student"][:counted])
        torch.testing.assert_close(torch.cat(found), whole.inputs["student"])


# Recordings ---------------------------------------------------------------------------------------

NAMES = ["", "", "b", "a", "b", "a", "c", "c"]  # of which the clips 0 to 7 are slices


def sliced(gigabytes, lost=()):
    """Clips with features of -1; frame t of recording n has the value 100 n + t."""
    clips = [
        Clip(str(k), Path("x"), {"a": 1.0}, extras={"recording": name})
        for k, name in enumerate(NAMES)
    ]
    table = ClipTable.of(clips, ("a",), "single_label")
    grid = Mel(num_bands=2, log="none")
    names = [name for name in "abc" if name not in lost]
    whole = ClipTable.of([Clip(n, Path(n), {"a": 1.0}) for n in names], ("a",), "single_label")
    frames = 100 * torch.arange(len(names)).reshape(-1, 1, 1, 1) + torch.arange(40.0)[:, None]
    recordings = memory_cache(whole, frames.expand(-1, 1, 40, 2).half(), grid)
    return ClipFeatures(
        *(memory_cache(table, torch.full((8, 1, 4, 2), -1.0).half(), grid), table.ids, CPU),
        gigabytes,
        recordings,
    )


@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_training_crops_recordings_for_any_number_of_processes(gigabytes, mixup):
    view, settings = sliced(gigabytes), Augment(mixup_alpha=mixup)
    cutting = Augmentation(settings, 1.0, 8000.0, recording_seconds=10.0)
    assert view.reads_disk == (gigabytes == 0.0)

    def epoch(rank, world):
        of_two = {"rank": rank, "world": world}
        rows = np.arange(2, 8)
        made = Batches({"student": view}, torch.eye(8), rows, 4, 0, cutting, **of_two)
        return list(made.epoch(0))

    whole, starts = epoch(0, 1), set()
    for batch, *parts in zip(whole, epoch(0, 2), epoch(1, 2), strict=True):
        heard = batch.inputs["student"]
        assert torch.equal(torch.cat([part.inputs["student"] for part in parts]), heard)
        assert heard.shape[1:] == view.shape == (1, 4, 2)
        first, ahead = heard[:, 0, :1], torch.arange(4.0)[:, None]
        torch.testing.assert_close(heard[:, 0], first + ahead)
        if not mixup:
            numbers = [100 * "abc".index(NAMES[row]) for row in batch.rows]
            start = first[:, 0, 0] - torch.tensor(numbers)
            assert ((start >= 0) & (start <= 36)).all()
            starts |= set(start.tolist())
    assert mixup or len(starts) > 3
    assert (view[torch.arange(8)] == -1).all(), "evaluation hears the slices"


@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
def test_a_clip_of_no_recording_is_not_trained_on_another(gigabytes):
    with pytest.raises(IndexError):
        sliced(gigabytes).fetch(torch.tensor([2, 1]))


def test_clips_and_recordings_share_the_feature_memory():
    view = sliced(500e-9)  # 128 bytes of clips leave no room for 480 of recordings
    assert view.resident is not None
    assert view.reads_disk
    assert not sliced(610e-9).reads_disk


def test_a_recording_without_features_is_named():
    with pytest.raises(UserError, match="no features of clip 'c'; run make_mel.py again"):
        sliced(1.0, lost="c")


# Prefetching --------------------------------------------------------------------------------------


def loaded(prefetch, gigabytes=0.0, augmentation=None):
    source = cache([f"{n:02d}" for n in range(10)])
    views = {role: ClipFeatures(source, source.table.ids, CPU, gigabytes) for role in ("a", "b")}
    views["a"].normalise("global", np.arange(2, 10))
    targets = DeviceTargets(source.table.targets, CPU)
    return Batches(views, targets, np.arange(2, 10), 3, 0, augmentation, prefetch=prefetch)


def assert_same_batches(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.targets, other.targets)
        assert one.inputs.keys() == other.inputs.keys()
        assert all(torch.equal(one.inputs[role], other.inputs[role]) for role in one.inputs)


@pytest.mark.parametrize(
    "augment", [Augment(), Augment(mixup_alpha=0.3, gain_db=3, roll_seconds=0.5)]
)
@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
def test_prefetched_batches_are_those_of_the_plain_way_bit_for_bit(augment, gigabytes):
    augmentation = Augmentation(augment, 1.0, 8000.0) if augment != Augment() else None
    plain, ahead = (loaded(way, gigabytes, augmentation) for way in (False, True))
    assert ahead.prefetch == (gigabytes == 0.0)
    for epoch in range(3):
        assert_same_batches(ahead.epoch(epoch), plain.epoch(epoch))


@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
def test_normalising_a_batch_does_not_change_the_cache(gigabytes):
    source = cache([f"{n:02d}" for n in range(10)])
    view = ClipFeatures(source, source.table.ids, CPU, gigabytes)
    view.normalise("global", np.arange(10))
    rows = torch.arange(10)
    once, twice = view[rows], view[rows]
    assert torch.equal(once, twice)
    assert torch.equal(once, (view.features(rows) - view.mean) / view.std)


def test_errors_of_the_thread_are_raised_in_the_epoch():
    broken = loaded(True)

    def gather(rows, **_):
        raise OSError("the disk is gone")

    broken.features["b"].cache.gather = gather
    with pytest.raises(OSError, match="the disk is gone"):
        list(broken.epoch(0))


def test_an_epoch_that_is_broken_off_leaves_no_thread():
    epoch = loaded(True).epoch(0)
    next(epoch)
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    epoch.close()
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize(("alpha", "wave"), [(0.0, 0.0), (0.4, 0.0), (0.0, 2.0), (0.4, 2.0)])
def test_a_batch_has_the_shares_of_mixed_clips(alpha, wave):
    source = cache([f"{n:02d}" for n in range(24)])
    view = ClipFeatures(source, source.table.ids, CPU, 1.0)
    targets = torch.eye(24)
    settings = Augment(mixup_alpha=alpha, wave_mixup_alpha=wave, gain_db=3.0)
    augmentation = Augmentation(settings, 1.0, 8000.0)
    for batch in Batches({"student": view}, targets, np.arange(24), 10, 0, augmentation).epoch(0):
        if alpha or wave:
            assert (batch.mix.diagonal() < 1).any()
            assert (batch.mix > 0).sum(1).max() == (4 if alpha and wave else 2)
            torch.testing.assert_close(batch.mix @ targets[batch.rows], batch.targets)
        else:
            assert batch.mix is None
