"""Teacher and student get the same augmentation under every key, whatever their front ends."""

import contextlib
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

import config
from config import Augment, Mel
from data.augment import Augmentation
from data.augment.rendering import CELL_MELS, CELL_SECONDS, to_linear, to_log
from data.features.front_end import FrontEnd, band_centres
from data.loading.batches import Batches, ClipFeatures
from data.tables.clips import Clip, ClipTable
from tests.memory_cache import memory_cache

SECONDS, CLIPS = 2.0, 6
MELS = st.builds(
    Mel,
    sample_rate=st.sampled_from((16_000, 22_050, 32_000)),
    channels=st.integers(1, 2),
    stft_window_length_seconds=st.sampled_from((0.025, 0.05, 0.1)),
    stft_hop_length_seconds=st.sampled_from((0.005, 0.01, 0.02)),
    framing=st.sampled_from(("plain", "centred", "kaldi")),
    spectrum=st.sampled_from(("magnitude", "power")),
    num_bands=st.integers(2, 128),
    mel_min_hz=st.sampled_from((0, 20, 125)),
    mel_max_hz=st.sampled_from((4000, 7500, 8000)),
    mel_scale=st.sampled_from(("htk", "slaney")),
    log=st.sampled_from(("natural", "log10", "decibel")),
    log_offset=st.sampled_from((0.01, 1e-5)),
)
WAVEFORMS = st.builds(
    Mel, front_end=st.just("waveform"), sample_rate=st.sampled_from((8_000, 11_025))
)
SEEDS = st.integers(0, 2**31)


def examples(count):
    return settings(derandomize=True, deadline=None, max_examples=count)


def drawn_for(seed, clips=CLIPS, **augment):
    augmentation = Augmentation(Augment(**augment), SECONDS, 16_000.0)
    return augmentation, augmentation.sample(
        torch.arange(clips), torch.Generator().manual_seed(seed)
    )


@cache
def shape_of(grid):
    return FrontEnd(grid).shape(round(SECONDS * grid.sample_rate))


def amplitudes(values, grid):
    """What is as loud as `values` (B, T), in every channel and band: features of the grid."""
    channels, _, *bands = shape_of(grid)
    values = values.reshape(len(values), 1, -1, *[1] * len(bands))
    values = values.expand(-1, channels, -1, *bands)
    return to_log(values.square() if is_power(grid) else values, grid)


def heard(features, grid):
    """The level of features: (B, T), equal in every channel and band."""
    linear = to_linear(features, grid).sqrt() if is_power(grid) else to_linear(features, grid)
    linear = linear.reshape(len(linear), linear.shape[1], linear.shape[2], -1)
    assert torch.equal(linear, linear[:, :1, :, :1].expand_as(linear))
    return linear[:, 0, :, 0]


def is_power(grid):
    return (grid.front_end, grid.spectrum) == ("mel", "power")


def times(grid):
    """When the steps of a grid begin, as equal parts of the clip: (T,) s."""
    steps = shape_of(grid)[1]
    return torch.arange(steps) * (SECONDS / steps)


