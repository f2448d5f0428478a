import math
from dataclasses import replace

import pytest
import torch

from config import Augment, ConfigError, Mel
from data.augment import Augmentation
from data.augment.params import AugmentParams, beta
from data.augment.rendering import to_log
from data.features.front_end import band_centres

SECONDS = 1.0
GRID = Mel(num_bands=16)


def still(clips, **changed):
    """AugmentParams without effect, except for the given ones."""
    nothing = {
        "partner": torch.arange(clips),
        "weight": torch.ones(clips),
        "roll": torch.zeros(clips),
        "gain": torch.zeros(clips),
        "time_mask": torch.zeros(clips, 2),
        "frequency_mask": torch.zeros(clips, 2),
        "crop": torch.zeros(clips),
        "warp": torch.zeros(clips),
        "noise": torch.zeros(clips),
        "noise_seed": torch.zeros(clips, dtype=torch.long),
        "response": torch.full((clips,), -1),
        "style_partner": torch.arange(clips),
        "style_weight": torch.ones(clips),
        "wave_partner": torch.arange(clips),
        "wave_weight": torch.ones(clips),
    }
    return AugmentParams(**{**nothing, **changed})


def features(clips=3, steps=100, bands=16):
    generator = torch.Generator().manual_seed(0)
    return torch.rand((clips, 1, steps, bands), generator=generator) * 4 - 4


def augmentation(**settings):
    return Augmentation(Augment(**settings), SECONDS, 8000.0)


def test_nothing_is_the_default():
    x = features()
    assert torch.equal(augmentation().render(x, still(3), GRID), x)


def test_gain_adds_decibels_to_the_amplitude_below_the_logarithm():
    x = to_log(torch.full((1, 1, 4, 16), 0.5), GRID)
    louder = augmentation(gain_db=6).render(x, still(1, gain=torch.tensor([20.0])), GRID)
    assert louder.exp().sub(GRID.log_offset).allclose(torch.tensor(5.0))
    power = Mel(num_bands=16, spectrum="power")
    louder = augmentation(gain_db=6).render(x, still(1, gain=torch.tensor([20.0])), power)
    assert louder.exp().sub(GRID.log_offset).allclose(torch.tensor(50.0))


def test_mixup_of_log_mels_mixes_them_by_the_same_weights_as_the_targets():
    x = torch.randn(3, 1, 4, GRID.num_bands)
    params = still(3, partner=torch.tensor([1, 2, 0]), weight=torch.tensor([0.7, 1.0, 0.5]))
    mixing = augmentation(mixup_alpha=0.3, mixup_domain="log")
    found, share = mixing.render(x, params, GRID), params.weight[:, None, None, None]
    torch.testing.assert_close(found, share * x + (1 - share) * x[[1, 2, 0]])
    for other in (Mel(front_end="waveform"), Mel(log="none")):
        with pytest.raises(ConfigError, match="mixup_domain: log requires log-mels, found "):
            mixing.check(other)


def test_mixup_mixes_linear_features_and_targets_with_the_same_weights():
    x = features(2)
    params = still(2, partner=torch.tensor([1, 0]), weight=torch.tensor([0.75, 1.0]))
    mixed = augmentation(mixup_alpha=0.2).render(x, params, GRID)
    linear = x.exp() - GRID.log_offset
    wanted = (0.75 * linear[0] + 0.25 * linear[1] + GRID.log_offset).log()
    torch.testing.assert_close(mixed[0], wanted)
    torch.testing.assert_close(mixed[1], x[1])
    assert params.mix(torch.eye(2)).tolist() == [[0.75, 0.25], [0.0, 1.0]]


