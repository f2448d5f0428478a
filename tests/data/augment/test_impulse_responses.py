"""Impulse responses: exact for waveforms, approximate for mel bands."""

import math

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from config import Augment, Mel, UserError
from data.augment import Augmentation
from data.augment.impulse_responses import ImpulseResponses, read_responses
from data.features.front_end import FrontEnd
from tests.data.augment.test_augment import still

WAVEFORM = Mel(front_end="waveform", sample_rate=8000)
RESPONSE = np.float32([0.5, 0.25, 0.0, -0.125])


def through(features, response, grid, *responses):
    """Features (B, C, ...) with the responses at these positions applied."""
    return ImpulseResponses(list(responses)).apply(features, torch.tensor(response), grid)


def test_a_waveform_is_convolved_and_cut_to_its_length():
    sound = torch.randn(3, 2, 500, generator=torch.Generator().manual_seed(0))
    found = through(sound, [0, -1, 1], WAVEFORM, (RESPONSE, 8000), (np.float32([0, 1]), 8000))
    for clip, response in ((0, RESPONSE), (2, [0, 1])):
        for channel in range(2):
            wanted = np.convolve(sound[clip, channel], response)[:500]
            np.testing.assert_allclose(found[clip, channel], wanted, atol=1e-5)
    assert torch.equal(found[1], sound[1])


@pytest.mark.parametrize("rate", [4000, 16_000, 48_000])
def test_a_response_of_another_rate_is_resampled(rate):
    """The mean of two samples lets cos(pi f / rate) of a tone through, none above rate / 2; of the
    8000 samples per second of sound, those of a resampled response are 8000 / rate as many.
    """
    time, hertz = torch.arange(4000) / 8000, torch.tensor([500.0, 1500.0, 3000.0])
    tones = torch.sin(2 * math.pi * hertz[:, None] * time)[:, None]
    found = through(tones, [0, 0, 0], WAVEFORM, (np.float32([0.5, 0.5]), rate))
    heard = (found / tones.square().mean().sqrt())[..., 1000:3000].square().mean((1, 2)).sqrt()
    wanted = 8000 / rate * torch.cos(math.pi * hertz / rate) * (hertz < rate / 2)
    torch.testing.assert_close(heard, wanted, rtol=0, atol=0.01 * 8000 / rate)