@examples(30)
@given(MELS)
def test_the_steps_of_a_grid_meet_the_windows_of_its_frames(grid):
    starts, front_end = times(grid), FrontEnd(grid)
    first = torch.arange(len(starts)) * front_end.hop_length
    first = first - (front_end.window_length // 2 if grid.framing == "centred" else 0)
    assert (starts + SECONDS / len(starts) > first / grid.sample_rate).all()
    assert (starts < (first + front_end.window_length) / grid.sample_rate).all()


@examples(30)
@given(MELS | WAVEFORMS, MELS | WAVEFORMS, SEEDS, st.sampled_from((0.05, 1.0, 9.0)))
def test_a_time_mask_hides_the_same_seconds_to_within_a_step(one, other, seed, longest):
    augmentation, params = drawn_for(seed, time_mask_seconds=longest)
    ends, step = [], SECONDS / torch.tensor([shape_of(one)[1], shape_of(other)[1]])
    for grid, length in zip((one, other), step, strict=True):
        sound = amplitudes(torch.ones(CLIPS, shape_of(grid)[1]), grid)
        hidden = heard(augmentation.render(sound, params, grid), grid) < 0.1
        first, last = hidden.int().argmax(1), hidden.shape[1] - hidden.flip(1).int().argmax(1)
        some = hidden.any(1)
        assert torch.equal(hidden.sum(1)[some], (last - first)[some]), "one stretch of each clip"
        assert (params.time_mask.diff(dim=1)[~some] <= length).all(), "only what is short is lost"
        found = torch.stack([first, last], 1) * length
        assert ((found - params.time_mask)[some].abs() <= length + 1e-5).all()
        ends.append(found.masked_fill(~some[:, None], math.nan))
    assert not ((ends[0] - ends[1]).abs() > step.max() + 1e-5).any()


@examples(30)
@given(MELS, MELS, SEEDS)
def test_a_frequency_mask_hides_the_same_hertz_to_within_a_band(one, other, seed):
    augmentation, params = drawn_for(seed, frequency_mask_share=0.375)
    for grid in (one, other):
        sound = amplitudes(torch.ones(CLIPS, 3), replace(grid, channels=1))
        masked = augmentation.render(sound, params, grid)
        hidden = (to_linear(masked, grid) < 0.1).flatten(1, 2).all(1)
        for clip, (low, high) in zip(hidden, params.frequency_mask, strict=True):
            centres = band_centres(grid)
            assert ((centres[clip] >= low) & (centres[clip] < high)).all()
            first, last = torch.searchsorted(centres, torch.stack([low, high])).tolist()
            assert clip.nonzero().flatten().tolist() == list(range(first, last))


@examples(30)
@given(MELS | WAVEFORMS, SEEDS, st.sampled_from((0.3, 1.0, 2.0)))
def test_a_crop_begins_at_its_second_to_within_a_step(grid, seed, seconds):
    augmentation, params = drawn_for(seed, crop_seconds=seconds)
    sound = amplitudes(1 + times(grid).expand(CLIPS, -1), grid)
    found = heard(augmentation.render(sound, params, grid), grid) - 1
    step = SECONDS / shape_of(grid)[1]
    assert found.shape[1] == math.ceil(seconds / step - 1e-6)
    assert ((found[:, 0] - params.crop).abs() <= step + 1e-3).all()
    torch.testing.assert_close(found.diff(dim=1), torch.full_like(found[:, 1:], step), **LOOSE)


LOOSE = {"rtol": 0, "atol": 2e-3}


@examples(30)
@given(MELS | WAVEFORMS, SEEDS)
def test_a_roll_is_of_its_seconds_to_within_a_step(grid, seed):
    augmentation, params = drawn_for(seed, roll_seconds=1.0)
    sound = amplitudes(1 + times(grid).expand(CLIPS, -1), grid)
    found = heard(augmentation.render(sound, params, grid), grid)[:, 0] - 1
    off = (found + params.roll + SECONDS / 2) % SECONDS - SECONDS / 2
    assert (off.abs() <= SECONDS / shape_of(grid)[1]).all()


@examples(30)
@given(MELS | WAVEFORMS, SEEDS, st.sampled_from((0.3, 1.0)), st.sampled_from((0.0, 2.0)))
def test_the_same_clips_are_mixed_by_the_same_weights(grid, seed, share, wave):
    """Each clip is loud in a different segment, which identifies it in a mixture."""
    augmentation, params = drawn_for(
        seed, mixup_alpha=10.0, mixup_prob=share, wave_mixup_alpha=wave
    )
    part = (times(grid) / SECONDS * CLIPS).long()
    sound = amplitudes((part == torch.arange(CLIPS)[:, None]).float(), grid)
    mixed = heard(augmentation.render(sound, params, grid), grid)
    middle = ((torch.arange(CLIPS) + 0.5) / CLIPS * mixed.shape[1]).long()
    torch.testing.assert_close(mixed[:, middle], params.mix_targets(torch.eye(CLIPS)), **LOOSE)


@examples(30)
@given(MELS | WAVEFORMS, SEEDS)
def test_a_gain_is_of_its_decibels(grid, seed):
    augmentation, params = drawn_for(seed, gain_db=12)
    sound = amplitudes(torch.ones(CLIPS, shape_of(grid)[1]), grid)
    found = 20 * heard(augmentation.render(sound, params, grid), grid).log10()
    torch.testing.assert_close(found, params.gain[:, None].expand_as(found), **LOOSE)


@examples(30)
@given(MELS, SEEDS)
def test_a_warp_brings_the_same_hertz_to_the_same_hertz(grid, seed):
    """Features that are the frequencies of their bands."""
    augmentation, params = drawn_for(seed, warp_share=0.2)
    centres = band_centres(grid).double()
    features = centres.float().expand(CLIPS, 1, 3, -1)
    found = augmentation.render(features, params, grid)[:, 0, 0].double()
    wanted = 700 * ((1 + centres / 700) ** (1 + params.warp[:, None].double()) - 1)
    wanted = wanted.clamp(centres[0], centres[-1])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0.1)


