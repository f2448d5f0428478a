"""A file is read whole, or refused."""

import re
import warnings
from contextlib import suppress
from itertools import accumulate

import numpy as np
import pytest
import soundfile

from data.features import mpeg
from data.features.decode import BadAudio, read, read_blocks

RATE = 16_000
KINDS = ["mp3", "ogg", "opus", "flac"]


def noise(seconds, seed=0, channels=1):
    """A quiet second first: the first bit rate of a variable one is no good estimate."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), channels))
    samples[:RATE] *= 1e-3
    return samples


def encoded(folder, samples, kind, rate=RATE, **options):
    path = folder / f"encoded.{kind}"
    container = {"format": "OGG", "subtype": "OPUS"} if kind == "opus" else {}
    if kind == "mp3":
        options = {"bitrate_mode": "VARIABLE", "compression_level": 0.5, **options}
    soundfile.write(path, samples, rate, **container, **options)
    return path.read_bytes()


def written(path, content):
    path.write_bytes(content)
    return path


def all_samples(path):
    """Of a file, read at once; in blocks it has the same."""
    whole, _ = read(path)
    blocks = np.concatenate([block for block, _ in read_blocks(path, 1000)])
    np.testing.assert_allclose(blocks, whole, atol=1e-6)
    return whole


def without_header(mp3):
    """Without the frame that has the length."""
    (stream,) = mpeg.find_streams(mp3)
    return mp3[stream.frames[0] :]


def id3v2(size):
    sevenths = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + sevenths + b"\xff\xfb\x90\x64" * (size // 4)


def ape(size):
    """With a false header of a frame in its value."""
    rest = (2000).to_bytes(4, "little") + (size + 32).to_bytes(4, "little") + bytes(16)
    return b"APETAGEX" + rest + b"\xff\xfb\x90\x64" * (size // 4) + b"APETAGEX" + rest


# Several streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_of_concatenated_files_all_are_read(tmp_path, kind):
    parts = [encoded(tmp_path, noise(seconds, n), kind) for n, seconds in enumerate((2, 1, 3))]
    each = [read(written(tmp_path / f"part.{kind}", part))[0] for part in parts]
    assert list(map(len, each)) == [2 * RATE, RATE, 3 * RATE]
    path = written(tmp_path / f"a.{kind}", b"".join(parts))
    np.testing.assert_allclose(all_samples(path), np.concatenate(each), atol=1e-6)


@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_other_concatenated_files_are_refused(tmp_path, kind):
    path = written(tmp_path / f"a.{kind}", encoded(tmp_path, noise(1), kind) * 2)
    with pytest.raises(BadAudio, match="not readable as audio"):
        read(path)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "flac"])
@pytest.mark.parametrize(("start", "seconds"), [(1.5, 1.0), (2.5, 0.25), (2.5, None), (0, 1.0)])
def test_a_segment_may_lie_across_streams(tmp_path, kind, start, seconds):
    parts = [encoded(tmp_path, noise(length, n), kind) for n, length in enumerate((2, 1))]
    path = written(tmp_path / f"a.{kind}", b"".join(parts))
    whole, _ = read(path)
    end = None if seconds is None else round((start + seconds) * RATE)
    expected = whole[round(start * RATE) : end]
    np.testing.assert_allclose(read(path, start, seconds)[0], expected, atol=1e-6)
    with pytest.raises(BadAudio, match="starts at 3 s, the recording ends at 3 s"):
        read(path, 3.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (RATE, 2)])
def test_streams_of_different_kinds_are_refused(tmp_path, kind, rate, channels):
    parts = [
        encoded(tmp_path, noise(2), kind),
        encoded(tmp_path, noise(2, 1, channels), kind, rate),
    ]
    path = written(tmp_path / f"a.{kind}", b"".join(parts))
    for reader in (read, lambda path: list(read_blocks(path))):
        with pytest.raises(BadAudio, match="changes its channels or sample rate"):
            reader(path)


def test_the_second_stream_may_have_no_header(tmp_path):
    parts = [encoded(tmp_path, noise(2, n), "mp3") for n in range(2)]
    path = written(tmp_path / "a.mp3", parts[0] + without_header(parts[1]))
    found, first = all_samples(path), read(written(tmp_path / "b.mp3", parts[0]))[0]
    np.testing.assert_allclose(found[: len(first)], first, atol=1e-6)
    assert 0 <= len(found) - 2 * len(first) <= 3 * 576


@pytest.mark.parametrize("last", [True, False])
def test_a_cut_stream_within_a_file_is_found(tmp_path, last):
    whole, cut = (encoded(tmp_path, noise(3, n), "mp3") for n in range(2))
    parts = [whole, cut[: len(cut) * 6 // 10]]
    path = written(tmp_path / "a.mp3", b"".join(parts if last else parts[::-1]))
    with pytest.raises(BadAudio, match="cut short: 3.000 s are promised"):
        read(path)


@pytest.mark.parametrize("header", [True, False])
def test_an_mp3_with_a_damaged_frame_is_no_shorter(tmp_path, header):
    mp3 = encoded(tmp_path, noise(3), "mp3")
    mp3 = bytearray(mp3 if header else without_header(mp3))
    expected = all_samples(written(tmp_path / "a.mp3", mp3))
    (stream,) = mpeg.find_streams(bytes(mp3))
    mp3[stream.frames[50] : stream.frames[50] + 4] = bytes(4)
    found = all_samples(written(tmp_path / "b.mp3", mp3))
    assert 0 <= len(expected) - len(found) <= 576
    np.testing.assert_allclose(found[:27_000], expected[:27_000], atol=1e-6)


# Unknown lengths ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_its_length_is_read_whole(tmp_path, mode, rate, channels):
    samples = noise(4 * rate / RATE, channels=channels)
    mp3 = encoded(tmp_path, samples, "mp3", rate, bitrate_mode=mode)
    expected, _ = read(written(tmp_path / "a.mp3", mp3))
    found = all_samples(written(tmp_path / "b.mp3", without_header(mp3)))
    delay = 576  # samples, of the encoder: only the header has it
    np.testing.assert_allclose(found[delay : delay + len(expected)], expected, atol=1e-6)
    assert len(found) < delay + len(expected) + 2 * 1152


TAGS = {
    "cover art before": lambda mp3: id3v2(300_000) + mp3,
    "an APE tag behind": lambda mp3: mp3 + ape(100_000),
    "an ID3v1 tag behind": lambda mp3: mp3 + b"TAG" + bytes(125),
    "both": lambda mp3: id3v2(300_000) + mp3 + ape(30_000) + b"TAG" + bytes(125),
    "half a frame": lambda mp3: mp3 + mp3[-100:-60],
}


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("header", [True, False])
def test_tags_are_no_audio(tmp_path, tags, header):
    mp3 = encoded(tmp_path, noise(3), "mp3", bitrate_mode="CONSTANT")
    mp3 = mp3 if header else without_header(mp3)
    expected = all_samples(written(tmp_path / "a.mp3", mp3))
    found = all_samples(written(tmp_path / "b.mp3", TAGS[tags](mp3)))
    np.testing.assert_array_equal(found, expected)


def test_a_flac_file_of_unknown_length_is_read_whole(tmp_path):
    flac = bytearray(encoded(tmp_path, noise(2), "flac"))
    expected = all_samples(written(tmp_path / "a.flac", flac))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    path = written(tmp_path / "b.flac", flac)
    np.testing.assert_array_equal(all_samples(path), expected)
    np.testing.assert_array_equal(read(path, 0.5, 0.25)[0], expected[8_000:12_000])
    path = written(tmp_path / "c.flac", flac + flac)
    np.testing.assert_array_equal(all_samples(path), np.concatenate([expected] * 2))
    with pytest.raises(BadAudio, match="lost sync"):
        read(written(tmp_path / "d.flac", flac[: len(flac) // 2]))


@pytest.mark.parametrize("trailing", [b"TAG" + bytes(125), bytes(5000), b"fLaC"])
def test_bytes_after_a_flac_stream_are_no_fault(tmp_path, trailing):
    flac = encoded(tmp_path, noise(2), "flac")
    assert len(all_samples(written(tmp_path / "a.flac", flac + trailing))) == 2 * RATE


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_a_cut_ogg_stream_is_read_with_a_warning(tmp_path, kind):
    ogg = encoded(tmp_path, noise(10), kind)
    path = written(tmp_path / f"a.{kind}", ogg)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(all_samples(path)) == 10 * RATE
    path = written(tmp_path / f"b.{kind}", ogg[: len(ogg) * 6 // 10])
    with pytest.warns(UserWarning, match=rf"b\.{kind}: the stream has no last page"):
        assert 3 * RATE < len(all_samples(path)) < 8 * RATE
    path = written(tmp_path / f"c.{kind}", ogg[: len(ogg) * 6 // 10] + ogg)
    with pytest.warns(UserWarning, match="no last page"):
        assert 13 * RATE < len(all_samples(path)) < 18 * RATE


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_of_an_ogg_stream_every_page_is_checked(tmp_path, kind):
    ogg = encoded(tmp_path, noise(10), kind)
    last = ogg.rfind(b"OggS\0")
    with pytest.warns(UserWarning, match="no last page"):
        assert len(read(written(tmp_path / "cut", ogg[:-1]))[0]) < 10 * RATE
    flipped = bytearray(ogg)
    flipped[last + 40] ^= 1
    with pytest.warns(UserWarning, match="no last page"):
        assert len(read(written(tmp_path / "flipped", flipped))[0]) < 10 * RATE
    pages = [found.start() for found in re.finditer(rb"OggS\0", ogg)]
    with pytest.warns(UserWarning, match="the stream has damaged or missing pages"):
        attempt(written(tmp_path / "without a page", ogg[: pages[3]] + ogg[pages[4] :]))
    flipped = bytearray(ogg)
    flipped[pages[3] + 100] ^= 1
    with pytest.warns(UserWarning, match="the stream has damaged or missing pages"):
        attempt(written(tmp_path / "flipped inside", flipped))


def attempt(path):
    with suppress(BadAudio):  # of too few samples
        read(path)


def test_what_the_header_of_an_mp3_promises_counts_also_where_no_frame_follows_it(tmp_path):
    mp3 = encoded(tmp_path, noise(3), "mp3", bitrate_mode="CONSTANT")
    (stream,) = mpeg.find_streams(mp3)
    cut_out = mp3[: stream.frames[0] - 20] + mp3[stream.frames[9] + 100 :]
    with pytest.raises(BadAudio, match="cut short: 3.06"):
        read(written(tmp_path / "a.mp3", cut_out))


@pytest.mark.parametrize("change", ["flipped", "inserted"])
def test_a_header_of_the_length_that_the_decoder_ignores_is_replaced(tmp_path, change):
    mp3 = encoded(tmp_path, noise(3), "mp3")
    (stream,) = mpeg.find_streams(mp3)
    end = stream.frames[0]
    changed = mp3[:10] + b"\1" + mp3[11:] if change == "flipped" else mp3[:end] + b"x" + mp3[end:]
    found = all_samples(written(tmp_path / "a.mp3", changed))
    assert 3 * RATE <= len(found) < 3 * RATE + 3 * 1152


def test_a_long_blank_before_mpeg_frames_is_a_warning(tmp_path):
    mp3 = without_header(encoded(tmp_path, noise(3), "mp3"))
    with pytest.warns(UserWarning, match="a.mp3: 5000 bytes are no MPEG frames"):
        read(written(tmp_path / "a.mp3", bytes(5000) + mp3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(written(tmp_path / "b.mp3", id3v2(5000) + bytes(900) + mp3 + bytes(5000)))


# Frames -------------------------------------------------------------------------------------------


def test_the_sizes_of_frames_are_those_of_the_standard():
    """128 kb/s at 44.1 kHz: 417 bytes, padded 418, of MPEG 1 layer III."""
    assert mpeg.SIZES[b"\xff\xfb\x90"] == 417
    assert mpeg.SIZES[b"\xff\xfb\x92"] == 418
    assert mpeg.SIZES[b"\xff\xf3\x88"] == 288  # MPEG 2, 64 kb/s at 16 kHz
    assert mpeg.SIZES[b"\xff\xe3\x88"] == 576  # MPEG 2.5, 64 kb/s at 8 kHz
    assert mpeg.SIZES[b"\xff\xfd\xa4"] == 576  # MPEG 1 layer II, 192 kb/s at 48 kHz
    assert mpeg.SIZES[b"\xff\xff\xc8"] == 576  # MPEG 1 layer I, 384 kb/s at 32 kHz
    assert len(mpeg.SIZES) == 3 * 3 * 14 * 3 * 2**3


def test_the_streams_of_a_file_are_where_they_were_put(tmp_path):
    parts = [encoded(tmp_path, noise(seconds, seconds), "mp3") for seconds in (1, 2)]
    between = id3v2(5_000)
    streams = mpeg.find_streams(b"junk" + parts[0] + between + parts[1] + b"\xff" * 50)
    ends = [*accumulate(map(len, (b"junk", parts[0], between, parts[1])))]
    assert [(s.start, s.end) for s in streams] == [(ends[0], ends[1]), (ends[2], ends[3])]
    assert [len(stream.frames) for stream in streams] == [s.promised for s in streams]


@pytest.mark.parametrize("content", [b"", b"\xff", b"ID3", b"\xff\xfb\x90\x64" * 3, bytes(1000)])
def test_a_file_may_have_no_stream(content):
    assert mpeg.find_streams(content) == []


@pytest.mark.parametrize("samples", [1000, 1001])
@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "caf", "rf64", "w64"])
def test_two_files_in_one_that_libsndfile_does_not_join_are_refused(tmp_path, kind, samples):
    one = encoded(tmp_path, noise(2)[:samples], kind, subtype="PCM_24")
    path = written(tmp_path / f"a.{kind}", one + one)
    for reading in (lambda: read(path, seconds=0.01), lambda: list(read_blocks(path))):
        with pytest.raises(BadAudio, match=r"not readable|several files, one after"):
            reading()
    path = written(tmp_path / f"a.{kind}", one + bytes(40))
    assert len(all_samples(path)) >= samples, "other bytes may follow"


def test_a_length_that_its_writer_did_not_know_is_no_second_file(tmp_path):
    one = encoded(tmp_path, noise(1), "w64")
    for unknown in (bytes(8), b"\xff" * 8):
        path = written(tmp_path / "a.w64", one[:16] + unknown + one[24:])
        assert len(all_samples(path)) == RATE