@pytest.mark.parametrize("spectrum", ["magnitude", "power"])
def test_a_first_mixup_is_of_amplitudes_and_the_second_of_log_mels(spectrum):
    """By hand, of two clips: powers are multiplied by the squares of the weights."""
    grid = Mel(num_bands=1, spectrum=spectrum, log_offset=0.01)
    loud, soft = 4.0, 1.0
    x = torch.tensor([loud, soft], dtype=torch.float64).add(0.01).log().reshape(2, 1, 1, 1)
    order, first, second = torch.tensor([1, 0]), (0.75, 0.5), (0.9, 0.6)
    params = still(
        2,
        partner=order,
        weight=torch.tensor(second, dtype=torch.float64),
        wave_partner=order,
        wave_weight=torch.tensor(first, dtype=torch.float64),
    )
    power = 2 if spectrum == "power" else 1
    one = math.log(0.75**power * loud + 0.25**power * soft + 0.01)
    two = math.log(0.5**power * soft + 0.5**power * loud + 0.01)
    settings = {"wave_mixup_alpha": 2.0, "mixup_alpha": 0.3, "mixup_domain": "log"}
    found = augmentation(**settings).render(x, params, grid)
    wanted = [0.9 * one + 0.1 * two, 0.6 * two + 0.4 * one]
    assert found.flatten().tolist() == pytest.approx(wanted, rel=1e-12)
    found = augmentation(wave_mixup_alpha=2.0).render(x, params, grid)
    assert found.flatten().tolist() == pytest.approx([one, two], rel=1e-12)
    labels = params.mix_targets(torch.eye(2, dtype=torch.float64))
    wanted = [0.9 * 0.75 + 0.1 * 0.5, 0.9 * 0.25 + 0.1 * 0.5]
    wanted += [0.6 * 0.5 + 0.4 * 0.75, 0.6 * 0.5 + 0.4 * 0.25]
    assert labels.flatten().tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_first_mixup_of_waveforms_is_their_weighted_sum():
    x = torch.tensor([[1.0, -2.0], [3.0, 5.0]])[:, None]
    params = still(2, wave_partner=torch.tensor([1, 0]), wave_weight=torch.tensor([0.75, 0.5]))
    found = augmentation(wave_mixup_alpha=2.0).render(x, params, WAVEFORM)
    assert found[:, 0].tolist() == [[1.5, -0.25], [2.0, 1.5]]


def test_each_clip_rolls_by_itself_on_every_grid():
    fine, coarse = features(2, 100), features(2, 50)
    params = still(2, roll=torch.tensor([0.1, -0.2]))
    turned = augmentation(roll_seconds=0.5).render(fine, params, GRID)
    assert torch.equal(turned[0], fine[0].roll(10, dims=1))
    assert torch.equal(turned[1], fine[1].roll(-20, dims=1))
    turned = augmentation(roll_seconds=0.5).render(coarse, params, GRID)
    assert torch.equal(turned[0], coarse[0].roll(5, dims=1))


def test_a_time_mask_is_silence_for_its_seconds():
    x = features(1)
    params = still(1, time_mask=torch.tensor([[0.2, 0.5]]))
    masked = augmentation(time_mask_seconds=0.4).render(x, params, GRID)
    hidden = masked[0, 0] == math.log(GRID.log_offset)
    assert hidden.all(1).nonzero().flatten().tolist() == list(range(20, 50))
    assert torch.equal(masked[0, 0, :20], x[0, 0, :20])


@pytest.mark.parametrize("masks", ["time_mask_seconds", "frequency_mask_share"])
@pytest.mark.parametrize("kaldi", [False, True])
def test_the_values_of_masks(masks, kaldi):
    """By hand: before normalisation a mask is the logarithm of 0, 0, or the mean."""
    offset = {"framing": "kaldi", "log_offset": 0.0} if kaldi else {}
    grid, mean = Mel(num_bands=16, **offset), torch.arange(16.0)
    params = still(1, time_mask=torch.tensor([[0, 9]]), frequency_mask=torch.tensor([[0, 9e3]]))
    silence = math.log(2**-23 if kaldi else 0.01)
    fillings = {"silence": torch.full((16,), silence), "zero": torch.zeros(16), "mean": mean}
    for name, wanted in fillings.items():
        masking = augmentation(mask_with=name, **{masks: 0.5})
        found = masking.render(features(1), params, grid, mean)
        torch.testing.assert_close(found[0, 0], wanted.expand(100, 16))


