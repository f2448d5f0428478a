import math
from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import get_window

from config import Mel
from config.pretrained import CED_MEL
from data.features.front_end import FrontEnd, analysis_window, band_centres, mel_filters, pad_or_cut

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=30)


def noise(*shape, seed=0, level=0.1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * level


def reference_mel(waveform, rate, bands, window=400, hop=160, size=512, low=125.0, high=7500.0):
    """reference/urban_sound_tagging.md, section 2: a frame and a filter at a time, in float64."""
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)]
    mel = [1127.0 * math.log(1.0 + k * rate / size / 700.0) for k in range(size // 2 + 1)]
    lowest, highest = (1127.0 * math.log(1.0 + hertz / 700.0) for hertz in (low, high))
    step = (highest - lowest) / (bands + 1)
    weights = np.zeros((bands, len(mel)))
    for band in range(bands):
        left, centre, right = (lowest + (band + k) * step for k in range(3))
        for k in range(1, len(mel)):  # DC stays zero
            rise, fall = (mel[k] - left) / (centre - left), (right - mel[k]) / (right - centre)
            weights[band, k] = max(0.0, min(rise, fall))
    rows = []
    for start in range(0, len(waveform) - window + 1, hop):
        frame = np.asarray(waveform[start : start + window], np.float64) * hann
        rows.append(np.log(weights @ np.abs(np.fft.rfft(frame, size)) + 0.01))
    return np.array(rows)


@pytest.mark.parametrize("bands", [64, 20])
def test_ten_seconds_agree_with_the_reference(bands):
    time = np.arange(160_000) / 16_000
    sound = 0.4 * np.sin(2 * np.pi * (200 + 300 * time) * time) + noise(160_000, level=0.2).numpy()
    sound[40_000:60_000] = 0  # silence, where the offset rules
    found = FrontEnd(Mel(num_bands=bands))(torch.from_numpy(sound).float()[None, None])
    assert found.shape == (1, 1, 998, bands)
    expected = reference_mel(np.float32(sound), 16_000, bands)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=0, atol=1e-4)


@EXAMPLES
@given(
    st.sampled_from([8_000, 16_000, 22_050, 32_000, 44_100, 48_000]),
    st.integers(0, 3000),
    st.integers(5, 128),
    st.integers(0, 100),
)
def test_any_length_and_rate_agrees_with_the_reference(rate, extra, bands, seed):
    window, hop = round(0.025 * rate), round(0.010 * rate)
    front_end = FrontEnd(Mel(sample_rate=rate, num_bands=bands, mel_max_hz=rate / 2))
    assert front_end.fft_size >= window > front_end.fft_size // 2
    sound = noise(window + extra, seed=seed)
    expected = reference_mel(
        sound.numpy(), rate, bands, window, hop, front_end.fft_size, high=rate / 2
    )
    found = front_end(sound[None, None])[0, 0].numpy()
    assert len(found) == front_end.frames(len(sound)) == 1 + extra // hop
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_ten_seconds_of_the_scene_classifiers_are_248_frames():
    settings = Mel(
        sample_rate=48_000,
        channels=2,
        pre_emphasis=0.97,
        stft_window_length_seconds=0.1,
        stft_hop_length_seconds=0.04,
        fft_size=4800,
        num_bands=256,
        mel_min_hz=0,
        mel_max_hz=24_000,
    )
    front_end = FrontEnd(settings)
    assert front_end.shape(480_000) == (2, 248, 256)
    assert (front_end.filters.sum(0) > 0).all(), "no band is without a bin"
    assert front_end(noise(1, 2, 480_000)).shape == (1, 2, 248, 256)


def test_silence_is_the_logarithm_of_the_offset():
    found = FrontEnd(Mel())(torch.zeros(1, 1, 16_000))
    torch.testing.assert_close(found, torch.full((1, 1, 98, 64), math.log(0.01)))


def test_clips_and_channels_do_not_touch_each_other():
    front_end, sounds = FrontEnd(Mel(channels=2)), noise(3, 2, 8_000)
    together = front_end(sounds)
    assert together.shape == (3, 2, 48, 64)
    for clip in range(3):
        for channel in range(2):
            alone = front_end(sounds[clip : clip + 1, channel : channel + 1])
            torch.testing.assert_close(together[clip, channel], alone[0, 0])


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("natural", lambda mel: np.log(mel + 0.01)),
        ("log10", lambda mel: np.log10(mel + 0.01)),
        ("decibel", lambda mel: 10 * np.log10(mel + 0.01)),
        ("none", lambda mel: mel),
    ],
)
@pytest.mark.parametrize("spectrum", ["magnitude", "power"])
def test_logarithms_and_spectra(log, expected, spectrum):
    sound = noise(1, 1, 4_000)
    settings = Mel(log=log, spectrum=spectrum)
    frames = np.lib.stride_tricks.sliding_window_view(sound[0, 0].double().numpy(), 400)[::160]
    bins = np.abs(np.fft.rfft(frames * np.hanning(401)[:400], 512))
    mel = (bins**2 if spectrum == "power" else bins) @ mel_filters(settings, 512)
    found = FrontEnd(settings)(sound)[0, 0].numpy()
    np.testing.assert_allclose(found, expected(mel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scale", "norm"), [("slaney", "slaney"), ("htk_hertz", None)])
@pytest.mark.parametrize(("rate", "size", "bands"), [(32_000, 1024, 128), (44_100, 2048, 256)])
def test_filters_are_those_of_librosa(rate, size, bands, scale, norm):
    settings = Mel(
        sample_rate=rate, mel_scale=scale, num_bands=bands, mel_min_hz=0, mel_max_hz=rate / 2
    )
    expected = librosa.filters.mel(
        sr=rate, n_fft=size, n_mels=bands, htk=scale != "slaney", norm=norm, dtype=np.float64
    )
    np.testing.assert_allclose(mel_filters(settings, size).T, expected, atol=1e-12)


@pytest.mark.parametrize("window", [640, 800, 882, 1103])
def test_centred_frames_are_those_of_a_centred_stft(window):
    rate, hop = 44_100, 400
    settings = Mel(
        sample_rate=rate,
        framing="centred",
        stft_window_length_seconds=window / rate,
        stft_hop_length_seconds=hop / rate,
        fft_size=2048,
    )
    sound = noise(2, 1, 10_001)
    expected = torch.stft(
        *(sound[:, 0], 2048, hop, window, torch.hann_window(window)),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    ).abs()
    front_end = FrontEnd(settings)
    found = front_end.spectrum(sound)[:, 0]
    assert found.shape[1] == front_end.frames(10_001) == 1 + 10_001 // hop
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-4, atol=1e-4)


PASST = Mel(
    sample_rate=32_000,
    pre_emphasis=0.97,
    stft_window_length_seconds=0.025,
    stft_hop_length_seconds=0.010,
    fft_size=1024,
    framing="passt",
    window="hann_symmetric",
    spectrum="power",
    num_bands=128,
    mel_min_hz=0,
    mel_max_hz=15_000,
    log_offset=1e-5,
    normalise="fixed",
    mean=-4.5,
    std=5,
)
CP_JKU_2023 = replace(  # of cp_mobile; cp_resnet's hop is 750 samples
    PASST,
    stft_window_length_seconds=0.096,
    stft_hop_length_seconds=0.015625,
    fft_size=4096,
    num_bands=256,
    mel_max_hz=15_500,
)
DCASE_2024 = Mel(
    sample_rate=32_000,
    stft_window_length_seconds=0.096,
    stft_hop_length_seconds=0.015625,
    fft_size=4096,
    framing="centred",
    spectrum="power",
    num_bands=256,
    mel_min_hz=0,
    mel_max_hz=16_000,
    mel_scale="htk_hertz",
    log_offset=1e-5,
)


@pytest.mark.parametrize("settings", [PASST, CP_JKU_2023])
def test_the_front_end_of_passt_and_its_family(settings):
    """Published: S - 1 samples after the pre-emphasis, centred by torch.stft, Kaldi's filters."""
    sound, front_end = noise(2, 1, 32_000), FrontEnd(settings)
    emphasised = sound[:, 0, 1:] - 0.97 * sound[:, 0, :-1]
    window, hop, size = front_end.window_length, front_end.hop_length, settings.fft_size
    hann = torch.hann_window(window, periodic=False)
    bins = torch.stft(emphasised, size, hop, window, hann, center=True, return_complex=True)
    filters, _ = torchaudio.compliance.kaldi.get_mel_banks(
        settings.num_bands, size, 32_000, 0.0, settings.mel_max_hz, 100.0, -500.0, 1.0
    )
    power = bins.abs().square()[:, :-1]  # Kaldi's filters know no bin of half the rate
    expected = (torch.einsum("mf,bft->btm", filters, power) + 1e-5).log()
    found = front_end(sound)[:, 0]
    assert found.shape == expected.shape == (2, *front_end.shape(32_000)[1:])
    assert found.shape[1] == 1 + 31_999 // hop
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-4)


