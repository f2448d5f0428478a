import math

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from config import Mel
from data.features.front_end import FrontEnd
from deploy.front_end_graph import factors, front_end_graph
from deploy.onnx_file import session


def front_end_session(mel, mean=(0.0,), std=(1.0,)):
    """A session of only the front end, and the name of its output."""
    graph = front_end_graph(mel, mean, std)
    name = graph.node[-1].output[0]
    shape = ["b", mel.channels, "t", "f"] if name == "mel" else ["b", mel.channels, "s"]
    float32 = onnx.TensorProto.FLOAT
    waveform = ["b", mel.channels, "s"]
    graph.input.append(helper.make_tensor_value_info("waveform", float32, waveform))
    graph.output.append(helper.make_tensor_value_info(name, float32, shape))
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return session(model), name, model.ByteSize()


def sound(mel, clips=2, extra=37, seconds=0.5):
    """A sweep with noise, with loud, faint and silent frames."""
    count = round(seconds * mel.sample_rate) + extra
    time = np.arange(count) / mel.sample_rate
    generator = np.random.default_rng(0)
    waves = 0.4 * np.sin(2 * np.pi * (200 + 3000 * time) * time)
    waves = waves + 0.1 * generator.standard_normal((clips, mel.channels, count))
    waves[..., : count // 8] = 0
    return (waves * (time < 0.8 * seconds)).astype(np.float32)


SETTINGS = [
    {},
    {"num_bands": 20, "stft_hop_length_seconds": 0.02},
    {"framing": "centred"},
    {"framing": "centred", "window": "hann_symmetric", "mel_scale": "slaney", "log": "log10"},
    {"framing": "kaldi", "window": "povey", "spectrum": "power", "pre_emphasis": 0.97},
    {"framing": "kaldi", "spectrum": "power", "log_offset": 0.0},
    {"spectrum": "power", "log": "decibel"},
    {"spectrum": "power", "log": "decibel", "log_offset": 0.0, "log_floor": 1e-10, "channels": 2},
    {"spectrum": "power", "log": "decibel", "top_db": 20.0, "channels": 2},
    {"log": "none"},
    {"pre_emphasis": 0.97, "channels": 2},
    {"pre_emphasis": 0.97, "framing": "centred"},
    {"pre_emphasis": 0.97, "framing": "passt", "window": "hann_symmetric", "log_offset": 1e-5},
    {"mel_min_hz": 0.0, "mel_max_hz": 8000.0, "mel_scale": "slaney"},
    {"mel_min_hz": 0.0, "mel_max_hz": 8000.0, "mel_scale": "htk_hertz"},
    {"sample_rate": 44_100, "mel_max_hz": 20_000.0},  # a hop of 441 samples: frames are copied
    {"sample_rate": 8_000, "mel_max_hz": 4_000.0},
    {"sample_rate": 32_000, "stft_window_length_seconds": 0.032, "num_bands": 128},
    {"fft_size": 401},  # a prime: one phase
    {"fft_size": 1200},
    {"padding": "log_zero"},
    {"front_end": "waveform"},
    {"front_end": "waveform", "pre_emphasis": 0.9, "channels": 2},
    {"front_end": "waveform", "pre_emphasis": 0.9, "framing": "passt"},
]


@pytest.mark.parametrize("changed", SETTINGS, ids=str)
def test_the_graph_equals_the_front_end(changed):
    mel = Mel(**changed)
    student, name, _ = front_end_session(mel)
    waveform = sound(mel)
    (found,) = student.run(None, {"waveform": waveform})
    expected = FrontEnd(mel)(torch.from_numpy(waveform)).numpy()
    assert name == ("features" if mel.front_end == "waveform" else "mel")
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(
    st.sampled_from(["plain", "centred", "kaldi"]),
    st.integers(200, 500),
    st.integers(40, 300),
    st.integers(0, 1000),
    st.integers(0, 700),
)
def test_any_window_hop_fft_size_and_length(framing, window, hop, spare, extra):
    mel = Mel(
        framing=framing,
        stft_window_length_seconds=window / 16_000,
        stft_hop_length_seconds=hop / 16_000,
        fft_size=window + spare,
        num_bands=12,
    )
    student, _, _ = front_end_session(mel)
    waveform = 0.1 * np.random.default_rng(0).standard_normal((1, 1, window + extra))
    (found,) = student.run(None, {"waveform": waveform.astype(np.float32)})
    expected = FrontEnd(mel)(torch.from_numpy(waveform).float()).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_a_tone_equals_a_hand_computation():
    """1 kHz of amplitude 1 is bin 32 of 512: |X| = half the window's sum, 200 / 2 = 100."""
    mel = Mel(num_bands=1, mel_min_hz=999.0, mel_max_hz=1001.0, log="none")
    time = np.arange(400) / 16_000
    tone = np.sin(2 * np.pi * 1000 * time)[None, None].astype(np.float32)
    student, _, _ = front_end_session(mel)
    centre = 700 * math.expm1(math.log1p(1000 / 700))  # the peak of the only filter, in the middle
    assert centre == pytest.approx(1000)
    (found,) = student.run(None, {"waveform": tone})
    assert found.shape == (1, 1, 1, 1)
    assert found.item() == pytest.approx(100, rel=1e-3)


def test_normalisation_is_global_or_per_band():
    mel = Mel(num_bands=3)
    waveform = sound(mel)
    plain = front_end_session(mel)[0].run(None, {"waveform": waveform})[0]
    for mean, std in (((-2.0,), (4.0,)), ((1.0, 2.0, 3.0), (2.0, 4.0, 8.0))):
        (found,) = front_end_session(mel, mean, std)[0].run(None, {"waveform": waveform})
        expected = (plain - np.array(mean)) / np.array(std)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_tables_are_computed_not_stored():
    """The matrix of the transform would be 400 x 257 x 2 floats, 800 kB; in the last one, 50 MB."""
    tau = {"stft_window_length_seconds": 0.096, "fft_size": 4096, "num_bands": 256}
    mels = {10_000: Mel(), 11_000: Mel(framing="kaldi"), 20_000: Mel(sample_rate=32_000, **tau)}
    for most, mel in mels.items():
        assert front_end_session(mel)[2] < most


@pytest.mark.parametrize(
    ("size", "hop", "expected"),
    [(512, 160, (16, 32)), (512, 320, (16, 32)), (2048, 441, (32, 64)), (401, 160, (1, 401))],
)
def test_the_transform_is_factorised_so_that_no_frame_is_copied(size, hop, expected):
    assert factors(size, hop) == expected