def test_silence_equals_a_mask_before_the_logarithm():
    """As in the DCASE 2024 baseline: bands of the power become 0, then log(power + 1e-5)."""
    grid = Mel(num_bands=16, spectrum="power", log_offset=1e-5)
    power = features(1).exp()
    params = still(1, frequency_mask=torch.tensor([[500.0, 2000.0]]))
    found = augmentation(frequency_mask_share=0.3).render(to_log(power, grid), params, grid)
    heard = (band_centres(grid) < 500) | (band_centres(grid) >= 2000)
    torch.testing.assert_close(found, (power * heard + 1e-5).log())


def test_amplitudes_are_mixed_whatever_the_spectrum():
    """Two clips that do not overlap: equal levels in power and in magnitude."""
    sound = torch.tensor([[3.0, 0.0], [0.0, 4.0]])[:, None, None]
    params = still(2, partner=torch.tensor([1, 0]), weight=torch.tensor([0.75, 0.9]))
    mixing, plain = augmentation(mixup_alpha=1), {"num_bands": 2, "log": "none"}
    magnitude = mixing.render(sound, params, Mel(**plain))
    torch.testing.assert_close(magnitude[:, 0, 0], torch.tensor([[2.25, 1.0], [0.3, 3.6]]))
    power = mixing.render(sound.square(), params, Mel(**plain, spectrum="power"))
    torch.testing.assert_close(power, magnitude.square())


@pytest.mark.parametrize(
    ("grid", "unit"),
    [
        (Mel(num_bands=16, spectrum="power", log="decibel"), 1.0),
        (Mel(num_bands=16, log="decibel"), 0.5),  # 10 log10 of a magnitude
        (Mel(num_bands=16, spectrum="power"), math.log(10) / 10),
        (Mel(num_bands=16, log="log10"), 0.05),
    ],
)
def test_noise_is_between_nothing_and_its_decibels(grid, unit):
    params = still(3, noise=torch.tensor([0.0, 2.0, 4.0]), noise_seed=torch.tensor([5, 6, 6]))
    added = augmentation(noise_db=4).render(torch.zeros(3, 1, 100, 16), params, grid) / unit
    assert not added[0].any()
    torch.testing.assert_close(added[2], 2 * added[1])
    assert added.min() >= 0
    assert 3.9 < added.max() < 4
    assert added[2].mean().item() == pytest.approx(2, abs=0.1)


def test_pslas_noise_is_two_decibels():
    """0.1 of the std 4.5699 of natural logarithms of Kaldi's power; AST's std is 2."""
    params = still(1, noise=torch.tensor([2.0]), noise_seed=torch.tensor([1]))
    grid = Mel(num_bands=16, spectrum="power")
    added = augmentation(noise_db=2).render(torch.zeros(1, 1, 100, 16), params, grid)
    assert added.max().item() == pytest.approx(0.1 * 4.5699, rel=0.02)


@pytest.mark.parametrize("bands", [16, 40])
def test_a_frequency_mask_hides_the_same_hertz_on_every_grid(bands):
    grid = Mel(num_bands=bands)
    params = still(1, frequency_mask=torch.tensor([[500.0, 2000.0]]))
    masked = augmentation(frequency_mask_share=0.3).render(features(1, 10, bands), params, grid)
    hidden = (masked[0, 0] == math.log(grid.log_offset)).all(0)
    centres = band_centres(grid)
    assert torch.equal(hidden, (centres >= 500) & (centres < 2000))
    assert hidden.any()