def noise_heard(grid, seed):
    """Noise in dB (B, T, F), and the cells (T,), (F,) that the points of the grid lie in."""
    augmentation, params = drawn_for(seed, noise_db=4)
    _, steps, bands = shape_of(grid)
    features = augmentation.render(torch.zeros(CLIPS, 1, steps, bands), params, grid)[:, 0]
    log_unit = {"natural": 1, "log10": math.log(10), "decibel": math.log(10) / 10}[grid.log]
    decibels = features * log_unit * (10 if is_power(grid) else 20) / math.log(10)
    mels = 1127 * np.log1p(band_centres(grid).numpy() / 700)
    return decibels, (times(grid).numpy() / CELL_SECONDS).round(), (mels / CELL_MELS).round()


@examples(30)
@given(MELS, MELS, SEEDS)
def test_noise_is_the_same_wherever_two_grids_meet_in_a_cell(one, other, seed):
    """Its level is everywhere."""
    (a, *cells_a), (b, *cells_b) = noise_heard(one, seed), noise_heard(other, seed)
    rows = np.intersect1d(cells_a[0], cells_b[0], return_indices=True)[1:]
    columns = np.intersect1d(cells_a[1], cells_b[1], return_indices=True)[1:]
    assert len(rows[0]) > 30, "a frame's cell is many grids'"
    common = [x[:, r][:, :, c] for x, r, c in zip((a, b), rows, columns, strict=True)]
    torch.testing.assert_close(*common, rtol=1e-4, atol=1e-4)
    level = drawn_for(seed, noise_db=4)[1].noise
    for field in (a, b):
        assert (field <= level[:, None, None] * 1.0001).all()
        assert (field >= 0).all()


@examples(10)
@given(MELS, SEEDS)
def test_noise_is_the_same_all_over_where_only_the_logarithm_differs(grid, seed):
    other = replace(grid, log="log10", spectrum="power", log_offset=0.3)
    torch.testing.assert_close(noise_heard(grid, seed)[0], noise_heard(other, seed)[0], **LOOSE)


# Through views and batches, for every key ---------------------------------------------------------

EVERY_KEY = {
    "mixup_alpha": Augment(mixup_alpha=10.0),
    "mixup_prob": Augment(mixup_alpha=10.0, mixup_prob=0.5),
    "mixup_domain": Augment(mixup_alpha=10.0, mixup_domain="log", gain_db=6.0),
    "mixup_start_epoch": Augment(mixup_alpha=0.3, mixup_start_epoch=1),
    "wave_mixup_alpha": Augment(wave_mixup_alpha=10.0),
    "wave_mixup_prob": Augment(mixup_alpha=10.0, wave_mixup_alpha=2.0, wave_mixup_prob=0.5),
    "roll_seconds": Augment(roll_seconds=0.5),
    "gain_db": Augment(gain_db=6.0),
    "time_mask_seconds": Augment(time_mask_seconds=0.5),
    "frequency_mask_share": Augment(frequency_mask_share=0.5),
    "mask_with": Augment(time_mask_seconds=0.5, frequency_mask_share=0.4, mask_with="mean"),
    "warp_share": Augment(warp_share=0.1),
    "noise_db": Augment(noise_db=4.0),
    "mixstyle_alpha": Augment(mixstyle_alpha=0.4, gain_db=6.0),
    "mixstyle_prob": Augment(
        mixstyle_alpha=0.4, mixstyle_prob=0.9, mixup_alpha=0.3, time_mask_seconds=0.2
    ),
    "impulse_responses": Augment(impulse_responses="responses"),
    "impulse_response_prob": Augment(impulse_responses="responses", impulse_response_prob=0.5),
    "impulse_response_devices": Augment(
        impulse_responses="responses", impulse_response_devices=("a",)
    ),
    "crop_seconds": Augment(crop_seconds=0.7, mixup_alpha=0.3, time_mask_seconds=0.2),
}
TEACHER = Mel(num_bands=9, spectrum="power", log="decibel", stft_hop_length_seconds=0.02)
STUDENTS = {
    "mel": (Mel(num_bands=5), "global"),
    "stereo": (Mel(num_bands=6, channels=2, sample_rate=32_000, log="log10"), "fixed"),
    "waveform": (Mel(front_end="waveform", sample_rate=500, channels=2), "none"),
}
NOT_OF_WAVEFORMS = {"frequency_mask_share", "mask_with", "warp_share", "noise_db"}
NOT_OF_WAVEFORMS |= {"mixstyle_alpha", "mixstyle_prob", "mixup_domain"}
TRAIN, TABLE_CLIPS = np.array([0, 2, 3, 5, 6, 7, 9, 10, 11]), 12


