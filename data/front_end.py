"""Waveform -> log-mel spectrogram, as a module: the same code fills the cache, runs on a GPU and is exported."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from config import Mel

KALDI_FLOOR = torch.finfo(torch.float32).eps  # of the mel energies, where nothing is added to them
SHORT_SECONDS, SHORT_PADDED_SECONDS = 1.0, 1.01  # of padding = log_zero


class FrontEnd(nn.Module):
    r"""Log-mel spectrogram of a waveform, as [mel] describes it.

    .. math:: \ln\Bigl(\textstyle\sum_f W_{bf} \, \lvert \mathrm{DFT}(h \cdot x_t) \rvert_f + c\Bigr)

    The defaults are VGGish's and the reference's of urban sound tagging: windows of 400 samples every 160,
    none centred, each padded with zeros to 512; 998 frames for 10 s at 16 kHz. A centred transform of 512
    samples (torch.stft) would give other frames. With front_end = waveform it only pre-emphasises.
    Everything is computed in float32, also under autocast.

    Source: Hershey et al., ICASSP 2017, section 3.1; Kaldi's compute-fbank-feats for framing = kaldi.
    Differs: Kaldi cuts the window length to whole samples, here it is rounded.
    Shapes: (B, C, S) -> (B, C, T, F), or (B, C, S) of a waveform.
    """

    def __init__(self, settings: Mel) -> None:
        super().__init__()
        self.settings = settings
        self.window_length = round(settings.stft_window_length_seconds * settings.sample_rate)
        self.hop_length = round(settings.stft_hop_length_seconds * settings.sample_rate)
        self.fft_size = settings.fft_size or 2 ** math.ceil(math.log2(self.window_length))
        if settings.front_end == "mel":
            window = analysis_window(settings.window, self.window_length)
            filters = mel_filters(settings, self.fft_size)
            self.register_buffer("window", torch.from_numpy(window).float(), persistent=False)
            self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths` (B,): samples of each clip before it was padded; read by padding = log_zero alone."""
        with torch.autocast(waveform.device.type, enabled=False):
            if self.settings.front_end == "waveform":
                return self.pre_emphasised(waveform.float())
            return self.log_mel(self.spectrum(waveform), lengths)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, T, fft_size / 2 + 1): the part that front ends with other bands can share."""
        settings, spare = self.settings, self.fft_size - self.window_length
        waveform = waveform.float()
        if settings.framing == "kaldi":
            frames = waveform.unfold(-1, self.window_length, self.hop_length)
            frames = frames - frames.mean(-1, keepdim=True)
            if settings.pre_emphasis:
                before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
                frames = frames - settings.pre_emphasis * before
            frames = F.pad(frames * self.window, (0, spare))
        else:
            waveform = self.pre_emphasised(waveform)
            if settings.framing == "centred":
                half = self.window_length // 2
                waveform = F.pad(waveform, (self.window_length - half, half), mode="reflect")
            # Frames as long as the transform, under a window padded with zeros: no copy to pad each frame.
            frames = F.pad(waveform, (0, spare)).unfold(-1, self.fft_size, self.hop_length)
            frames = frames * F.pad(self.window, (0, spare))
        bins = torch.fft.rfft(frames)
        power = bins.real.square().addcmul_(bins.imag, bins.imag)  # abs() of complex is much slower
        return power.sqrt_() if settings.spectrum == "magnitude" else power

    def log_mel(self, spectrum: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, C, T, fft_size / 2 + 1) -> (B, C, T, F)."""
        settings = self.settings
        mel = spectrum @ self.filters
        if settings.log != "none":
            offset = settings.log_offset
            mel = mel + offset if offset else mel.clamp(min=KALDI_FLOOR)
            mel = mel.log() if settings.log == "natural" else mel.log10()
        if settings.log == "decibel":
            mel = 10.0 * mel
        if settings.padding == "log_zero" and lengths is not None:
            time = torch.arange(mel.shape[-2], device=mel.device)
            beyond = time >= self.real_frames(lengths.to(mel.device))[:, None]
            mel = mel.masked_fill(beyond[:, None, :, None], 0.0)
        return mel

    def pre_emphasised(self, waveform: Tensor) -> Tensor:
        """y[n] = x[n] - a x[n - 1], y[0] = x[0]."""
        if not self.settings.pre_emphasis:
            return waveform
        return waveform - self.settings.pre_emphasis * F.pad(waveform, (1, 0))[..., :-1]

    def real_frames(self, lengths: Tensor) -> Tensor:
        """Frames of clips of these lengths in samples; one under 1 s counts as 1.01 s, as in the reference."""
        rate = self.settings.sample_rate
        short, padded = round(SHORT_SECONDS * rate), round(SHORT_PADDED_SECONDS * rate)
        lengths = torch.where(lengths < short, torch.full_like(lengths, padded), lengths)
        if self.settings.framing != "centred":
            lengths = lengths - self.window_length
        return (lengths // self.hop_length + 1).clamp(min=0)

    def frames(self, samples: int) -> int:
        """T of a waveform of this many samples; 0 if it is shorter than a window (if centred, half a window)."""
        if self.settings.framing == "centred":
            shortest = self.window_length - self.window_length // 2 + 1  # reflection needs one more
            return 1 + samples // self.hop_length if samples >= shortest else 0
        return max(0, 1 + (samples - self.window_length) // self.hop_length)

    def shape(self, samples: int) -> tuple[int, ...]:
        """The shape of one clip of this many samples: (C, T, F), or (C, S) of a waveform."""
        settings = self.settings
        if settings.front_end == "waveform":
            return settings.channels, samples
        return settings.channels, self.frames(samples), settings.num_bands


def pad_or_cut(waveform: Tensor, samples: int) -> Tensor:
    """(..., S) -> (..., samples): silence at the end, or the end cut off."""
    return F.pad(waveform[..., :samples], (0, max(0, samples - waveform.shape[-1])))


def analysis_window(name: str, length: int) -> np.ndarray:
    """hann is periodic; povey is the symmetric Hann window to the power of 0.85 (Kaldi)."""
    period = length if name == "hann" else max(1, length - 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / period)
    return hann**0.85 if name == "povey" else hann


def mel_filters(settings: Mel, fft_size: int) -> np.ndarray:
    """Triangles from mel_min_hz to mel_max_hz, equally spaced on the mel scale, the constant (0 Hz) left out.

    htk: 1127 ln(1 + f / 700), triangles linear in mel, peak 1. slaney: triangles linear in hertz, area 1.
    Shapes: -> (fft_size / 2 + 1, F) float64.
    """
    hz = np.arange(fft_size // 2 + 1) * settings.sample_rate / fft_size
    to_mel = htk_mel if settings.mel_scale == "htk" else slaney_mel
    low, high = to_mel(np.array([settings.mel_min_hz, settings.mel_max_hz]))
    edges, position = np.linspace(low, high, settings.num_bands + 2), to_mel(hz)
    if settings.mel_scale == "slaney":
        edges, position = slaney_hz(edges), hz
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up = (position[:, None] - left) / (centre - left)
    down = (right - position[:, None]) / (right - centre)
    filters = np.maximum(0.0, np.minimum(up, down))
    if settings.mel_scale == "slaney":
        filters *= 2.0 / (right - left)
    filters[0] = 0.0
    return filters


def htk_mel(hz: np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(hz / 700.0)


def htk_hz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * np.expm1(mel / 1127.0)


def slaney_mel(hz: np.ndarray) -> np.ndarray:
    """3 mel every 200 Hz up to 1 kHz (15 mel); above it 27 mel every factor of 6.4.

    Source: Slaney, Auditory Toolbox, 1998.
    """
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def slaney_hz(mel: np.ndarray) -> np.ndarray:
    above = 1000.0 * 6.4 ** ((mel - 15.0) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, above)


def band_centres(settings: Mel) -> Tensor:
    """Hz, where the triangle of each band peaks. Shapes: -> (F,)."""
    htk = settings.mel_scale == "htk"
    to_mel, to_hz = (htk_mel, htk_hz) if htk else (slaney_mel, slaney_hz)
    low, high = to_mel(np.array([settings.mel_min_hz, settings.mel_max_hz]))
    return torch.from_numpy(to_hz(np.linspace(low, high, settings.num_bands + 2)[1:-1])).float()