@pytest.mark.parametrize(
    ("settings", "grid", "message"),
    [
        ({"frequency_mask_share": 0.1}, {"front_end": "waveform"}, "no bands to mask"),
        ({"warp_share": 0.1}, {"front_end": "waveform"}, "warp_share: a raw waveform has no bands"),
        (
            {"mixstyle_alpha": 1},
            {"front_end": "waveform"},
            "mixstyle_alpha: a raw waveform has no bands",
        ),
        ({"noise_db": 1}, {"front_end": "waveform"}, "noise_db: is added to log-mels, found FRONT"),
        ({"noise_db": 1}, {"log": "none"}, "log-mels, found LOG = none"),
    ],
)
def test_unsupported_augmentations_are_refused(settings, grid, message):
    with pytest.raises(ConfigError, match=message):
        augmentation(**settings).check(Mel(**grid))


@pytest.mark.parametrize(
    "settings",
    [
        {"mixup_alpha": 0.3},
        {"wave_mixup_alpha": 2.0},
        {"gain_db": 6.0},
        {"impulse_responses": "responses"},
    ],
)
def test_padding_of_zeros_after_the_logarithm_is_no_amplitude(settings, monkeypatch):
    monkeypatch.setattr("data.augment.read_responses", lambda folder: None)
    name, grid = next(iter(settings)), Mel(padding="log_zero")
    message = rf"\[augment\] {name}: is of amplitudes: .* PADDING = signal, found log_zero"
    with pytest.raises(ConfigError, match=message):
        augmentation(**settings).check(grid)
    for supported in (replace(grid, log="none"), Mel(front_end="waveform", padding="log_zero")):
        augmentation(**settings).check(supported)
    augmentation(mixup_alpha=0.3, mixup_domain="log", noise_db=2.0).check(grid)


def test_samples_are_in_range_and_depend_on_the_generator():
    drawing = augmentation(
        mixup_alpha=0.4, roll_seconds=0.3, gain_db=6, time_mask_seconds=5, frequency_mask_share=0.2
    )
    params = drawing.sample(torch.arange(500), torch.Generator().manual_seed(3))
    again = drawing.sample(torch.arange(500), torch.Generator().manual_seed(3))
    assert torch.equal(params.gain, again.gain)
    assert params.weight.min() >= 0.5
    assert params.weight.max() <= 1
    assert params.roll.abs().max() <= 0.3
    assert params.gain.abs().max() <= 6
    assert params.time_mask.min() >= 0
    assert params.time_mask.max() <= SECONDS
    assert sorted(params.partner.tolist()) == list(range(500))
    mels = 1127 * torch.log1p(params.frequency_mask / 700)
    assert (mels[:, 1] - mels[:, 0]).max() <= 0.2 * 1127 * math.log1p(8000 / 700) + 1e-3


def test_only_a_share_of_the_clips_is_mixed():
    drawing = augmentation(mixup_alpha=10.0, mixup_prob=0.3)
    weight = drawing.sample(torch.arange(10_000), torch.Generator().manual_seed(0)).weight
    assert (weight < 1).float().mean().item() == pytest.approx(0.3, abs=0.02)
    none = augmentation(mixup_alpha=10.0, mixup_prob=0).sample(
        torch.arange(100), torch.Generator().manual_seed(0)
    )
    assert (none.weight == 1).all()


def test_the_two_mixups_have_their_own_partners_weights_and_probabilities():
    """Beta(2, 2) folded to [0.5, 1] has the mean 11 / 16."""
    drawing = augmentation(mixup_alpha=10.0, wave_mixup_alpha=2.0, wave_mixup_prob=0.5)
    params = drawing.sample(torch.arange(20_000), torch.Generator().manual_seed(0))
    mixed = params.wave_weight < 1
    assert mixed.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert params.wave_weight.min() >= 0.5
    assert params.wave_weight[mixed].mean().item() == pytest.approx(11 / 16, abs=0.005)
    assert (params.weight < 1).all()
    assert sorted(params.wave_partner.tolist()) == list(range(20_000))
    for clips in (2, 3, 4, 5):
        params = drawing.sample(torch.arange(clips), torch.Generator().manual_seed(0))
        assert (params.wave_partner != torch.arange(clips)).all()
        assert (params.wave_partner != params.partner).all() or clips == 2