def test_ten_seconds_of_passt_are_1000_frames():
    front_end = FrontEnd(replace(PASST, padding="log_zero"))
    assert front_end.shape(320_000) == (1, 1000, 128)
    found = front_end(torch.zeros(2, 1, 64_000), torch.tensor([64_000, 48_000]))
    assert (found != 0).all(-1)[:, 0].sum(1).tolist() == [200, 150]


def test_the_front_end_of_the_dcase_2024_baseline():
    sound = noise(2, 1, 32_000)
    mel = torchaudio.transforms.MelSpectrogram(32_000, 4096, 3072, 500, n_mels=256)
    expected = (mel(sound) + 1e-5).log().transpose(2, 3)
    assert expected.shape == (2, 1, 65, 256)
    torch.testing.assert_close(FrontEnd(DCASE_2024)(sound), expected, rtol=0, atol=3e-4)


def test_the_front_end_of_ced():
    """Published: torchaudio's, one clip at a time, to 120 dB below the largest value of a clip."""
    mel = torchaudio.transforms.MelSpectrogram(16_000, 512, hop_length=160, n_mels=64)
    to_db = torchaudio.transforms.AmplitudeToDB(top_db=120)
    sounds = noise(3, 1, 16_160) * torch.tensor([30.0, 1e-3, 1e-6])[:, None, None]
    sounds[..., 4_000:8_000] = 0
    expected = torch.stack([to_db(mel(sound)) for sound in sounds]).transpose(2, 3)
    found = FrontEnd(CED_MEL)(sounds)
    assert found.shape == expected.shape == (3, 1, 102, 64)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
    lowest = found.amin((1, 2, 3))
    torch.testing.assert_close(lowest[0], found[0].max() - 120)
    assert lowest[1:].tolist() == [-100, -100]


