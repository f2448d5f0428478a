"""The front end as ONNX nodes: waveform -> normalised log-mel, in some ten kilobytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from config import Mel
from data.features.front_end import FrontEnd, htk_mel, log_floor, mel_edges
from deploy.graph import Graph

if TYPE_CHECKING:
    import onnx

OUTSIDE = -1  # a bin below every filter


def front_end_graph(settings: Mel, mean: Sequence[float], std: Sequence[float]) -> onnx.GraphProto:
    r"""(x - mean) / std of the features x of data.features.front_end.FrontEnd, to about 1e-6.

    A Fourier transform of N = N1 N2 samples is two small products (Cooley and Tukey): with
    n = N2 m + n2 and k = k1 + N1 k2,

    .. math:: X[k] = \sum_{n_2} e^{-2 \pi i k_2 n_2 / N_2}
              \Bigl( \sum_m w[n] \, e^{-2 \pi i k_1 n / N} \, x[n] \Bigr)

    The inner sums are one strided convolution per phase n2, which also frames and windows; the
    outer ones are a matrix product. Only k1 up to N1 / 2 is computed: the other bins are mirror
    images, and the mel filters are computed at the frequencies of the bins. onnxruntime's own DFT
    and STFT take many times as long. The graph computes all tables, once, when a runtime folds
    constants: stored, they would dominate the file of a small student.

    Clips count as full-length: padding = log_zero is ignored.
    Shapes: waveform (B, C, S) -> mel (B, C, T, F); features (B, C, S) of a raw-waveform model.
    """
    graph, front_end = Graph("front_end"), FrontEnd(settings)
    waveform = graph.reshape("waveform", (-1, 1, 0))  # (B C, 1, S)
    if settings.pre_emphasis and settings.framing != "kaldi":
        kernel = np.array([[[-settings.pre_emphasis, 1.0]]], np.float32)
        waveform = graph("Conv", waveform, kernel, pads=[1 - front_end.lost, 0])
    if settings.front_end == "waveform":
        features = graph.reshape(waveform, (-1, settings.channels, 0))
        return graph.finished(features=normalised(graph, features, mean, std))
    if front_end.centred:
        half = front_end.window_length // 2
        before = front_end.window_length - half
        waveform = graph("Pad", waveform, [0, 0, before, 0, 0, half], mode="reflect")
    spectrum, bins = spectrum_of(graph, waveform, front_end)  # (B C, bins, T)
    mel = graph("MatMul", mel_filters(graph, front_end, bins), spectrum)
    mel = graph("Transpose", logarithm(graph, mel, settings), perm=[0, 2, 1])  # (B C, T, F)
    mel = graph.reshape(graph("Unsqueeze", mel, [1]), (-1, settings.channels, 0, 0))
    if settings.top_db:
        largest = graph("ReduceMax", mel, [1, 2, 3])
        mel = graph("Max", mel, graph("Sub", largest, np.float32(settings.top_db)))
    return graph.finished(mel=normalised(graph, mel, mean, std))


def spectrum_of(graph: Graph, waveform: str, front_end: FrontEnd) -> tuple[str, np.ndarray]:
    """(B C, 1, S) -> magnitudes or powers (B C, bins, T), and the number of each bin.

    It is OUTSIDE for a bin that duplicates another one, and for 0 Hz, as in
    data.features.front_end.mel_filters.
    """
    settings, size, hop = front_end.settings, front_end.fft_size, front_end.hop_length
    phases, steps = factors(size, 0 if settings.framing == "kaldi" else hop)
    spare = -front_end.window_length % phases
    if settings.framing == "kaldi" or hop % phases:
        blocks = frames_end_to_end(graph, waveform, front_end, phases)
        hop = front_end.window_length + spare
    else:
        blocks = in_blocks(graph, waveform, phases, spare)
    half = steps // 2 + 1
    inner = graph(
        "Conv",
        graph("Transpose", blocks, perm=[0, 2, 1]),  # (B C, n2, S / N2)
        inner_table(graph, front_end, phases, steps),
        group=phases,
        strides=[hop // phases],
    )
    inner = graph.reshape(inner, (0, 2 * phases, -1))  # (B C, n2 and part, k1 T)
    real, imaginary = (graph("MatMul", table, inner) for table in outer_tables(graph, phases))
    power = graph("Add", graph("Mul", real, real), graph("Mul", imaginary, imaginary))
    if settings.spectrum == "magnitude":
        power = graph("Sqrt", power)
    bins = (steps * np.arange(phases)[:, None] + np.arange(half)).reshape(-1)
    bins = np.minimum(bins, size - bins)
    numbers = np.full(len(bins), OUTSIDE, np.min_scalar_type(-size))
    bins, places = np.unique(bins, return_index=True)
    numbers[places] = np.where(bins, bins, OUTSIDE)
    return graph.reshape(power, (0, phases * half, -1)), numbers


def factors(size: int, hop: int) -> tuple[int, int]:
    """N2 and N1 of N = `size`: near the least work, and N2 divides `hop` if that costs little.

    If it does, no frame is copied. The work is about 2 (N1 + 2 N2) N products per frame.
    """

    def largest_divisor(number: int) -> int:
        most = math.isqrt(max(1, size // 2))
        return max(d for d in range(1, most + 1) if number % d == 0)

    best, shared = largest_divisor(size), largest_divisor(math.gcd(size, hop))
    phases = shared if 2 * shared >= best else best
    return phases, size // phases


def in_blocks(graph: Graph, waveform: str, length: int, spare: int) -> str:
    """(B C, 1, S) -> (B C, (S + spare) / length, length); the remainder is dropped."""
    if spare:
        waveform = graph("Pad", waveform, [0, 0, 0, 0, 0, spare])
    count = graph("Div", graph("Shape", waveform, start=2), [length])
    end = graph("Mul", count, [length])
    blocks = graph("Slice", waveform, [0], end, [2])
    return graph.reshape(blocks, (0, -1, length))


def frames_end_to_end(graph: Graph, waveform: str, front_end: FrontEnd, phases: int) -> str:
    """(B C, 1, S) -> (B C, T taps, N2): the phases of all frames, one after the other.

    A frame is a concatenation of copied blocks of one hop each.
    """
    window, hop, settings = front_end.window_length, front_end.hop_length, front_end.settings
    count = -(-window // hop)  # blocks per frame
    blocks = in_blocks(graph, waveform, hop, count * hop - window)
    starts = graph("Sub", graph("Shape", blocks, start=1, end=2), [count - 1])
    starts = graph("Range", np.int64(0), graph("Squeeze", starts, [0]), np.int64(1))
    places = graph("Add", graph("Unsqueeze", starts, [1]), np.arange(count))
    frames = graph.reshape(graph("Gather", blocks, places, axis=1), (0, 0, -1))
    frames = cut(graph, frames, 0, window)  # (B C, T, window)
    if settings.framing == "kaldi":
        frames = graph("Sub", frames, graph("ReduceMean", frames, [2]))
        if settings.pre_emphasis:
            before = graph("Concat", cut(graph, frames, 0, 1), cut(graph, frames, 0, -1), axis=2)
            frames = graph("Sub", frames, graph("Mul", before, np.float32(settings.pre_emphasis)))
    if spare := -window % phases:
        frames = graph("Pad", frames, [0, 0, 0, 0, 0, spare])
    return graph.reshape(frames, (0, -1, phases))


def cut(graph: Graph, value: str, start: int, end: int) -> str:
    """value[:, :, start:end]"""
    return graph("Slice", value, [start], [end], [2])


def inner_table(graph: Graph, front_end: FrontEnd, phases: int, steps: int) -> str:
    """The window times e^(-2 pi i k1 n / N), as weights of a grouped convolution.

    Each phase n2 is a group; its channels are the real parts of all k1, then the imaginary parts.
    Shapes: -> (N2 * 2 * (N1 / 2 + 1), 1, taps).
    """
    taps = -(-front_end.window_length // phases)
    samples = graph("Range", np.float64(0), np.float64(taps * phases), np.float64(1))
    samples = graph("Transpose", graph.reshape(samples, (taps, phases)), perm=[1, 0])
    samples = graph.reshape(samples, (phases, 1, 1, taps))
    k1 = np.arange(steps // 2 + 1.0)[:, None]
    quarters = np.array([1.0, 2.0])[:, None, None]
    waves = sines(graph, graph("Mul", samples, k1), quarters, front_end.fft_size)
    table = graph("Mul", waves, window_at(graph, front_end, samples))
    return graph.reshape(graph("Cast", table, to=graph.FLOAT), (-1, 1, taps))


def outer_tables(graph: Graph, phases: int) -> tuple[str, str]:
    """(N2, 2 N2) each: real and imaginary part of the outer sum, from those of the inner sums."""
    k2 = np.arange(float(phases))[:, None]
    products = graph("Mul", k2[..., None], k2)  # (k2, n2, 1)
    real, imaginary = (
        graph("Cast", sines(graph, products, np.array(quarters), phases), to=graph.FLOAT)
        for quarters in ([1.0, 0.0], [2.0, 1.0])
    )
    return graph.reshape(real, (phases, -1)), graph.reshape(imaginary, (phases, -1))


def sines(graph: Graph, products: str, quarters: np.ndarray, period: int) -> str:
    """sin(2 pi products / period), some quarters of a turn ahead: 1 is a cosine, 2 is -sin."""
    turns = graph("Add", products, quarters * period / 4)
    turns = graph("Mod", turns, np.float64(period), fmod=1)
    return graph("Sin", graph("Mul", turns, np.float64(2 * np.pi / period)))


def window_at(graph: Graph, front_end: FrontEnd, samples: str) -> str:
    """data.features.front_end.analysis_window at these samples, 0 beyond it."""
    name, length = front_end.settings.window, front_end.window_length
    period = length if name == "hann" else length - 1
    wave = graph("Sin", graph("Mul", samples, np.float64(np.pi / period)))
    window = graph("Mul", wave, wave)
    if name == "povey":
        window = graph("Pow", window, np.float64(0.85))
    inside = graph("Cast", graph("Less", samples, np.float64(length)), to=graph.DOUBLE)
    return graph("Mul", window, inside)


def mel_filters(graph: Graph, front_end: FrontEnd, bins: np.ndarray) -> str:
    """data.features.front_end.mel_filters for bins in any order: (F, bins)."""
    settings = front_end.settings
    edges, area = mel_edges(settings), np.ones(settings.num_bands)
    bin_hz = np.float64(settings.sample_rate / front_end.fft_size)
    frequencies = graph("Mul", graph("Cast", bins, to=graph.DOUBLE), bin_hz)
    if settings.mel_scale == "slaney":
        area = 2.0 / (edges[2:] - edges[:-2])
    elif settings.mel_scale == "htk":
        ratios = graph("Mul", graph("Max", frequencies, np.float64(0)), np.float64(1 / 700))
        mels = graph("Log", graph("Add", ratios, np.float64(1)))
        frequencies = graph("Mul", mels, np.float64(1127))
        edges = htk_mel(edges)
    left, centre, right = (edges[k : k + settings.num_bands, None] for k in range(3))
    rise, fall = area[:, None] / (centre - left), area[:, None] / (right - centre)
    up = graph("Mul", graph("Sub", frequencies, left), rise)
    down = graph("Mul", graph("Sub", right, frequencies), fall)
    triangles = graph("Max", graph("Min", up, down), np.float64(0))
    return graph("Cast", triangles, to=graph.FLOAT)


def logarithm(graph: Graph, mel: str, settings: Mel) -> str:
    if settings.log == "none":
        return mel
    offset = settings.log_offset
    kind, least = ("Add", offset) if offset else ("Max", log_floor(settings))
    logarithms = graph("Log", graph(kind, mel, np.float32(least)))
    scale = {"natural": 1.0, "log10": 1 / math.log(10), "decibel": 10 / math.log(10)}[settings.log]
    return logarithms if scale == 1 else graph("Mul", logarithms, np.float32(scale))


def normalised(graph: Graph, features: str, mean: Sequence[float], std: Sequence[float]) -> str:
    """(features - mean) / std, with one value each or one per band (the last axis)."""
    centred = graph("Sub", features, np.asarray(mean, np.float32))
    return graph("Div", centred, np.asarray(std, np.float32))
