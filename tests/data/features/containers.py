"""Recordings in the containers that FFmpeg reads, written with PyAV."""

import numpy as np
import pytest

av = pytest.importorskip("av", reason="requires PyAV: pip install -r requirements-av.txt")

RATE = 16_000
WIDTHS = {"u8": (np.uint8, 2**7, 128), "s16": (np.int16, 2**15, 0), "s32": (np.int32, 2**31, 0)}
WIDTHS |= {"flt": (np.float32, 1, 0)}


def noise(seconds=2.0, channels=1, bits=16, rate=RATE):
    """Low frequencies, which codecs keep, in steps of `bits`."""
    steps = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate) + 40, channels))
    smooth = np.mean([steps[k : len(steps) - 40 + k] for k in range(40)], axis=0) * 4
    return (np.round(smooth * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)


def encode(
    path, codec, samples, rate=RATE, width="", first=0, video=False, codec_options=None, **options
):
    """Write samples (n, channels) with PyAV, the first at the time of sample `first`."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout, options=codec_options or {})
        width = width or stream.codec_context.format.name
        stream.codec_context.format = width
        if video:
            add_video(file, round(25 * len(samples) / rate))
        dtype, scale, offset = WIDTHS[width.removesuffix("p")]
        stored = (samples * np.float64(scale) + offset).astype(dtype)
        for start in range(0, len(samples), 4096):
            part = stored[start : start + 4096]
            part = part.T if width.endswith("p") else part.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), width, layout)
            frame.rate, frame.pts = rate, first + start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def add_video(file, pictures):
    stream = file.add_stream("mpeg4", rate=25, width=16, height=16, pix_fmt="yuv420p")
    for _ in range(pictures):
        file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
    file.mux(stream.encode(None))
