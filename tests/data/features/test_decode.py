import pickle
import struct
import sys
from itertools import islice

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from data.features.decode import BadAudio, convert, decode, read, read_blocks, read_concatenated
from tests.data.features.test_streams import written


def tone(hertz, rate, seconds=1.0, channels=1):
    time = np.arange(round(rate * seconds)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * time)[:, None], channels, 1)


def write(path, samples, rate=16_000, **kind):
    soundfile.write(path, samples, rate, **kind)
    return path


def test_sixteen_bits_are_read_exactly(tmp_path):
    stored = np.arange(-32768, 32768, 7, dtype=np.int16)
    found = decode(write(tmp_path / "a.wav", stored), 16_000)
    assert found.dtype == np.float32
    assert found.shape == (1, len(stored))
    np.testing.assert_array_equal(found[0], stored / np.float32(32768))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, [[0.25, 0.5]]), (2, [[0.5, 0.5], [0.25, 0.75]])],
)
def test_mono_is_the_mean_of_all_channels_and_stereo_the_first_two(tmp_path, channels, expected):
    stored = np.array([[0.5, 0.25, 0.0], [0.5, 0.75, 0.25]])
    path = write(tmp_path / "a.wav", stored, subtype="FLOAT")
    np.testing.assert_array_equal(decode(path, 16_000, channels), np.float32(expected))


def test_a_mono_recording_is_copied_to_both_channels(tmp_path):
    path = write(tmp_path / "a.wav", np.array([0.5, -0.25]), subtype="FLOAT")
    np.testing.assert_array_equal(decode(path, 16_000, 2), np.float32([[0.5, -0.25]] * 2))


def test_a_96_khz_24_bit_stereo_flac_becomes_a_16_khz_tone(tmp_path):
    path = write(tmp_path / "a.flac", tone(1000, 96_000, 1.0, 2), 96_000, subtype="PCM_24")
    found = decode(path, 16_000)
    assert found.shape == (1, 16_000)
    np.testing.assert_allclose(found[0, 200:-200], tone(1000, 16_000)[200:-200, 0], atol=1e-4)


def test_frequencies_above_the_new_nyquist_frequency_are_removed(tmp_path):
    found = decode(write(tmp_path / "a.wav", tone(12_000, 44_100), 44_100), 16_000)
    assert np.abs(found[0, 200:-200]).max() < 1e-4


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
    st.sampled_from([16_000, 32_000, 44_100]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.floats(0.05, 0.5),
)
def test_any_rate_gives_the_same_tone_and_length(rate, wanted, channels, mixed, seconds):
    found = convert(np.float32(tone(440, rate, seconds, channels)), rate, wanted, mixed)
    samples = round(rate * seconds)
    assert found.shape[0] == mixed
    assert abs(found.shape[1] - samples * wanted / rate) <= 1
    middle = slice(found.shape[1] // 4, -found.shape[1] // 4)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(found.shape[1]) / wanted)
    np.testing.assert_allclose(found[:, middle], [expected[middle]] * mixed, atol=2e-3)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_segment_equals_that_part_of_the_recording(tmp_path, name):
    path = write(tmp_path / name, tone(440, 22_050, 2.0), 22_050)
    whole, rate = read(path)
    part, _ = read(path, 0.5, 0.25)
    assert rate == 22_050
    assert len(part) == round(0.25 * rate)
    np.testing.assert_allclose(part, whole[11_025 : 11_025 + len(part)], atol=1e-6)


def test_a_short_recording_gives_fewer_samples(tmp_path):
    path = write(tmp_path / "a.wav", tone(440, 44_100, 0.010), 44_100)
    assert decode(path, 16_000, seconds=10.0).shape == (1, 160)


def cut(source, path):
    path.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    return path


def with_data_size(path, size):
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


BAD = {
    "no such file": lambda d: d / "missing.wav",
    r"empty \(0 bytes\)": lambda d: written(d / "a.wav", b""),
    "not readable as audio": lambda d: written(d / "a.wav", b"a text, not a sound. " * 50),
    "no samples": lambda d: write(d / "a.wav", np.zeros(0)),
    "promises 96000 bytes, 57582 are there": lambda d: cut(
        write(d / "whole.wav", tone(440, 16_000, 3.0)), d / "a.wav"
    ),
    "not readable as audio|cut short": lambda d: cut(
        write(d / "whole.flac", np.random.default_rng(0).uniform(-1, 1, 48_000)), d / "a.flac"
    ),
    "NaN or infinite": lambda d: write(
        d / "a.wav", np.array([0.0, np.nan, 0.0], np.float32), subtype="FLOAT"
    ),
    "NaN or inf": lambda d: write(
        d / "a.wav", np.array([0.0, np.inf, 0.0], np.float32), subtype="FLOAT"
    ),
}


@pytest.mark.parametrize("reason", BAD)
def test_the_reason_of_a_bad_recording_is_named(tmp_path, reason):
    path = BAD[reason](tmp_path)
    with pytest.raises(BadAudio, match=reason) as caught:
        decode(path, 16_000)
    assert isinstance(caught.value, UserError)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(path) not in caught.value.reason


@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "w64", "rf64", "mp3", "flac"])
def test_a_truncated_recording_is_found_even_where_only_its_beginning_is_read(tmp_path, kind):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 10 * 16_000)
    path = cut(write(tmp_path / f"whole.{kind}", noise), tmp_path / f"a.{kind}")
    seconds = None if kind in ("mp3", "flac") else 1.0  # these are told by reading on
    with pytest.raises(BadAudio, match=r"cut short|not readable"):
        decode(path, 16_000, seconds=seconds)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_the_blocks_of_a_recording_are_its_samples(tmp_path, name):
    path = write(tmp_path / name, tone(440, 22_050, 1.0, 2), 22_050)
    blocks = [*read_blocks(path, 1000)]
    assert {rate for _, rate in blocks} == {22_050}
    assert {len(block) for block, _ in blocks[:-1]} == {1000}
    np.testing.assert_allclose(np.concatenate([b for b, _ in blocks]), read(path)[0], atol=1e-6)


