import io

import numpy as np
import pytest
import soundfile

from data.features.decode import BadAudio
from deploy.piped_wav import open_piped_wav
from deploy.recordings import piped_blocks

SAMPLES = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)


def wav(subtype, format="WAV"):
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 22_050, subtype=subtype, format=format)
    return file.getvalue()


def blocks(content, *given):
    return list(piped_blocks(io.BufferedReader(io.BytesIO(content)), *(given or (None,) * 3), 8000))


@pytest.mark.parametrize(
    ("subtype", "format", "bound"),
    [
        ("PCM_16", "WAV", 1e-4),
        ("PCM_32", "WAV", 1e-6),
        ("FLOAT", "WAV", 0),
        ("PCM_16", "WAVEX", 1e-4),
    ],
)
def test_a_wav_file_has_its_own_rate_and_channels(subtype, format, bound):
    found = blocks(wav(subtype, format) + b"LIST\x04\0\0\0text")
    assert {rate for _, rate in found} == {22_050}
    np.testing.assert_allclose(np.concatenate([b for b, _ in found]), SAMPLES, atol=bound)


def test_missing_samples_are_an_error_after_those_that_are_there():
    content = wav("PCM_16")
    stream = io.BufferedReader(io.BytesIO(content[: 44 + 1000]))
    found = piped_blocks(stream, None, None, None, 8000)
    assert len(next(found)[0]) == 250
    reason = "cut short: the header promises 2000 bytes, 1000 are there"
    with pytest.raises(BadAudio, match=reason):
        next(found)


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_samples_of_unknown_length_are_read_to_the_end(length):
    content = bytearray(wav("FLOAT"))
    place = content.index(b"data") + 4
    content[place : place + 4] = length.to_bytes(4, "little")
    assert sum(len(block) for block, _ in blocks(bytes(content))) == 500


def test_raw_samples_are_as_before():
    ((block, rate),) = blocks(b"\x00\x40" * 4)
    assert (block.tolist(), rate) == ([[0.5]] * 4, 8000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (wav("PCM_24"), "found 24 bits and format 1 at 22050 Hz, 2 channels; of a piped WAV"),
        (wav("PCM_16")[:30], "its WAV header is cut short"),
        (b"RIFF....AVI LIST", "not a WAV file"),
    ],
)
def test_other_files_are_refused(content, reason):
    with pytest.raises(BadAudio, match=reason):
        open_piped_wav(io.BufferedReader(io.BytesIO(content)), "-")
