"""Waveform -> log-mel: an nn.Module, so that caching, training and export share its code."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from config import ConfigError, Mel

KALDI_FLOOR = torch.finfo(torch.float32).eps  # of the mel energies
SHORT_SECONDS, SHORT_PADDED_SECONDS = 1.0, 1.01  # of padding = log_zero


class FrontEnd(nn.Module):
    r"""Log-mel spectrogram of a waveform, as [mel] describes it.

    .. math:: \ln(W \, \lvert \mathrm{DFT}(h \, x_t) \rvert + c)

    with frames x_t, window h, mel filters W and offset c. The defaults are VGGish's, and the
    reference's of urban sound tagging: windows of 400 samples every 160, none centred, each padded
    with zeros to 512; 998 frames for 10 s at 16 kHz. (torch.stft frames 512 samples: one frame
    fewer, and shifted.) With front_end = waveform it only pre-emphasises. Everything is computed in
    float32, also under autocast.

    Source: Hershey et al., ICASSP 2017, section 3.1; Kaldi's compute-fbank-feats for
    framing = kaldi; Koutini et al. (PaSST), Interspeech 2022, for framing = passt, whose
    pre-emphasis is a convolution without padding: one sample fewer, so 1000 frames of 10 s.
    Differs: Kaldi cuts the window length to whole samples, here it is rounded.
    Shapes: (B, C, S) -> (B, C, T, F), or (B, C, S) of a waveform.
    """

    window: Tensor  # (window_length,), only of front_end = mel
    filters: Tensor  # (fft_size / 2 + 1, F), likewise

    def __init__(self, settings: Mel) -> None:
        super().__init__()
        self.settings = settings
        self.window_length = round(settings.stft_window_length_seconds * settings.sample_rate)
        self.hop_length = round(settings.stft_hop_length_seconds * settings.sample_rate)
        self.fft_size = settings.fft_size or 2 ** math.ceil(math.log2(self.window_length))
        self.centred = settings.framing in ("centred", "passt")
        # Samples that are lost in the pre-emphasis.
        self.lost = int(settings.framing == "passt" and settings.front_end == "mel")
        if settings.front_end == "mel":
            window = analysis_window(settings.window, self.window_length)
            filters = mel_filters(settings, self.fft_size)
            self.register_buffer("window", torch.from_numpy(window).float(), persistent=False)
            self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths` (B,): samples of each clip before it was padded, for padding = log_zero."""
        with torch.autocast(waveform.device.type, enabled=False):
            if self.settings.front_end == "waveform":
                return self.pre_emphasised(waveform.float())
            return self.log_mel(self.spectrum(waveform), lengths)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """(B, C, S) -> (B, C, T, fft_size / 2 + 1): front ends with other bands may share it."""
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
            waveform = self.pre_emphasised(waveform)[..., self.lost :]
            if self.centred:
                half = self.window_length // 2
                waveform = F.pad(waveform, (self.window_length - half, half), mode="reflect")
            # Frames as long as the transform under a window padded with zeros: none is copied.
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
            mel = mel + offset if offset else mel.clamp(min=log_floor(settings))
            mel = mel.log() if settings.log == "natural" else mel.log10()
        if settings.log == "decibel":
            mel = 10.0 * mel
        if settings.top_db:
            mel = torch.maximum(mel, mel.amax((1, 2, 3), keepdim=True) - settings.top_db)
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
        """Frames of clips of these lengths; as in the reference, a length below 1 s is 1.01 s."""
        rate = self.settings.sample_rate
        short, padded = round(SHORT_SECONDS * rate), round(SHORT_PADDED_SECONDS * rate)
        lengths = torch.where(lengths < short, torch.full_like(lengths, padded), lengths)
        lengths = lengths - (self.lost if self.centred else self.window_length)
        return (lengths // self.hop_length + 1).clamp(min=0)

    def frames(self, samples: int) -> int:
        """T for this many samples; 0 below one window (half a window where centred)."""
        if self.centred:
            samples = samples - self.lost
            shortest = self.window_length - self.window_length // 2 + 1  # reflection needs one more
            return 1 + samples // self.hop_length if samples >= shortest else 0
        return max(0, 1 + (samples - self.window_length) // self.hop_length)

    def shape(self, samples: int) -> tuple[int, ...]:
        """The shape of one clip of this many samples: (C, T, F), or (C, S) of a waveform."""
        settings = self.settings
        if settings.front_end == "waveform":
            return settings.channels, samples
        return settings.channels, self.frames(samples), settings.num_bands


def log_floor(settings: Mel) -> float:
    """The least mel energy, where LOG_OFFSET is 0."""
    return settings.log_floor or KALDI_FLOOR


def pad_or_cut(waveform: Tensor, samples: int) -> Tensor:
    """(..., S) -> (..., samples): padded with zeros or cut at the end."""
    return F.pad(waveform[..., :samples], (0, max(0, samples - waveform.shape[-1])))


def clip_shape(settings: Mel, clip_seconds: float) -> tuple[int, ...]:
    """The shape of the features of one clip. Raises ConfigError where it is too short for any."""
    shape = FrontEnd(settings).shape(round(clip_seconds * settings.sample_rate))
    if 0 in shape:
        raise ConfigError("[data] clip_seconds", f"{clip_seconds:g} s do not hold one mel frame")
    return shape


def analysis_window(name: str, length: int) -> np.ndarray:
    """hann is periodic; povey is the symmetric Hann window to the power of 0.85 (Kaldi).

    As `scipy.signal.get_window`, bit by bit (tested), whose import takes a second per process.
    """
    period = length if name == "hann" else length - 1
    hann = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, period + 1)[:length])
    return hann**0.85 if name == "povey" else hann


def mel_filters(settings: Mel, fft_size: int) -> np.ndarray:
    """Triangles from mel_min_hz to mel_max_hz, equally spaced on the mel scale; 0 Hz is left out.

    htk: 1127 ln(1 + f / 700), linear in mel, peak 1. htk_hertz: the same edges, linear in hertz,
    peak 1. slaney: linear in hertz, area 1.

    htk_hertz and slaney equal `librosa.filters.mel` to 1e-12 (tested). They are computed here
    because training applies impulse responses to the same bands on machines without librosa, which
    also lacks htk; the banks of `torchaudio.functional.melscale_fbanks` are off by up to 1e-5.
    Shapes: -> (fft_size / 2 + 1, F) float64.
    """
    edges, indices = mel_edges(settings), np.arange(fft_size // 2 + 1)[:, None]
    bins = indices * settings.sample_rate / fft_size
    if settings.mel_scale == "htk":
        edges, bins = htk_mel(edges), htk_mel(bins)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters = np.maximum(0.0, np.minimum(up, down))
    if settings.mel_scale == "slaney":
        filters *= 2.0 / (right - left)
    filters[0] = 0.0
    return filters


def band_centres(settings: Mel) -> Tensor:
    """The peak of each mel filter in Hz: (F,) float32."""
    return torch.from_numpy(mel_edges(settings)[1:-1]).float()


def mel_edges(settings: Mel) -> np.ndarray:
    """Filter b rises from edge b to edge b + 1 and falls to edge b + 2: (F + 2,) in Hz."""
    limits = np.array([settings.mel_min_hz, settings.mel_max_hz])
    if settings.mel_scale != "slaney":
        lowest, highest = htk_mel(limits)
        return htk_hz(np.linspace(lowest, highest, settings.num_bands + 2))
    lowest, highest = slaney_mel(limits)
    return slaney_hz(np.linspace(lowest, highest, settings.num_bands + 2))


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