def test_samples_before_a_non_finite_one_are_returned(tmp_path):
    samples = np.zeros((16_000, 1), np.float32)
    samples[12_345] = np.nan
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    blocks = read_blocks(path, 1000)
    assert sum(len(block) for block, _ in islice(blocks, 13)) == 12_345
    with pytest.raises(BadAudio, match=r"NaN or infinite, the first at 0\.772 s"):
        next(blocks)
    with pytest.raises(BadAudio, match=r"the first at 0\.772 s"):
        read(path, 0.5)


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_recording_is_bad_in_blocks_too(tmp_path, reason):
    with pytest.raises(BadAudio, match=reason):
        list(read_blocks(BAD[reason](tmp_path)))


def test_a_clip_beyond_the_end_of_its_recording_is_bad(tmp_path):
    path = write(tmp_path / "a.wav", tone(440, 16_000))
    with pytest.raises(BadAudio, match="starts at 1 s, the recording ends at 1 s"):
        decode(path, 16_000, start_seconds=1.0)


def test_a_length_that_its_writer_did_not_know_is_no_fault(tmp_path):
    path = with_data_size(write(tmp_path / "a.wav", tone(440, 16_000)), 0xFFFF_FFFF)
    assert decode(path, 16_000).shape == (1, 16_000)
    au = write(tmp_path / "a.au", tone(440, 16_000)).read_bytes()
    path = written(tmp_path / "a.au", au[:8] + b"\xff" * 4 + au[12:])
    assert decode(path, 16_000).shape == (1, 16_000)


def test_a_header_that_promises_more_than_the_memory_holds_is_bad(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(800), 8000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] |= 15  # the number of samples: 2 ** 36 - 1, which are 256 GiB as float32
    content[22:26] = b"\xff" * 4
    (tmp_path / "a.flac").write_bytes(content)
    for reading in (read, lambda path: list(read_blocks(path))):
        with pytest.raises(BadAudio, match="promises more samples|are promised, 0.100 s are there"):
            reading(tmp_path / "a.flac")


def test_bad_audio_survives_the_way_from_a_worker():
    sent = pickle.loads(pickle.dumps(BadAudio("a.wav", "no such file")))
    assert (sent.path, sent.reason, str(sent)) == ("a.wav", "no such file", "a.wav: no such file")


def test_a_recording_in_several_files_is_concatenated(tmp_path):
    whole = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    parts = [
        write(tmp_path / f"{n}.wav", part, 8000, subtype="FLOAT")
        for n, part in enumerate(np.split(whole, [300, 301]))
    ]
    samples, rate = read_concatenated(parts)
    assert rate == 8000
    np.testing.assert_array_equal(samples, whole)
    write(parts[2], whole[301:], 16_000)
    with pytest.raises(
        BadAudio, match=r"expected 2 channels at 8000 Hz, as 0.wav, found 2 at 16000 Hz$"
    ):
        read_concatenated(parts)
    write(parts[2], whole[301:, :1], 8000)
    with pytest.raises(
        BadAudio, match=r": 2.wav: expected 2 channels at 8000 Hz, .* found 1 at 8000 Hz$"
    ):
        read_concatenated(parts)


# Names and containers -----------------------------------------------------------------------------


CONTAINERS = {
    b"\0\0\0\x20ftypM4A ": r"it is an MP4 file .*: convert it, as by `ffmpeg -i a.wav a.flac`, "
    r"or `pip install -r requirements-av.txt`$",
    b"\x1aE\xdf\xa3": r"a Matroska file \(webm, mkv\): convert it",
    b"0&\xb2u\x8ef\xcf\x11": "a Windows Media file",
    b"#!AMR\n": "an AMR file",
    b"\xff\xf1\x50\x80": "an AAC stream",
    b"<!DOCTYPE html><title>": "a web page, such as that of a failed download: download it again",
    b"\xef\xbb\xbf\r\n<html>": "a web page",
    b"version https://git-lfs.github.com/spec/v1\n": "a pointer of Git LFS: run `git lfs pull`",
    b"PK\x03\x04": "an archive: unpack it",
    b"a text": r"not readable as audio \([^;]*\)$",
}


@pytest.mark.parametrize("beginning", CONTAINERS)
def test_a_file_that_is_no_audio_is_named(tmp_path, beginning, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # not installed
    path = written(tmp_path / "a.wav", beginning + bytes(2000))
    for reading in (read, lambda path: list(read_blocks(path))):
        with pytest.raises(BadAudio, match=CONTAINERS[beginning]):
            reading(path)


NAMES = {
    "Dog.wav": ("dog.WAV", r"no such file; dog\.WAV is there, with other capital letters"),
    "caf\u00e9.wav": ("cafe\u0301.wav", "is there, in another Unicode form"),
    "park\\a.wav": ("park/a.wav", r"separate folders by /, not by \\"),
    "cat.wav": ("dog.wav", "no such file$"),
    "nowhere/dog.wav": ("dog.wav", "no such file$"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_file_that_a_missing_one_was_meant_to_be_is_named(tmp_path, name):
    there, message = NAMES[name]
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    with pytest.raises(BadAudio, match=message):
        read(tmp_path / name)