def pulse(rate):
    """20 ms of a pulse without anything above 2 kHz: the same values at every rate."""
    return np.exp(-(((np.arange(rate // 50) / rate - 0.01) / 0.0005) ** 2)).astype(np.float32)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_resampled_response_has_the_values_of_the_original(rate):
    """As published: convolved with the response that was resampled to the rate of the clip."""
    sound = torch.randn(1, 1, 500, generator=torch.Generator().manual_seed(0))
    found = through(sound, [0], WAVEFORM, (pulse(rate), rate))
    wanted = np.convolve(sound[0, 0], pulse(8000))[:500]
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-4)
    bands = Mel(sample_rate=8000, num_bands=5, mel_max_hz=2000)
    gains = [ImpulseResponses([(pulse(r), r)]).gains(bands, 1)[0] for r in (rate, 8000)]
    np.testing.assert_allclose(*gains, rtol=1e-3)


@pytest.mark.parametrize("spectrum", ["magnitude", "power"])
def test_bands_are_louder_by_the_power_of_the_response_in_them(spectrum):
    """cos(pi f / rate)^2 over a triangle of a band, in steps of 0.1 Hz."""
    grid = Mel(sample_rate=8000, num_bands=5, mel_max_hz=4000, spectrum=spectrum, log="none")
    found = through(torch.ones(3, 1, 2, 5), [0, 1, -1], grid, (RESPONSE[:1], 7), (PAIR, 8000))
    mels = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(4000 / 700), 7)
    hertz = np.arange(0, 4000, 0.1)
    for band, (left, centre, right) in enumerate(zip(mels, mels[1:], mels[2:], strict=False)):
        weight = np.interp(1127 * np.log1p(hertz / 700), [left, centre, right], [0, 1, 0])
        power = (weight * np.cos(np.pi * hertz / 8000) ** 2).sum() / weight.sum()
        wanted = power if spectrum == "power" else power**0.5
        assert found[1, 0, 1, band].item() == pytest.approx(wanted, rel=1e-3)
    assert not found[0].any(), "nothing above half of 7 Hz"
    assert (found[2] == 1).all()


PAIR = np.float32([0.5, 0.5])


@pytest.mark.parametrize("spectrum", ["magnitude", "power"])
def test_how_close_gains_of_bands_come_to_a_convolution(spectrum):
    """Noise and tones, in PaSST's front end, through 8 ms of a rough and resonant device: 0.7 dB
    apart in the mean (of magnitudes and powers alike), where the plain sound is 11 dB away.
    """
    generator, rate = np.random.default_rng(0), 32_000
    time = np.arange(rate) / rate
    sound = generator.standard_normal(rate) * (0.05 + 0.05 * np.sin(2 * np.pi * 3 * time))
    for hertz in (220, 440, 1250, 3100, 7000):
        sound += 0.05 * np.sin(2 * np.pi * hertz * time)
    after = np.arange(256) / rate
    response = generator.standard_normal(256) * np.exp(-after / 0.0008)
    response += np.sin(2 * np.pi * 2500 * after) * np.exp(-after / 0.001)
    response[0] += 2
    grid = Mel(
        sample_rate=rate,
        pre_emphasis=0.97,
        fft_size=1024,
        framing="passt",
        spectrum=spectrum,
        num_bands=128,
        mel_min_hz=0,
        mel_max_hz=15_000,
        log_offset=1e-5,
    )
    front_end = FrontEnd(grid)
    plain, convolved = (
        front_end(torch.from_numpy(x[:rate]).float()[None, None])
        for x in (sound, np.convolve(sound, response))
    )
    augmentation = Augmentation(Augment(), 1.0, rate / 2)
    augmentation.responses = ImpulseResponses([(np.float32(response), rate)])
    found = augmentation.render(plain, still(1, response=torch.tensor([0])), grid)
    decibels = (10 if spectrum == "power" else 20) / math.log(10)
    without = ((plain - convolved).abs().mean() * decibels).item()
    off = ((found - convolved).abs().mean() * decibels).item()
    assert without > 10, "what is told apart"
    assert off < 0.8


def test_responses_are_sampled_for_a_share_of_the_clips_of_some_devices(tmp_path):
    for name in ("a", "b", "c"):
        wavfile.write(tmp_path / f"{name}.wav", 8000, RESPONSE)
    settings = Augment(impulse_responses=str(tmp_path), impulse_response_prob=0.6)
    rows = torch.arange(20_000).roll(7)
    params = {}
    for name, response_clips in (("all", None), ("even", torch.arange(20_000) % 2 == 0)):
        augmentation = Augmentation(settings, 1.0, 4000.0, response_clips)
        params[name] = augmentation.sample(rows, torch.Generator().manual_seed(0)).response
    counts = (params["all"] + 1).bincount() / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.4, 0.2, 0.2, 0.2]), rtol=0, atol=0.02)
    assert torch.equal(params["even"], torch.where(rows % 2 == 0, params["all"], -1))


# Files --------------------------------------------------------------------------------------------


def test_all_wav_files_below_a_folder_are_read(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "notes.txt").write_text("not audio")
    wavfile.write(tmp_path / "a.WAV", 8000, np.int16([16384, -32768]))
    wavfile.write(tmp_path / "b.wav", 44_100, np.float32([[0.5, 0.0], [1.0, 0.5]]))
    wavfile.write(tmp_path / "more" / "c.wav", 8000, np.uint8([128, 192]))
    found = read_responses(tmp_path).responses
    assert [rate for _, rate in found] == [8000, 44_100, 8000]
    assert [x.tolist() for x, _ in found] == [[0.5, -1.0], [0.25, 0.75], [0.0, 0.5]]


def test_other_responses_have_another_fingerprint():
    prints = [
        ImpulseResponses(responses).fingerprint()
        for responses in ([(RESPONSE, 8000)], [(RESPONSE, 9000)], [(-RESPONSE, 8000)])
    ]
    assert len(set(prints)) == 3


def test_a_folder_that_holds_none_is_named(tmp_path):
    with pytest.raises(UserError, match=r"IMPULSE_RESPONSES: .*nowhere is not a folder"):
        read_responses(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"IMPULSE_RESPONSES: no WAV file below "):
        read_responses(tmp_path)


@pytest.mark.parametrize("bytes_kept", [0, 3, 10, 20, 30, 42, 44, 46])
def test_a_file_that_is_no_wav_or_cut_short_is_named(tmp_path, bytes_kept):
    path = tmp_path / "x.wav"
    wavfile.write(path, 8000, np.int16([1, 2, 3]))
    path.write_bytes(path.read_bytes()[:bytes_kept])
    with pytest.raises(UserError, match=r"x\.wav: "):
        read_responses(tmp_path)


@pytest.mark.parametrize("samples", [[0.0, 0.0], [1.0, math.nan]])
def test_an_invalid_impulse_response_is_named(tmp_path, samples):
    wavfile.write(tmp_path / "x.wav", 8000, np.float32(samples))
    with pytest.raises(UserError, match=r"x\.wav: expected samples"):
        read_responses(tmp_path)
