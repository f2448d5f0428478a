"""Containers that libsndfile cannot read: the samples that FFmpeg has, or a clear line."""

import io
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from data.features import ffmpeg
from data.features.containers import demuxer_of
from data.features.decode import BadAudio, decode, read, read_blocks, read_concatenated
from tests.data.features.containers import RATE, add_video, av, encode, noise

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
CLUSTERS = {"cluster_time_limit": "500"}  # ms


def remux(source, path):
    """The same packets in another container."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def changed(path, change, name=""):
    content = bytearray(path.read_bytes())
    change(content)
    path = path.with_name(name or f"changed{path.suffix}")
    path.write_bytes(content)
    return path


def blocks_of(path, frames=2**17):
    return np.concatenate([block for block, _ in read_blocks(path, frames)])


# Samples ------------------------------------------------------------------------------------------


LOSSLESS = [
    ("a.m4a", "alac", "s16p", 16),
    ("a.m4a", "alac", "s32p", 24),
    ("a.mp4", "flac", "s16", 16),
    ("a.mka", "flac", "s16", 16),
    ("a.mka", "flac", "s32", 24),
    ("a.mov", "pcm_s24le", "s32", 24),
    ("a.mkv", "pcm_s16le", "s16", 16),
    ("a.mka", "pcm_f32le", "flt", 24),
    ("a.wv", "wavpack", "u8p", 8),
]


@pytest.mark.parametrize(("name", "codec", "width", "bits"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_samples_are_exact(tmp_path, name, codec, width, bits, channels):
    stored = noise(0.7, channels, bits)
    path = encode(tmp_path / name, codec, stored, width=width)
    found, rate = read(path)
    assert (rate, found.dtype, found.flags.c_contiguous) == (RATE, np.float32, True)
    np.testing.assert_array_equal(found, stored)
    np.testing.assert_array_equal(blocks_of(path, 1000), stored)
    assert max(len(block) for block, _ in read_blocks(path, 1000)) == 1000


@pytest.mark.parametrize(("channels", "mixed"), [(6, 1), (6, 2), (1, 2)])
def test_channels_are_mixed_as_those_of_a_wav_file(tmp_path, channels, mixed):
    stored = noise(0.3, channels)
    soundfile.write(tmp_path / "a.wav", stored, RATE)
    path = encode(tmp_path / "a.mka", "flac", stored, width="s16")
    expected = decode(tmp_path / "a.wav", 22_050, mixed)
    np.testing.assert_array_equal(decode(path, 22_050, mixed), expected)


LOSSY = [("a.m4a", "aac", 0), ("a.3gp", "aac", 0), ("a.mka", "aac", 0), ("a.aac", "aac", 1024)]
LOSSY += [("a.mka", "libmp3lame", 0), ("a.webm", "libopus", 0)]
LOSSY += [("a.wma", "wmav2", -2048)]  # FFmpeg's encoder has a frame less than its decoder drops


@pytest.mark.parametrize(("name", "codec", "late"), LOSSY)
def test_the_delay_of_an_encoder_is_dropped_where_it_is_known(tmp_path, name, codec, late):
    rate = 48_000 if codec == "libopus" else 44_100
    stored = noise(1.0, 1, rate=rate)
    options = {"b": "128000"} if codec == "wmav2" else {}
    found, found_rate = read(encode(tmp_path / name, codec, stored, rate, codec_options=options))
    assert found_rate == rate
    likeness = correlate(found[:, 0], stored[:, 0], method="fft")
    assert likeness.argmax() - (len(stored) - 1) == late
    assert likeness.max() / len(stored) / found.std() / stored.std() > 0.94
    assert abs(len(found) - len(stored) - late) <= 2048


def test_opus_has_the_samples_of_the_same_packets_in_an_ogg_file(tmp_path):
    samples = noise(1.5, 2, rate=48_000)
    soundfile.write(tmp_path / "a.opus", samples, 48_000, format="OGG", subtype="OPUS")
    expected, _ = read(tmp_path / "a.opus")
    found, rate = read(remux(tmp_path / "a.opus", tmp_path / "a.webm"))
    assert rate == 48_000
    assert abs(len(found) - len(expected)) <= 960
    np.testing.assert_allclose(found[: len(samples)], expected[: len(samples)], atol=2e-3)


def test_the_content_decides_not_the_name(tmp_path):
    stored = noise(0.5)
    mp4 = encode(tmp_path / "a.m4a", "alac", stored, width="s16p")
    np.testing.assert_array_equal(read(mp4.rename(tmp_path / "a.wav"))[0], stored)
    soundfile.write(tmp_path / "b.wav", stored, RATE)
    wav = (tmp_path / "b.wav").rename(tmp_path / "b.m4a")
    np.testing.assert_array_equal(read(wav)[0], stored)


@pytest.mark.parametrize("name", sorted(soundfile.available_formats().keys() - {"RAW", "SD2"}))
def test_what_libsndfile_reads_it_reads(tmp_path, name):
    for rate in (8_000, 44_100):
        file = io.BytesIO()
        try:
            soundfile.write(file, noise(0.1), rate, format=name)
        except (ValueError, soundfile.LibsndfileError):
            continue
        (tmp_path / "a").write_bytes(file.getvalue())
        assert demuxer_of(tmp_path / "a") == ""


def test_a_name_may_have_any_characters(tmp_path, monkeypatch):
    stored = noise(0.2)
    path = encode(tmp_path / "a.mka", "flac", stored, width="s16")
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.mka", "concat:b|c.mka", "%03d.mka", "caf\udce9.mka", "-i.mka"):
        path = path.rename(name)
        np.testing.assert_array_equal(read(path)[0], stored)


def test_concatenated_recordings_are_read(tmp_path):
    first, second = noise(0.5), noise(0.3)
    paths = [
        encode(tmp_path / "a.m4a", "alac", first, width="s16p"),
        encode(tmp_path / "b.mka", "flac", second, width="s16"),
    ]
    np.testing.assert_array_equal(read_concatenated(paths)[0], np.concatenate([first, second]))


def test_a_video_has_its_sound(tmp_path):
    stored = noise(0.6, 2)
    path = encode(tmp_path / "a.mp4", "alac", stored, width="s16p", video=True)
    np.testing.assert_array_equal(read(path)[0], stored)
    with av.open(str(tmp_path / "b.mp4"), "w") as file:
        add_video(file, 1)
    with pytest.raises(BadAudio, match="it has no audio stream$"):
        read(tmp_path / "b.mp4")


# Segments -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    codecs = {"a.m4a": "aac", "a.mka": "flac", "a.webm": "libopus"}
    paths = [
        encode(folder / name, codec, noise(3.0, 2, rate=48_000), 48_000)
        for name, codec in codecs.items()
    ]
    return {path: blocks_of(path) for path in paths}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2), st.floats(0, 3.1), st.none() | st.floats(0.001, 4))
def test_a_segment_is_that_part_of_the_recording_to_the_sample(songs, number, start, seconds):
    path, whole = [*songs.items()][number]
    first = round(start * 48_000)
    end = None if seconds is None else first + max(1, round(seconds * 48_000))
    if first >= len(whole):
        with pytest.raises(BadAudio, match=rf"starts at {start:g} s, the recording ends at 3"):
            read(path, start, seconds)
    else:
        np.testing.assert_array_equal(read(path, start, seconds)[0], whole[first:end])


def test_segments_in_their_order_are_decoded_once(songs, monkeypatch):
    decoded, samples_of = [], ffmpeg.samples_of
    monkeypatch.setattr(ffmpeg, "samples_of", lambda frame: decoded.append(1) or samples_of(frame))
    path, whole = next(iter(songs.items()))
    ffmpeg.idle.clear()
    parts = [read(path, start, 0.25)[0] for start in np.arange(0, 3, 0.25)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[: 3 * 48_000])
    assert len(decoded) <= len(whole) / 1024 + 1
    read(path, 0.0, 0.25)
    assert len(decoded) <= len(whole) / 1024 + 14, "a segment needs no more than what precedes it"


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    path = encode(tmp_path / "a.mka", "flac", noise(1.0), width="s16")
    read(path, 0.0, 0.25)
    other = -noise(1.0)
    encode(path, "flac", other, width="s16")
    np.testing.assert_array_equal(read(path, 0.25, 0.25)[0], other[4000:8000])


def test_blocks_are_decoded_when_they_are_requested(songs, monkeypatch):
    decoded, samples_of = [], ffmpeg.samples_of
    monkeypatch.setattr(ffmpeg, "samples_of", lambda frame: decoded.append(1) or samples_of(frame))
    for path in songs:
        blocks = read_blocks(path, 10_000)
        for n in range(1, 10):
            assert len(next(blocks)[0]) == 10_000
            assert len(decoded) * 960 <= n * 10_000 + 5 * 4608
        decoded.clear()


# Damaged files ------------------------------------------------------------------------------------


def cut(content):
    del content[len(content) * 6 // 10 :]


def keep_packets(content):
    """The packets of an ASF file are of one size."""
    data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")  # the GUID of the object of packets
    del content[content.index(data) + 50 + 9 * 3200 :]


def flip(content):
    content[len(content) // 2] ^= 0xFF


def blank(content):
    middle = len(content) // 2
    content[middle : middle + 5000] = bytes(5000)


def double(content):
    content[len(content) :] = bytes(content)


BAD = [
    ("a.m4a", "aac", {}, cut, r"cut short: \d+ bytes are promised, \d+ are there$"),
    ("a.m4a", "aac", {"movflags": "faststart"}, cut, r"cut short: \d+ bytes are promised"),
    ("a.mp4", "aac", FRAGMENTS, cut, r"cut short: \d+ bytes are promised"),
    ("a.mka", "flac", {}, cut, r"cut short: 4\.0\d\d s are promised, 2\.\d\d\d s are there$"),
    ("a.webm", "libopus", {}, cut, r"cut short: 4\.0\d\d s are promised, 2\.\d\d\d s are there$"),
    (
        "a.wma",
        "wmav2",
        {},
        keep_packets,
        r"cut short: 4\.0\d\d s are promised, [123]\.\d\d\d s are",
    ),
    ("a.wma", "wmav2", {}, cut, r"damaged at 2\.\d\d\d s \(Invalid data found"),
    ("a.aac", "aac", {}, cut, r"damaged at 2\.\d\d\d s \(Invalid data found"),
    ("a.mka", "flac", {}, flip, r"damaged at [12]\.\d\d\d s \(Invalid data found"),
    ("a.mp4", "flac", {}, flip, r"damaged at [12]\.\d\d\d s \(Invalid data found"),
    ("a.m4a", "aac", {}, blank, r"damaged at [12]\.\d\d\d s \(Invalid data found"),
    ("a.m4a", "aac", {}, double, r"it is several files, one after the other; separate them$"),
    ("a.wma", "wmav2", {}, double, r"it is several files, one after the other; separate them$"),
]


@pytest.mark.parametrize(("name", "codec", "options", "change", "reason"), BAD)
def test_a_damaged_recording_is_refused(tmp_path, name, codec, options, change, reason):
    rate = 48_000 if codec == "libopus" else RATE
    bits = {"b": "64000"} if codec == "wmav2" else {}
    samples = noise(4.0, rate=rate)
    whole = encode(tmp_path / name, codec, samples, rate, codec_options=bits, **options)
    path = changed(whole, change)
    for reading in (read, blocks_of):
        with pytest.raises(BadAudio, match=reason) as caught:
            reading(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_samples_before_the_damage_are_returned(tmp_path):
    stored = noise(4.0)
    path = changed(encode(tmp_path / "a.mka", "flac", stored, width="s16"), flip)
    blocks = []
    with pytest.raises(BadAudio, match="damaged at"):
        blocks += (block for block, _ in read_blocks(path, 1000))
    found = np.concatenate(blocks) if blocks else np.zeros((0, 1))
    np.testing.assert_array_equal(found, stored[: len(found)])
    np.testing.assert_array_equal(read(path, 1.0, 0.2)[0], stored[RATE : RATE + 3200])
    for start, seconds in ((1.0, None), (1.0, 2.0), (3.0, 0.5)):
        with pytest.raises(BadAudio, match="damaged at"):
            read(path, start, seconds)


def test_samples_that_are_not_finite_are_named(tmp_path):
    stored = noise(1.0)
    stored[12_345] = np.nan
    path = encode(tmp_path / "a.mka", "pcm_f32le", stored, width="flt")
    with pytest.raises(BadAudio, match=r"NaN or infinite, the first at 0\.772 s"):
        read(path, 0.5)
    blocks = read_blocks(path, 1000)
    found = [next(blocks)[0] for _ in range(13)]
    with pytest.raises(BadAudio, match=r"NaN or infinite, the first at 0\.772 s"):
        next(blocks)
    np.testing.assert_array_equal(np.concatenate(found), stored[:12_345])


def test_missing_samples_in_the_middle_are_warned_about(tmp_path):
    whole = encode(tmp_path / "a.mka", "flac", noise(4.0), width="s16", **CLUSTERS)

    def lose(content):
        starts = [k for k in range(len(content)) if content.startswith(b"\x1fC\xb6u", k)]
        del content[starts[3] : starts[4]]

    with pytest.warns(UserWarning, match=r"a\.mka: it has no samples from 1\.\d+ to 1\.\d+ s$"):
        found, _ = read(changed(whole, lose, "a.mka"))
    assert 3.3 * RATE < len(found) < 3.7 * RATE


def test_a_sound_that_starts_late_is_warned_about(tmp_path):
    path = encode(tmp_path / "a.mka", "flac", noise(1.0), width="s16", first=8000)
    with pytest.warns(UserWarning, match=r"a\.mka: it has no samples from 0\.000 to 0\.500 s$"):
        assert len(read(path)[0]) == RATE


def test_bytes_behind_an_mp4_file_are_warned_about(tmp_path):
    stored = noise(0.5)
    path = encode(tmp_path / "a.m4a", "alac", stored, width="s16p")
    path.write_bytes(path.read_bytes() + bytes(100))
    with pytest.warns(UserWarning, match=r"a\.m4a: 100 bytes are no MP4 boxes, perhaps damaged$"):
        np.testing.assert_array_equal(read(path)[0], stored)


def test_an_undamaged_recording_has_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, codec, options in (
            ("a.webm", "libopus", CLUSTERS),
            ("a.mp4", "aac", FRAGMENTS),
            ("b.webm", "libopus", {"live": "1"}),  # no duration, as browsers record
        ):
            found, _ = read(
                encode(tmp_path / name, codec, noise(4, rate=48_000), 48_000, **options)
            )
            assert len(found) >= 4 * 48_000


def test_streams_of_different_kinds_are_refused(tmp_path):
    encode(tmp_path / "a.aac", "aac", noise(1.0))
    encode(tmp_path / "b.aac", "aac", noise(1.0, 2))
    both = (tmp_path / "a.aac").read_bytes() + (tmp_path / "b.aac").read_bytes()
    (tmp_path / "c.aac").write_bytes(both)
    with pytest.raises(BadAudio, match=r"changes its channels or sample rate: \[\(1, 16000\), \(2"):
        read(tmp_path / "c.aac")


def test_a_codec_without_decoder_is_named(tmp_path):
    path = encode(tmp_path / "a.mka", "flac", noise(0.2), width="s16")
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_FLEX"))
    with pytest.raises(BadAudio, match="FFmpeg has no decoder for its audio$"):
        read(path)


@pytest.mark.filterwarnings("ignore:.*are no MP4 boxes")
@pytest.mark.parametrize("start", [b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"\xff\xf1\x50\x80"])
@pytest.mark.parametrize("rest", [b"", bytes(2000), b"a text, not a sound. " * 100])
def test_other_bytes_with_the_start_of_a_container_are_refused(tmp_path, start, rest):
    (tmp_path / "a.wav").write_bytes(start + rest)
    with pytest.raises(BadAudio, match=r"a\.wav: (not readable|it has no|cut short|damaged)"):
        read(tmp_path / "a.wav")