def test_a_first_mixup_changes_no_other_parameter_and_begins_with_the_second():
    old = {"mixup_alpha": 0.4, "mixup_start_epoch": 2, "gain_db": 6, "mixstyle_alpha": 0.4}
    before, after = (
        augmentation(**old, **new).sample(torch.arange(50), torch.Generator().manual_seed(1), 2)
        for new in ({}, {"wave_mixup_alpha": 2.0})
    )
    for name in ("partner", "weight", "gain", "style_partner", "style_weight"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert (before.wave_weight == 1).all()
    assert (after.wave_weight < 1).any()
    early = augmentation(**old, wave_mixup_alpha=2.0).sample(torch.arange(50), torch.Generator(), 1)
    assert (early.wave_weight == 1).all()
    assert (early.weight == 1).all()


def test_disabled_augmentations_use_no_random_numbers():
    """So that runs from before these keys existed are reproduced."""
    old = {"mixup_alpha": 0.4, "roll_seconds": 0.3, "gain_db": 6, "crop_seconds": 0.5}
    before = augmentation(**old).sample(torch.arange(50), torch.Generator().manual_seed(1))
    new = augmentation(**old, warp_share=0.1, noise_db=4).sample(
        torch.arange(50), torch.Generator().manual_seed(1)
    )
    for name in ("weight", "roll", "gain", "time_mask", "frequency_mask", "crop"):
        assert torch.equal(getattr(before, name), getattr(new, name))
    assert not any(getattr(before, name).any() for name in ("warp", "noise", "noise_seed"))
    assert new.warp.abs().max() <= 0.1
    assert new.noise.min() >= 0
    assert new.noise.max() <= 4
    assert len(new.noise_seed.unique()) == 50
    assert (before.style_weight == 1).all()
    assert (before.response == -1).all()


def test_the_random_numbers_are_those_before_the_newest_keys():
    found, wanted = (torch.Generator().manual_seed(1) for _ in range(2))
    augmentation(mixup_alpha=0.4, crop_seconds=0.5).sample(torch.arange(50), found)
    beta(0.4, 50, wanted)
    for _ in range(7):  # two for each mask, roll, gain and crop
        torch.rand(50, generator=wanted)
    assert torch.equal(found.get_state(), wanted.get_state())


# Style --------------------------------------------------------------------------------------------


def test_a_style_is_mixed_by_hand():
    """Two channels of two steps, so each band of a clip is four numbers."""
    x = torch.tensor([[[[1.0], [3.0]], [[5.0], [7.0]]], [[[0.0], [0.0]], [[30.0], [30.0]]]])
    params = still(2, style_partner=torch.tensor([1, 0]), style_weight=torch.tensor([0.75, 1.0]))
    found = augmentation(mixstyle_alpha=0.4).render(x, params, Mel(num_bands=1))
    own, other = math.sqrt(20 / 3), math.sqrt(900 / 3)  # means 4 and 15, of 4 numbers less one
    std, mean = 0.75 * own + 0.25 * other, 0.75 * 4 + 0.25 * 15
    wanted = [std * (value - 4) / own + mean for value in (1, 3, 5, 7)]
    assert found[0].flatten().tolist() == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(found[1], x[1])


def test_a_style_of_normalised_features_is_the_normalised_style():
    """Published, the features come normalised."""
    x, mean, std = features(6), torch.arange(16.0) - 9, torch.arange(16.0) / 3 + 0.5
    partner, weight = torch.tensor([3, 0, 1, 5, 2, 4]), torch.linspace(0, 1, 6)
    params = still(6, style_partner=partner, style_weight=weight)
    found = (augmentation(mixstyle_alpha=0.4).render(x, params, GRID) - mean) / std
    normalised = (x - mean) / std
    means = normalised.mean((1, 2), keepdim=True)
    deviations = (normalised.var((1, 2), keepdim=True) + 1e-6).sqrt()
    weight = weight[:, None, None, None]
    wanted = (normalised - means) / deviations
    wanted = wanted * (weight * deviations + (1 - weight) * deviations[partner])
    wanted = wanted + weight * means + (1 - weight) * means[partner]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_style_of_a_partner_is_that_of_its_augmented_features():
    x = features(2)
    params = still(
        2,
        gain=torch.tensor([0.0, 20.0]),
        style_partner=torch.tensor([1, 0]),
        style_weight=torch.tensor([0.0, 1.0]),
    )
    found = augmentation(mixstyle_alpha=0.4, gain_db=20).render(x, params, GRID)
    torch.testing.assert_close(found[0].mean((0, 1)), found[1].mean((0, 1)))
    assert (found[0].mean((0, 1)) - x[0].mean((0, 1)) > 1).all()


def test_styles_of_a_batch_are_mixed_together_and_those_of_no_batch_by_themselves():
    drawing, rows = augmentation(mixstyle_alpha=1.0, mixstyle_prob=0.3), torch.arange(50)
    generator = torch.Generator().manual_seed(0)
    mixed = [(drawing.sample(rows, generator, 0).style_weight < 1).sum().item() for _ in range(400)]
    assert set(mixed) == {0, 50}
    assert sum(mixed) / (50 * 400) == pytest.approx(0.3, abs=0.07)
    params = drawing.sample(torch.arange(10_000), generator)
    assert (params.style_weight < 1).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert sorted(params.style_partner.tolist()) == list(range(10_000))


def test_the_sources_of_a_few_clips():
    params = still(
        4,
        partner=torch.tensor([3, 0, 1, 2]),
        weight=torch.tensor([0.6, 0.7, 0.8, 1.0]),
        gain=torch.arange(4.0),
        style_partner=torch.tensor([2, 3, 0, 1]),
        style_weight=torch.tensor([0.5, 1.0, 1.0, 1.0]),
    )
    positions, part = params.take(torch.tensor([1, 0]))
    assert positions.tolist() == [1, 0, 3, 2, 0, 3, 2, 1]
    assert part.partner.tolist() == [4, 5, 6, 7]
    assert part.gain.tolist() == [1, 0, 3, 2]
    assert part.style_partner.tolist() == [2, 3]
    assert part.wave_weight.tolist() == [1] * 8
    positions, part = params.take(torch.tensor([3]))
    assert (positions.tolist(), part.partner.tolist(), part.style_partner.tolist()) == (
        [3],
        [0],
        [0],
    )


def test_the_sources_of_a_few_clips_that_are_mixed_twice():
    """First what the second mixup mixes, then the partners of the first, of each of these."""
    params = still(
        4,
        partner=torch.tensor([3, 0, 1, 2]),
        weight=torch.tensor([0.6, 0.7, 0.8, 1.0]),
        wave_partner=torch.tensor([2, 3, 0, 1]),
        wave_weight=torch.tensor([1.0, 0.9, 1.0, 1.0]),
    )
    positions, part = params.take(torch.tensor([1, 0]))
    assert positions.tolist() == [1, 0, 0, 3, 3, 2, 2, 1]
    assert part.partner.tolist() == [2, 3]
    assert part.wave_partner.tolist() == [4, 5, 6, 7]
    torch.testing.assert_close(part.wave_weight, torch.tensor([0.9, 1.0, 1.0, 1.0]))
    positions, part = params.take(torch.tensor([0]))
    assert positions.tolist() == [0, 3]
    assert part.wave_partner.tolist() == [0, 1]


# Crops --------------------------------------------------------------------------------------------

WAVEFORM, LINEAR = Mel(front_end="waveform", sample_rate=1000), Mel(num_bands=3, log="none")


def ramp(clips, steps, bands=0, channels=2):
    """Every feature is the time, in seconds, at which it starts in a clip of one second."""
    times = torch.arange(steps) / steps
    times = times[:, None].expand(-1, bands) if bands else times
    return times.expand(clips, channels, *times.shape).clone()


def test_by_default_the_full_clip_is_used():
    params = augmentation(gain_db=6).sample(torch.arange(50), torch.Generator().manual_seed(0))
    assert not params.crop.any()
    x = ramp(50, 10)
    assert torch.equal(augmentation(roll_seconds=0.1).render(x, still(50), WAVEFORM), x)


def test_a_crop_by_hand():
    x = torch.arange(10.0).reshape(1, 1, 10).repeat(3, 1, 1)
    params = still(3, crop=torch.tensor([0.0, 0.35, 0.7]))  # of 0.7 s that a start can have
    found = augmentation(crop_seconds=0.3).render(x, params, WAVEFORM)
    assert found[:, 0].tolist() == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("steps", [248, 98, 33])
def test_teacher_and_student_get_the_same_crop_to_within_a_step(steps):
    cropping = augmentation(crop_seconds=0.4)
    params = cropping.sample(torch.arange(400), torch.Generator().manual_seed(1))
    wave = cropping.render(ramp(400, 1000), params, WAVEFORM)
    mel = cropping.render(ramp(400, steps, 3), params, LINEAR)
    assert wave.shape == (400, 2, 400)
    assert mel.shape == (400, 2, math.ceil(0.4 * steps), 3)
    for heard, step in ((wave, 1 / 1000), (mel[..., 0], 1 / steps)):
        starts = heard[:, 0, 0]
        assert (starts - params.crop).abs().max() <= step + 1e-6
        ahead = torch.arange(heard.shape[2]) * step
        torch.testing.assert_close(heard[:, 1], starts[:, None] + ahead, rtol=0, atol=1e-5)
    assert torch.equal(mel[..., 0], mel[..., 2])


def test_each_start_is_equally_likely():
    cropping = augmentation(crop_seconds=0.7)
    params = cropping.sample(torch.arange(22_000), torch.Generator().manual_seed(0))
    starts = cropping.render(ramp(22_000, 35), params, WAVEFORM)[:, 0, 0] * 35
    counts = starts.round().long().bincount()
    assert len(counts) == 35 - 25 + 1  # 0.7 of 35 steps lie in 25
    expected = 22_000 / len(counts)
    assert (counts - expected).abs().max() < 4 * expected**0.5


def test_the_mixup_partner_gets_the_same_crop():
    x = torch.stack([torch.arange(10.0), 100 + torch.arange(10.0)])[:, None]
    params = still(
        2,
        partner=torch.tensor([1, 0]),
        weight=torch.tensor([0.75, 0.5]),
        crop=torch.tensor([0.0, 0.8]),
    )
    found = augmentation(crop_seconds=0.2, mixup_alpha=0.5).render(x, params, WAVEFORM)
    assert found[:, 0].tolist() == [[25, 26], [58, 59]]


def test_all_clips_of_two_mixups_get_the_same_crop():
    """Four clips of the numbers n to n + 9, of which the first is cropped from 2 and so on."""
    x = (torch.tensor([0.0, 100, 200, 300])[:, None] + torch.arange(10.0))[:, None]
    params = still(
        4,
        partner=torch.tensor([1, 2, 3, 0]),
        weight=torch.tensor([0.5, 0.75, 1.0, 1.0]),
        wave_partner=torch.tensor([2, 3, 0, 1]),
        wave_weight=torch.tensor([0.5, 0.75, 1.0, 0.5]),
        crop=torch.tensor([0.2, 0.0, 0.0, 0.8]),
    )
    mixing = augmentation(crop_seconds=0.2, mixup_alpha=0.5, wave_mixup_alpha=2.0)
    found = mixing.render(x, params, WAVEFORM)[:, 0, 0]
    sources = torch.tensor([0.0, 100, 200, 300])
    torch.testing.assert_close(found, params.mix_targets(sources) + torch.tensor([2.0, 0, 0, 8]))
    wave = augmentation(crop_seconds=0.2, wave_mixup_alpha=2.0).render(x, params, WAVEFORM)
    assert wave[:, 0, 0].tolist() == [102, 150, 200, 208]


def test_masks_and_rolls_apply_to_the_crop():
    cropping = augmentation(crop_seconds=0.5, time_mask_seconds=5, roll_seconds=0.2)
    params = cropping.sample(torch.arange(300), torch.Generator().manual_seed(0))
    assert params.time_mask.max() <= 0.5
    params = still(1, time_mask=torch.tensor([[0.1, 0.2]]), roll=torch.tensor([0.1]))
    found = cropping.render(ramp(1, 10) + 1, params, WAVEFORM)
    torch.testing.assert_close(found[0, 0], torch.tensor([1.4, 0.0, 1.1, 1.2, 1.3]))


def test_a_crop_as_long_as_the_clip_is_the_clip():
    cropping, x = augmentation(crop_seconds=SECONDS), ramp(4, 20, 3)
    params = cropping.sample(torch.arange(4), torch.Generator().manual_seed(0))
    assert torch.equal(cropping.render(x, params, LINEAR), x)


def test_a_crop_longer_than_the_clip_is_refused():
    with pytest.raises(ConfigError, match=r"crop_seconds: found 1.5, but a clip is 1 s long"):
        augmentation(crop_seconds=1.5)


@pytest.mark.parametrize(("crop_seconds", "steps"), [(0.0, 8), (0.5, 4)])
def test_a_crop_of_a_recording_has_the_steps_of_a_clip(crop_seconds, steps):
    """Ten seconds have more frames than ten times those of one: 98 here, each clip has 8."""
    cutting = Augmentation(
        Augment(crop_seconds=crop_seconds), SECONDS, 8000.0, recording_seconds=10.0
    )
    x, spare = torch.arange(98.0).reshape(1, 1, 98, 1).repeat(2, 1, 1, 16), cutting.spare_seconds
    assert spare == 10 - (crop_seconds or 1)
    found = cutting.render(x, still(2, crop=torch.tensor([0.0, spare])), GRID, clip_steps=8)
    assert found[:, 0, :, 0].tolist() == [list(range(steps)), list(range(98 - steps, 98))]
    params = cutting.sample(torch.arange(4000), torch.Generator().manual_seed(0))
    assert (params.crop > 0.99 * spare).any()
    assert ((params.crop >= 0) & (params.crop <= spare)).all()
    assert (params.crop < spare / 2).float().mean() == pytest.approx(0.5, abs=0.05)


def test_a_clip_longer_than_its_recording_is_refused():
    with pytest.raises(ConfigError, match=r"clip_seconds: found 12, but a recording is 10 s long"):
        Augmentation(Augment(), 12.0, 8000.0, recording_seconds=10.0)


@pytest.mark.parametrize("wave_mixup_alpha", [0.0, 2.0])
@pytest.mark.parametrize("log", ["natural", "none"])
def test_the_output_of_a_clip_does_not_depend_on_its_batch(log, wave_mixup_alpha):
    """Bit for bit, for many gains: some functions round by the place in the batch."""
    grid, x = Mel(num_bands=2, log=log), features(1000, 7, 2)
    drawing = augmentation(
        mixup_alpha=0.4,
        mixup_prob=0.7,
        mixup_domain="log" if log == "natural" and wave_mixup_alpha else "linear",
        wave_mixup_alpha=wave_mixup_alpha,
        wave_mixup_prob=0.5 if wave_mixup_alpha else 1,
        gain_db=6,
        time_mask_seconds=0.3,
        roll_seconds=0.4,
        crop_seconds=0.7,
        warp_share=0.1,
        noise_db=3 if log == "natural" else 0,
        mixstyle_alpha=0.4,
        mixstyle_prob=0.6,
    )
    params = drawing.sample(torch.arange(1000), torch.Generator().manual_seed(0))
    together = drawing.render(x, params, grid)
    for first in range(0, 1000, 125):
        at = torch.arange(first, first + 3)
        positions, few = params.take(at)
        assert torch.equal(drawing.render(x[positions], few, grid), together[at])