@pytest.mark.parametrize(("window", "kaldi"), [("hann_symmetric", "hanning"), ("povey", "povey")])
@pytest.mark.parametrize("pre_emphasis", [0.0, 0.97])
def test_kaldi_features_are_those_of_torchaudio(window, kaldi, pre_emphasis):
    sound = noise(1, 16_000) + 0.3  # an offset that each frame loses
    sound[:, 6_000:9_000] = 0  # digital silence: the floor
    settings = Mel(
        framing="kaldi",
        window=window,
        spectrum="power",
        pre_emphasis=pre_emphasis,
        log_offset=0,
        mel_min_hz=20,
        mel_max_hz=8_000,
    )
    expected = torchaudio.compliance.kaldi.fbank(
        sound,
        dither=0.0,
        window_type=kaldi,
        preemphasis_coefficient=pre_emphasis,
        num_mel_bins=64,
        sample_frequency=16_000,
    )
    found = FrontEnd(settings)(sound[None])[0, 0]
    assert found.min() == pytest.approx(math.log(2**-23))
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)  # float32 logs of small sums
    torch.testing.assert_close(found.mean(), expected.mean(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [2, 3, 128, 400, 1105])
def test_the_windows_are_those_of_scipy(length):
    hann, symmetric = (get_window("hann", length, fftbins=periodic) for periodic in (True, False))
    np.testing.assert_array_equal(analysis_window("hann", length), hann)
    np.testing.assert_array_equal(analysis_window("hann_symmetric", length), symmetric)
    np.testing.assert_array_equal(analysis_window("povey", length), symmetric**0.85)


def test_pre_emphasis_by_hand():
    settings = Mel(front_end="waveform", pre_emphasis=0.5)
    found = FrontEnd(settings)(torch.tensor([[[1.0, 2.0, -4.0, 0.0]]]))
    torch.testing.assert_close(found, torch.tensor([[[1.0, 1.5, -5.0, 2.0]]]))


def test_pre_emphasis_comes_before_the_frames():
    sound = noise(1, 1, 4_000)
    emphasised = FrontEnd(Mel(front_end="waveform", pre_emphasis=0.97))(sound)
    found = FrontEnd(Mel(pre_emphasis=0.97))(sound)
    torch.testing.assert_close(found, FrontEnd(Mel())(emphasised))


def test_a_waveform_is_unchanged():
    sound = noise(2, 2, 100)
    front_end = FrontEnd(Mel(front_end="waveform", channels=2))
    assert torch.equal(front_end(sound), sound)
    assert front_end.shape(100) == (2, 100)


@pytest.mark.parametrize("framing", ["plain", "kaldi", "centred", "passt"])
@EXAMPLES
@given(samples=st.integers(0, 2_000))
def test_shape_is_that_of_the_output(framing, samples):
    front_end = FrontEnd(Mel(framing=framing, pre_emphasis=0.9, num_bands=7))
    if front_end.frames(samples) > 0:
        assert front_end(torch.zeros(1, 1, samples)).shape[1:] == front_end.shape(samples)
    else:
        assert samples <= 400


def test_zeros_in_the_log_domain_stand_for_frames_that_are_not_there():
    front_end, sounds = FrontEnd(Mel(padding="log_zero")), torch.zeros(4, 1, 160_000)
    lengths = torch.tensor([160_000, 24_000, 15_999, 160])
    found = front_end(sounds, lengths)
    # 24 000 samples hold 1 + (24000 - 400) // 160 = 148 frames; under 1 s counts as 1.01 s: 99.
    real = (found != 0).all(-1)[:, 0]
    assert real.sum(1).tolist() == [998, 148, 99, 99]
    assert real[1, :148].all()
    assert torch.equal(front_end(sounds), FrontEnd(Mel())(sounds))


def test_float32_under_autocast():
    sound = noise(1, 1, 8_000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = FrontEnd(Mel())(sound)
    assert torch.equal(found, FrontEnd(Mel())(sound))


def test_an_exported_front_end_gives_the_same_features():
    sound, front_end = noise(1, 1, 8_000), FrontEnd(Mel()).eval()
    exported = torch.export.export(front_end, (sound,)).module()
    torch.testing.assert_close(exported(sound), front_end(sound))


def test_nothing_of_the_front_end_is_in_the_weights():
    assert not FrontEnd(Mel()).state_dict()


def test_the_centre_of_a_band_is_where_its_filter_peaks():
    for scale in ("htk", "slaney"):
        settings = Mel(mel_scale=scale, num_bands=20)
        centres = band_centres(settings)
        peaks = mel_filters(settings, 65_536).argmax(0) * 16_000 / 65_536
        np.testing.assert_allclose(centres, peaks, atol=0.25)
    htk = band_centres(replace(settings, mel_scale="htk", num_bands=1, mel_min_hz=0))
    assert htk.item() == pytest.approx(700 * (math.sqrt(1 + 7500 / 700) - 1))


@EXAMPLES
@given(st.integers(0, 20), st.integers(0, 20))
def test_padding_and_cutting(length, wanted):
    found = pad_or_cut(torch.ones(2, 1, length), wanted)
    assert found.shape == (2, 1, wanted)
    assert found[0].sum() == min(length, wanted)
    assert torch.equal(found[..., : min(length, wanted)], torch.ones(2, 1, min(length, wanted)))