@pytest.fixture(autouse=True, scope="module")
def _responses(tmp_path_factory):
    """Two, of other rates than the views', in the folder responses."""
    (folder := tmp_path_factory.mktemp("consistency") / "responses").mkdir()
    for name, rate in (("a", 700), ("b", 24_000)):
        samples = np.random.default_rng(rate).standard_normal(rate // 50)
        wavfile.write(folder / f"{name}.wav", rate, np.float32(samples))
    with contextlib.chdir(folder.parent):
        yield


def test_every_key_is_here():
    assert EVERY_KEY.keys() == config.key_fields(Augment).keys()


@cache
def features_of(grid, normalise):
    names = [f"{n:02d}" for n in range(TABLE_CLIPS)]
    clips = [Clip(id=name, path=Path(f"{name}.wav"), labels={"a": 1.0}) for name in names]
    table = ClipTable.of(clips, ("a",), "single_label")
    generator = torch.Generator().manual_seed(grid.num_bands)
    stored = torch.randn(TABLE_CLIPS, *shape_of(grid), generator=generator).half()
    view = ClipFeatures(memory_cache(table, stored, grid), table.ids, torch.device("cpu"), 1.0)
    if normalise == "fixed":
        view.set_normalisation(-4.2677, 9.138)
    else:
        view.normalise(normalise, TRAIN)
    return view


def batches(augment, views, rank=0, world=1):
    augmentation = Augmentation(augment, SECONDS, 16_000.0)
    settings = (torch.eye(TABLE_CLIPS), TRAIN, 5, 3, augmentation)
    return Batches(views, *settings, rank=rank, world=world)


@pytest.mark.parametrize(
    ("key", "student"),
    [(k, s) for k in EVERY_KEY for s in STUDENTS if s != "waveform" or k not in NOT_OF_WAVEFORMS],
)
def test_a_key_is_replayed_by_a_resumed_run_and_shared_by_processes(key, student):
    """Bit for bit, for teacher and student, together and separately."""
    views = {"teacher": features_of(TEACHER, "bands"), "student": features_of(*STUDENTS[student])}
    augment = EVERY_KEY[key]
    throughout = batches(augment, views)
    for epoch in range(2):
        list(throughout.epoch(epoch))
    runs = [throughout, batches(augment, views), *(batches(augment, views, r, 2) for r in (0, 1))]
    alone = [batches(augment, {role: view}) for role, view in views.items()]
    for whole, fresh, *shares_and_alone in zip(*(r.epoch(2) for r in runs + alone), strict=True):
        shares, apart = shares_and_alone[:2], shares_and_alone[2:]
        assert torch.equal(whole.targets, fresh.targets)
        assert torch.equal(whole.targets, shares[1].targets)
        for role, by_itself in zip(views, apart, strict=True):
            features = whole.inputs[role]
            assert torch.equal(features, fresh.inputs[role])
            assert torch.equal(features, torch.cat([share.inputs[role] for share in shares]))
            assert torch.equal(features, by_itself.inputs[role])
            uninterrupted = views[role][whole.rows]
            assert features.shape != uninterrupted.shape or not torch.equal(features, uninterrupted)


def test_a_mask_filled_with_the_mean_is_0_after_normalisation():
    masks = Augment(time_mask_seconds=2.0, frequency_mask_share=0.9, mask_with="mean")
    views = {"teacher": features_of(TEACHER, "bands"), "student": features_of(*STUDENTS["stereo"])}
    hidden = {role: 0 for role in views}
    for batch in batches(masks, views).epoch(0):
        for role, view in views.items():
            changed = batch.inputs[role] != view[batch.rows]
            assert (batch.inputs[role][changed] == 0).all()
            hidden[role] += changed.sum()
    assert all(hidden.values())
