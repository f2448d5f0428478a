"""[mel]: the front end."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from config.errors import ConfigError
from config.fields import check_value, key


@dataclass(frozen=True, slots=True, kw_only=True)
class Mel:
    """[mel]: the front end of both roles; [mel.teacher] and [mel.student] override it for one.

    NUM_BANDS_TEACHER in [mel] means NUM_BANDS in [mel.teacher], and so on for every key.
    """

    front_end: Literal["mel", "waveform"] = key("mel", "log-mel spectrogram, or raw waveform")
    sample_rate: int = key(16_000, "Hz", low=1, high=768_000)
    channels: int = key(1, "1: mono, mixed down; 2: stereo", low=1, high=2)
    pre_emphasis: float = key(0.0, "y[n] = x[n] - pre_emphasis * x[n - 1]; 0: none", low=0, high=1)
    stft_window_length_seconds: float = key(0.025, "s; STFT window", low=1e-4, high=10)
    stft_hop_length_seconds: float = key(0.010, "s; STFT hop", low=1e-4, high=10)
    fft_size: int = key(0, "samples; 0: the next power of two of the window", low=0, high=1_000_000)
    framing: Literal["plain", "centred", "passt", "kaldi"] = key(
        "plain",
        "plain: the first frame starts at sample 0, no padding; "
        "centred: half a window of reflection padding on both sides; "
        "passt: centred, after dropping the first pre-emphasised sample; "
        "kaldi: plain, with DC removal and pre-emphasis in each frame",
    )
    window: Literal["hann", "hann_symmetric", "povey"] = key("hann", "hann: periodic")
    spectrum: Literal["magnitude", "power"] = key("magnitude", "input of the mel filter bank")
    num_bands: int = key(64, "number of mel bands", low=1, high=4096)
    mel_min_hz: float = key(125.0, "Hz; lower edge of the mel filter bank", low=0)
    mel_max_hz: float = key(7_500.0, "Hz; upper edge of the mel filter bank", low=0)
    mel_scale: Literal["htk", "htk_hertz", "slaney"] = key(
        "htk",
        "htk: triangles linear in mel; htk_hertz: the same edges, triangles linear in hertz, as in "
        "torchaudio; slaney: triangles linear in hertz, area-normalised, as in librosa",
    )
    log: Literal["natural", "log10", "decibel", "none"] = key("natural", "decibel: 10 log10")
    log_offset: float = key(0.01, "added before the logarithm", low=0)
    log_floor: float = key(
        0.0,
        "the least value before the logarithm, where LOG_OFFSET is 0; 0: none, or 1.19e-7 for "
        "FRAMING = kaldi",
        low=0,
    )
    top_db: float = key(
        0.0,
        "dB; values further below the largest of the clip are set to this far below it, as in "
        "librosa and torchaudio; requires LOG = decibel; 0: no limit",
        low=0,
    )
    padding: Literal["signal", "log_zero"] = key(
        "signal",
        "of short clips; signal: silence; log_zero: zeros after the logarithm, as in the published "
        "urban sound tagging system, without augmentation of amplitudes",
    )
    normalise: Literal["none", "global", "bands", "fixed"] = key(
        "none",
        "(x - mean) / std; global: statistics of the training clips; bands: the same per band; "
        "fixed: MEAN and STD; the measured std of constant features is 1",
    )
    mean: float | None = key(None, "of NORMALISE = fixed, in units of the features")
    std: float | None = key(
        None,
        "of NORMALISE = fixed; AST's (x + 4.2677) / (2 * 4.5690) is MEAN = -4.2677, STD = 9.138",
        low=1e-6,
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            check_value(f"[mel] {f.name}", f, getattr(self, f.name))
        for name in ("mean", "std"):
            value = getattr(self, name)
            if (value is None) == (self.normalise == "fixed"):
                found = "none" if value is None else f"{value:g}"
                raise ConfigError(
                    f"[mel] {name}", f"found {found}, but NORMALISE is {self.normalise}"
                )
        if self.front_end == "waveform":
            if self.normalise == "bands":
                found = "found 'bands', but FRONT_END = waveform has none"
                raise ConfigError("[mel] normalise", found)
            return
        if not self.mel_min_hz < self.mel_max_hz <= self.sample_rate / 2:
            raise ConfigError(
                "[mel] mel_max_hz",
                f"expected mel_min_hz < mel_max_hz <= sample_rate / 2, "
                f"found {self.mel_min_hz:g}, {self.mel_max_hz:g} and {self.sample_rate / 2:g}",
            )
        window = round(self.stft_window_length_seconds * self.sample_rate)
        hop = round(self.stft_hop_length_seconds * self.sample_rate)
        if window < 2 or hop < 1:
            raise ConfigError(
                "[mel] sample_rate",
                f"at {self.sample_rate} Hz the window has {window} samples and the hop {hop}, "
                "expected at least 2 and 1",
            )
        if 0 < self.fft_size < window:
            raise ConfigError(
                "[mel] fft_size",
                f"found {self.fft_size}, expected 0 or at least the window, {window} samples",
            )
        if self.framing == "passt" and not self.pre_emphasis:
            raise ConfigError("[mel] framing", "found 'passt', but PRE_EMPHASIS is 0")
        if self.log_floor and self.log_offset:
            found = f"found {self.log_floor:g}, but LOG_OFFSET is {self.log_offset:g}, not 0"
            raise ConfigError("[mel] log_floor", found)
        has_least = self.log_offset or self.log_floor or self.framing == "kaldi"
        if self.log != "none" and not has_least:
            raise ConfigError(
                "[mel] log_offset",
                "digital silence has no logarithm: expected more than 0, or LOG_FLOOR",
            )
        if self.top_db and self.log != "decibel":
            raise ConfigError("[mel] top_db", f"found {self.top_db:g}, but LOG is {self.log}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentMel(Mel):
    """[mel.student]: [mel] with fewer bands by default."""

    num_bands: int = key(20, "number of mel bands", low=1, high=4096)
