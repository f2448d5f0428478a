import io
from itertools import islice

import numpy as np
import pytest
import soundfile

from config import UserError
from data.features.decode import BadAudio
from deploy.recordings import find_recordings, piped_blocks, raw_blocks


def test_a_folder_is_replaced_by_its_sorted_recordings(tmp_path):
    for name in (
        "b.WAV",
        "a/z.flac",
        "a/video.m4a",
        "a/b.3GP",
        "clips.csv",
        ".hidden/c.wav",
        "._b.wav",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_recordings(["-", "missing.wav", str(tmp_path)])
    assert found[:2] == ["-", "missing.wav"]
    assert found[2:] == [str(tmp_path / n) for n in ("a/b.3GP", "a/video.m4a", "a/z.flac", "b.WAV")]


def test_a_folder_without_recordings_is_named(tmp_path):
    with pytest.raises(UserError, match="no recordings in this folder"):
        find_recordings([str(tmp_path)])


class Pipe(io.BytesIO):
    """Returns 7 bytes at a time, which are no multiple of a frame."""

    def read1(self, size=-1):
        return super().read1(7)


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("s16le", np.array([0, 16384, -32768, 32767], "<i2"), [0, 0.5, -1, 32767 / 32768]),
        ("s32le", np.array([0, 2**30, -(2**31), 2**29], "<i4"), [0, 0.5, -1, 0.25]),
        ("f32le", np.array([0, 0.5, -1, 0.25], "<f4"), [0, 0.5, -1, 0.25]),
    ],
)
def test_raw_samples_arrive_in_chunks_of_any_size(kind, stored, expected):
    found = list(raw_blocks(Pipe(stored.tobytes() + b"\x01"), kind, 100, 2))
    assert all(rate == 100 and block.dtype == np.float32 for block, rate in found)
    joined = np.concatenate([block for block, _ in found])
    np.testing.assert_array_equal(joined, np.float32(expected).reshape(2, 2))


def test_a_raw_sample_that_is_not_finite_is_named_with_its_time():
    stored = np.zeros(10, "<f4")
    stored[5] = np.inf
    blocks = raw_blocks(
        Pipe(stored.tobytes()), "f32le", 10, 1
    )  # 7 bytes: one sample, then two, two …
    assert [len(block) for block, _ in islice(blocks, 3)] == [1, 2, 2]
    with pytest.raises(BadAudio, match=r"^-: .* NaN or infinite, the first at 0.500 s"):
        next(blocks)


def piped(content, *given):
    stream = io.BufferedReader(io.BytesIO(content))
    return list(piped_blocks(stream, *(given or (None,) * 3), 8000))


def stored(format, subtype=None):
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-1, 1, 8000)
    soundfile.write(file, noise, 16_000, format=format, subtype=subtype)
    return file.getvalue()


ADTS = b"\xff\xf1\x60\x40\x02\x1f\xfc" + bytes(9)  # a frame of 16 bytes
FILES = [
    (b"", "no samples"),
    *((stored(name), f"a.* {name} file") for name in ("RF64", "W64", "CAF", "AU", "AIFF", "FLAC")),
    (stored("OGG"), "an Ogg file"),
    (stored("MP3"), "an MP3 file"),
    (b"ID3\4\0\0\0\0\0\0" + stored("MP3"), "an MP3 file"),
    (2 * ADTS, "an AAC stream"),
    (b"\0\0\0\x20ftypM4A ", "an MP4 file"),
    (b"\x1aE\xdf\xa3\x9f\x42\x86\x81", "a Matroska file"),
    (b"\x1f\x8b\x08\0", "an archive"),
    (b"<!DOCTYPE html>", "a web page"),
]


@pytest.mark.parametrize("given", [(), ("s16le", 8000, 1)])
@pytest.mark.parametrize(("content", "reason"), FILES, ids=[reason for _, reason in FILES])
def test_a_pipe_without_raw_samples_is_refused(content, reason, given):
    with pytest.raises(BadAudio, match=reason):
        piped(content, *given)


def test_a_wav_file_is_not_raw_samples():
    with pytest.raises(BadAudio, match="this is a WAV file; expected raw samples$"):
        piped(stored("WAV"), "s16le", None, None)


@pytest.mark.parametrize(
    "samples",
    [
        np.random.default_rng(0).integers(-40, 40, 5000),
        np.tile([-1, 16], 1000),  # frames of MPEG layer I
        np.repeat([-1, -257, -769, -1025, -1281, -3585, -3841, -29921], 2),
        [-1025, 144, *range(3000)],  # the header of an MP3 frame, and no second one
        [-3585],
    ],
)
def test_raw_samples_that_begin_as_frames_do_are_no_file(samples):
    content = np.array(samples, "<i2").tobytes()
    found = np.concatenate([block for block, _ in piped(content)])
    np.testing.assert_array_equal(found[:, 0] * 32768, samples)


def test_ctrl_c_is_the_end_of_a_pipe():
    class Interrupted(Pipe):
        def read1(self, size=-1):
            if self.tell() >= 14:
                raise KeyboardInterrupt
            return super().read1(size)

    found = list(raw_blocks(Interrupted(bytes(100)), "s16le", 8000, 1))
    assert sum(len(block) for block, _ in found) == 7
