"""What every source is made of: noise, pulses, tones, filters that move, damped modes, envelopes.

Signals are float64 arrays of `n` samples at `rate` Hz; curves (pitch, level) are as long as the
signal that they steer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq
from scipy.signal import butter, fftconvolve, sosfilt

Rng = np.random.Generator
Array = np.ndarray
Numbers = Sequence[float] | np.ndarray  # one-dimensional


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform: for frequencies, distances and durations."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def coloured_noise(rng: Rng, n: int, rate: int, slope_db: float = 0.0) -> Array:
    """Gaussian noise of unit RMS; `slope_db` an octave above 20 Hz (pink -3, brown -6)."""
    spectrum = rng.standard_normal(2 * (n // 2 + 1)).view(np.complex128)
    spectrum *= np.maximum(rfftfreq(n, 1 / rate), 20.0) ** (slope_db / 6.02)
    spectrum[0] = 0.0
    noise = irfft(spectrum, n)
    return noise / rms(noise)


def band_pass(signal: Array, rate: int, low: float, high: float, order: int = 2) -> Array:
    """Butterworth; `low` 0 makes it a low-pass, `high` beyond the top of the band a high-pass."""
    top = 0.48 * rate
    if high >= top:
        sections = butter(order, min(low, 0.9 * top), "highpass", fs=rate, output="sos")
    elif low <= 0:
        sections = butter(order, high, "lowpass", fs=rate, output="sos")
    else:
        sections = butter(order, (low, high), "bandpass", fs=rate, output="sos")
    return sosfilt(sections, signal)


def wander(rng: Rng, n: int, rate: int, hz: float) -> Array:
    """A random curve of about unit standard deviation that turns about `hz` times a second."""
    knots = rng.standard_normal(int(n / rate * hz) + 3)
    return np.interp(np.arange(n) / rate * hz + rng.uniform(), np.arange(len(knots)), knots)


def curve(n: int, rate: int, seconds: Numbers, values: Numbers) -> Array:
    """Straight lines between (seconds, value) points, level before the first and after the last."""
    return np.interp(np.arange(n) / rate, seconds, values)


def cycles(pitch: Array, rate: int, start: float = 0.0) -> Array:
    """The phase of an oscillator, in cycles, from its pitch in Hz."""
    return start + np.cumsum(pitch) / rate


def buzz(pitch: Array, rate: int) -> Array:
    """Pulses at `pitch` Hz: all harmonics below 0.45 rate, equally strong (Dirichlet's kernel)."""
    phase = np.pi * cycles(pitch, rate)
    count = np.maximum(np.floor(0.45 * rate / pitch), 1)
    below = np.sin(phase)
    near_zero = np.abs(below) < 1e-4
    kernel = np.sin((2 * count + 1) * phase) / np.where(near_zero, 1.0, below)
    return np.where(near_zero, 2 * count, kernel - 1) / (2 * np.sqrt(count))


def harmonics(pitch: Array, rate: int, strengths: Numbers, start: float = 0.0) -> Array:
    """A sum of sines at 1, 2, 3 ... times `pitch`, each silent above 0.45 rate.

    Those that stay below are read from a table of one cycle, with errors below -60 dB.
    """
    phase, gains = cycles(pitch, rate, start), np.asarray(strengths, float)
    below = min(int(np.ceil(0.45 * rate / pitch.max())) - 1, len(gains))
    size = 64 * (below + 1)
    spectrum = np.zeros(size // 2 + 1, complex)
    spectrum[1 : below + 1] = -0.5j * size * gains[:below]
    table = irfft(spectrum, size)
    total = np.interp(size * (phase % 1), np.arange(size + 1), np.append(table, table[0]))
    for order in range(below + 1, len(gains) + 1):
        audible = order * pitch < 0.45 * rate
        if not audible.any():
            break
        total += audible * gains[order - 1] * np.sin(2 * np.pi * order * phase)
    return total


def sculpt(signal: Array, rate: int, response: Callable[[Array, Array], Array]) -> Array:
    """Filter with a response that moves: `response(hz, seconds)` gives gains, zero phase.

    Frames are Hann windows of 20 ms every 10 ms, in the middle of a transform twice as long,
    overlapped and added. Shapes: hz (1, bins), seconds (frames, 1) -> (frames, bins).
    """
    hop = max(rate // 100, 1)
    frames = len(signal) // hop + 3
    padded = np.zeros((frames + 1, hop))
    padded.ravel()[2 * hop : 2 * hop + len(signal)] = signal
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)
    block = np.zeros((frames, 4, hop))
    block[:, 1] = padded[:-1] * window[:hop]
    block[:, 2] = padded[1:] * window[hop:]
    hz = rfftfreq(4 * hop, 1 / rate)[None, :]
    seconds = (np.arange(frames)[:, None] - 1) * hop / rate
    spectrum = rfft(block.reshape(frames, 4 * hop))
    block = irfft(spectrum * response(hz, seconds), 4 * hop).reshape(frames, 4, hop)
    out = np.zeros((frames + 3, hop))
    for part in range(4):
        out[part : part + frames] += block[:, part]
    return out.ravel()[3 * hop : 3 * hop + len(signal)]


def resonance(hz: Array, centre: Array | float, width: Array | float) -> Array:
    """The gain of a resonance, 1 at its centre, 0.7 half a width away."""
    return 1 / np.sqrt(1 + ((hz - centre) / (0.5 * width)) ** 2)


def struck(rng: Rng, n: int, rate: int, modes: Numbers, decay: float, knock: float) -> Array:
    """One blow on something that rings: damped modes (Hz), high ones the sooner, and a knock.

    `decay` is the time constant of the lowest mode in seconds, `knock` the level of a short noise.
    """
    time = np.arange(n) / rate
    lowest, blow = min(modes), np.zeros(n)
    for mode in modes:
        if mode < 0.45 * rate:
            fall = decay * (lowest / mode) ** 0.7 * rng.uniform(0.6, 1.4)
            blow += rng.uniform(0.3, 1.0) * np.exp(-time / fall) * np.sin(2 * np.pi * mode * time)
    burst = rng.standard_normal(n) * np.exp(-time / rng.uniform(0.004, 0.025))
    return blow / np.sqrt(len(modes)) + knock * burst


def place(into: Array, signal: Array, at: int, gain: float = 1.0) -> None:
    """Add `signal` to `into` from sample `at`; what falls outside is cut."""
    start, stop = max(at, 0), min(at + len(signal), len(into))
    if start < stop:
        into[start:stop] += gain * signal[start - at : stop - at]


def gate(n: int, rate: int, on: float, off: float, rise: float = 0.01) -> Array:
    """1 from second `on` to `off`, with ramps of `rise` seconds outside of them, else 0."""
    return curve(n, rate, (on - rise, on, off, off + rise), (0.0, 1.0, 1.0, 0.0))


def reverberate(rng: Rng, signal: Array, rate: int, decay: float, wet: float) -> Array:
    """Echoes between facades: `wet` times a tail of noise, 60 dB down after `decay` seconds."""
    time = np.arange(int(0.7 * decay * rate)) / rate
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay)
    tail[: int(0.006 * rate)] = 0.0
    tail /= np.sqrt(np.sum(tail**2))
    return signal + wet * fftconvolve(signal, tail)[: len(signal)]


def rms(signal: Array) -> float:
    return float(np.sqrt(np.mean(np.square(signal))))
