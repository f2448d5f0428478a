"""Convolution of clips with the impulse responses of other devices."""

from __future__ import annotations

import hashlib
import math
import struct
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from config import Mel, UserError
from data.augment.rendering import is_power
from data.features.front_end import mel_filters


class ImpulseResponses:
    r"""Impulse responses of microphones, read from the WAV files of a folder.

    A waveform is convolved with a response and cut to its original length. A mel band, before the
    logarithm, is multiplied by the response's root mean power in it, or by its square where the
    spectrum is power,

    .. math:: \frac{\sum_f w(f) \, \lvert H(f) \rvert^2}{\sum_f w(f)}

    with the weights w of the band's filter. That is exact where the spectrum of the sound is
    flat within a band and the response far shorter than a window. For recordings of ESC-10 and the
    responses of 66 microphones the mean difference to convolution is 0.8 dB in PaSST's front end
    and 0.4 dB in DCASE 2024's (without any response: 5.5 and 6.5 dB); for a room of 100 ms, 2 to
    3 dB.

    Source: Morocutti et al., EUSIPCO 2023, who convolve with these 66, of the MicIRP collection.
    Differs: a response of another rate is resampled by its spectrum, exactly: the same amplitudes,
    so that a convolution at `sample_rate` is `sample_rate` / rate times as loud as at its own, and
    0 above half its rate.
    """

    def __init__(self, responses: list[tuple[np.ndarray, int]]) -> None:
        self.responses = responses  # samples (n,) and their rate in Hz
        self.seconds = max(len(samples) / rate for samples, rate in responses)
        self.tables: dict[tuple[Mel, int, torch.device], Tensor] = {}

    def __len__(self) -> int:
        return len(self.responses)

    def apply(self, features: Tensor, response: Tensor, grid: Mel) -> Tensor:
        """Apply one response (B,) per clip to (B, C, T, F), before the logarithm, or (B, C, S)."""
        seconds = self.seconds
        waveform = grid.front_end == "waveform"
        if waveform:
            seconds += features.shape[2] / grid.sample_rate
        key = grid, math.ceil(seconds), features.device
        if key not in self.tables:
            rows = self.spectra(grid.sample_rate, key[1]) if waveform else self.gains(*key[:2])
            self.tables[key] = torch.from_numpy(rows).to(features.device)
        table = self.tables[key][response]
        if not waveform:
            return features * table[:, None, None, :]
        size = grid.sample_rate * key[1]
        bins = torch.fft.rfft(features, size) * table[:, None, :]
        convolved = torch.fft.irfft(bins, size)[..., : features.shape[2]]
        return torch.where(response[:, None, None] < 0, features, convolved)

    def gains(self, grid: Mel, seconds: int) -> np.ndarray:
        """The factor of each band before the logarithm: (N + 1, F); the last row is all 1."""
        filters = mel_filters(grid, grid.sample_rate * seconds)
        power = np.abs(self.spectra(grid.sample_rate, seconds)) ** 2 @ filters / filters.sum(0)
        return (power if is_power(grid) else np.sqrt(power)).astype(np.float32)

    def spectra(self, sample_rate: int, seconds: int) -> np.ndarray:
        """At every 1 / seconds Hz up to `sample_rate` / 2: (N + 1, bins); the last row is all 1.

        A transform over integer seconds has the same frequencies at every rate.
        """
        spectra = np.ones((len(self) + 1, sample_rate * seconds // 2 + 1), np.complex64)
        for spectrum, (samples, rate) in zip(spectra[:-1], self.responses, strict=True):
            own = np.fft.rfft(samples, rate * seconds)[: len(spectrum)]
            spectrum[: len(own)], spectrum[len(own) :] = own * (sample_rate / rate), 0
        return spectra

    def fingerprint(self) -> str:
        digest = hashlib.sha256(b"resampled ")  # other gains than those of 0.1.0
        for samples, rate in self.responses:
            digest.update(f"{rate} {len(samples)} ".encode() + samples.tobytes())
        return digest.hexdigest()


def read_responses(folder: Path) -> ImpulseResponses:
    """All WAV files below a folder, in the order of their names.

    Raises UserError for a folder without any and a file that cannot be an impulse response.
    """
    return read_all(folder.resolve())


@cache
def read_all(folder: Path) -> ImpulseResponses:
    if not folder.is_dir():
        raise UserError(f"[augment] IMPULSE_RESPONSES: {folder} is not a folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".wav")
    if not paths:
        raise UserError(f"[augment] IMPULSE_RESPONSES: no WAV file below {folder}")
    return ImpulseResponses([read_response(path) for path in paths])


def read_response(path: Path) -> tuple[np.ndarray, int]:
    """The mean of its channels, (n,) float32 in [-1, 1], and its rate in Hz."""
    from scipy.io import wavfile  # training machines have no soundfile

    try:
        with warnings.catch_warnings(action="ignore", category=wavfile.WavFileWarning):
            warnings.filterwarnings("error", "Reached EOF prematurely")
            rate, samples = wavfile.read(path)
    except (ValueError, EOFError, struct.error, wavfile.WavFileWarning) as error:
        raise UserError(f"{path}: not readable as a WAV file ({error})") from None
    if samples.dtype == np.uint8:
        samples = samples / 128 - 1
    elif samples.dtype.kind == "i":
        samples = samples / -float(np.iinfo(samples.dtype).min)
    samples = (samples if samples.ndim == 1 else samples.mean(axis=1)).astype(np.float32)
    if not np.isfinite(samples).all() or not samples.any():
        raise UserError(f"{path}: expected samples that are finite and not all 0")
    return samples, rate
