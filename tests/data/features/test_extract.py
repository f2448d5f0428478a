import errno
import math
import time

import numpy as np
import pytest
import soundfile
import torch

from config import Mel, StudentMel, UserError
from data.features import cache_writer, extract
from data.features.cache_writer import CacheWriter, stamps_of
from data.features.decode import decode
from data.features.front_end import FrontEnd, pad_or_cut
from data.features.mel_cache import MelCache
from data.tables.clips import Clip, ClipTable
from data.tables.columns import Column
from tests.contents import contents

SECONDS = 0.5
TEACHER, STUDENT = Mel(num_bands=16), Mel(num_bands=5)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(cache_writer, "SHARD_BYTES", 6_500)  # 4 clips of the teacher, 8 of ours


@pytest.fixture
def audio(tmp_path):
    folder, generator = tmp_path / "audio", np.random.default_rng(0)
    folder.mkdir()
    for n in range(18):
        rate, seconds = (16_000, 44_100, 22_050)[n % 3], (0.5, 0.4, 0.7)[n % 3]
        samples = generator.uniform(-0.5, 0.5, (round(rate * seconds), 1 + n % 2))
        soundfile.write(folder / f"{n:02d}.wav", samples, rate)
    return folder


def table_of(folder):
    clips = [Clip(path.name, path, {"a": 1.0}) for path in sorted(folder.iterdir())]
    return ClipTable.of(clips, ("a",), "single_label")


def writers(audio, *settings, root="features"):
    table, found = table_of(audio), []
    for number, mel in enumerate(settings or (TEACHER, STUDENT)):
        shape = FrontEnd(mel).shape(round(SECONDS * mel.sample_rate))
        folder = audio.parent / root / str(number)
        found.append(CacheWriter(folder, mel, shape, table, stamps_of(table.frame["path"])))
    return found


def made(audio, *settings, **options):
    caches = writers(audio, *settings)
    result = extract.extract(caches, SECONDS, **options)
    for cache in caches:
        cache.finalise()
    return [MelCache.open(cache.folder) for cache in caches], result


@pytest.mark.parametrize(
    "settings",
    [
        (TEACHER, STUDENT),
        (Mel(num_bands=16, framing="centred"), STUDENT),
        (Mel(sample_rate=22_050, channels=2, num_bands=16), STUDENT),
        (Mel(padding="log_zero", num_bands=16), Mel(num_bands=5, log="decibel", mel_max_hz=4_000)),
        (Mel(front_end="waveform", channels=2, pre_emphasis=0.97), STUDENT),
    ],
)
def test_a_cache_equals_decoding_and_transforming_each_clip(audio, settings):
    caches, result = made(audio, *settings)
    assert result == (18, [])
    for cache, mel in zip(caches, settings, strict=True):
        front_end, samples = FrontEnd(mel), round(SECONDS * mel.sample_rate)
        for row, path in enumerate(sorted(audio.iterdir())):
            sound = decode(path, mel.sample_rate, mel.channels, seconds=SECONDS)
            length = torch.tensor([min(sound.shape[1], samples)])
            alone = front_end(pad_or_cut(torch.from_numpy(sound), samples)[None], length)
            torch.testing.assert_close(
                cache.gather(np.array([row])), alone.half(), rtol=2e-3, atol=2e-3
            )


def test_each_recording_is_read_once_for_all_front_ends(audio, monkeypatch):
    reads = []

    def read(path, *stretch):
        reads.append(path.name)
        return original(path, *stretch)

    original = extract.read
    monkeypatch.setattr(extract, "read", read)
    made(audio, TEACHER, STUDENT, Mel(sample_rate=8_000, num_bands=5, mel_max_hz=4_000))
    assert sorted(reads) == [f"{n:02d}.wav" for n in range(18)]
    made(audio, TEACHER, STUDENT, Mel(sample_rate=8_000, num_bands=5, mel_max_hz=4_000))
    assert len(reads) == 18


@pytest.mark.parametrize(
    ("student", "spectra"),
    [(StudentMel(log="log10", padding="log_zero"), 5), (StudentMel(window="povey"), 10)],
)
def test_front_ends_share_their_spectrum_where_they_can(audio, monkeypatch, student, spectra):
    calls = []

    def spectrum(self, waveform):
        calls.append(len(waveform))
        return original(self, waveform)

    original = FrontEnd.spectrum
    monkeypatch.setattr(FrontEnd, "spectrum", spectrum)
    made(audio, Mel(), student)
    assert sum(calls) == 18 * spectra // 5


def test_only_the_shards_with_a_change_are_computed_again(audio):
    made(audio)
    before = contents(audio.parent / "features")
    samples, rate = soundfile.read(audio / "05.wav")
    soundfile.write(audio / "05.wav", samples / 2, rate)
    caches, (count, _) = made(audio)
    after = contents(audio.parent / "features")
    changed = {name for name in before if before[name] != after[name] and name.endswith(".npy")}
    assert changed == {"0/shard_00001.npy", "1/shard_00000.npy"}
    assert count == 8  # the student's shard of eight covers the teacher's of four
    assert len(caches[0]) == 18


def test_a_group_of_processes_shares_the_work(audio):
    made(audio)
    whole = contents(audio.parent / "features")
    caches, counts = writers(audio, root="shared"), []
    for rank in range(3):
        counts.append(extract.extract(caches, SECONDS, rank=rank, world=3)[0])
    for cache in caches:
        assert cache.finalise()
    assert counts == [8, 8, 2]
    assert contents(audio.parent / "shared") == whole


class Stopped(Exception):
    pass


def test_wherever_a_run_is_stopped_the_next_one_ends_with_the_same_bytes(audio, monkeypatch):
    made(audio)
    whole = contents(audio.parent / "features")
    replace, stops = cache_writer.os.replace, 0
    for allowed in range(100):
        left = [allowed]

        def stopping(source, target, left=left):
            if left[0] == 0:
                raise Stopped
            left[0] -= 1
            replace(source, target)

        caches = writers(audio, root=f"stopped_{allowed}")
        with monkeypatch.context() as patch:
            patch.setattr(cache_writer.os, "replace", stopping)
            try:
                extract.extract(caches, SECONDS)
                [cache.finalise() for cache in caches]
            except Stopped:
                stops += 1
                complete = [(cache.folder / "front_end.json").exists() for cache in caches]
                assert not all(complete)
            else:
                break
        extract.extract(caches, SECONDS)
        [cache.finalise() for cache in caches]
        assert contents(caches[0].folder.parent) == whole
    assert stops > 20


def test_a_full_disk_leaves_the_finished_shards(audio, monkeypatch):
    written = []

    def write_rows(part, offset, features):
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(part)
        cache_writer.write_rows(part, offset, features)

    monkeypatch.setattr(extract, "write_rows", write_rows)
    caches = writers(audio)
    with pytest.raises(UserError, match="disk is full; free some space and start again"):
        extract.extract(caches, SECONDS)
    finished = [cache.finished(shard) for cache in caches for shard in range(cache.shards)]
    assert sum(described is not None for described in finished) > 0
    assert not list(audio.parent.rglob("*.part"))
    monkeypatch.undo()
    monkeypatch.setattr(cache_writer, "SHARD_BYTES", 6_500)
    before = {path: path.stat().st_mtime_ns for path in audio.parent.rglob("shard_*.npy")}
    made(audio)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_other_errors_of_the_system_keep_their_message(audio, monkeypatch):
    def write_rows(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(extract, "write_rows", write_rows)
    with pytest.raises(OSError, match="Input/output error"):
        extract.extract(writers(audio), SECONDS)


def test_disk_space_is_checked_first(audio, monkeypatch):
    usage = extract.shutil.disk_usage(audio)
    monkeypatch.setattr(extract.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(UserError, match=r"the features need 0.00 GB, 0.00 GB are free"):
        extract.extract(writers(audio), SECONDS)


# Bad audio ----------------------------------------------------------------------------------------


def spoil(audio):
    (audio / "03.wav").write_bytes(b"")
    (audio / "16.wav").write_text("not a sound")


def test_all_bad_clips_are_found_and_the_good_shards_kept(audio):
    spoil(audio)
    caches = writers(audio)
    count, bad = extract.extract(caches, SECONDS)
    assert (count, [clip.id for clip in bad]) == (18, ["03.wav", "16.wav"])
    assert bad[0].path == str(audio / "03.wav")
    assert "empty" in bad[0].reason
    missing = [[k for k in range(c.shards) if c.finished(k) is None] for c in caches]
    assert missing == [[0, 4], [0, 2]]
    assert extract.extract(caches, SECONDS) == (10, bad)


def test_bad_clips_are_left_out_on_request(audio):
    whole = made(audio)[0][0]
    spoil(audio)
    caches, (_, bad) = made(audio, strict=False)
    assert len(bad) == 2
    for cache in caches:
        assert "03.wav" not in cache.table.ids
        assert len(cache) == 16
    kept = np.flatnonzero(~np.isin(whole.table.ids, ["03.wav", "16.wav"]))
    assert torch.equal(caches[0].gather(np.arange(16)), whole.gather(kept))
    assert extract.extract(writers(audio), SECONDS, strict=False) == (0, [])
    count, bad = extract.extract(writers(audio), SECONDS, strict=True)  # the user changed his mind
    assert (count, len(bad)) == (10, 2)


def test_features_beyond_float16_are_not_cut_silently(audio):
    loud = np.full(16_000, 1e4, np.float32)
    soundfile.write(audio / "07.wav", loud, 16_000, subtype="FLOAT")
    mel = Mel(num_bands=5, log="none", mel_min_hz=0, mel_max_hz=4_000)
    _, bad = extract.extract(writers(audio, TEACHER, mel), SECONDS)
    assert [clip.id for clip in bad] == ["07.wav"]
    assert "float16 holds 65504" in bad[0].reason


def test_ten_milliseconds_are_a_clip(audio):
    soundfile.write(audio / "07.wav", np.full(441, 0.5), 44_100)
    caches, _ = made(audio)
    found = caches[0].gather(np.array([7]))[0, 0].float()
    assert (found[0] > -2).any()
    torch.testing.assert_close(
        found[3:], torch.full_like(found[3:], math.log(0.01)), atol=2e-3, rtol=0
    )


def test_processes_that_run_already_leave_the_same_bytes(audio):
    made(audio)
    whole = contents(audio.parent / "features")
    with extract.worker_pool([TEACHER, STUDENT], SECONDS, 2) as pool:
        for attempt in ("first", "second"):
            caches = writers(audio, root=attempt)
            assert extract.extract(caches, SECONDS, workers=2, pool=pool) == (18, [])
            for cache in caches:
                cache.finalise()
            assert contents(audio.parent / attempt) == whole


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_transforms_as_the_processor_does(audio):
    wanted, _ = made(audio)
    caches = writers(audio, root="gpu")
    extract.extract(caches, SECONDS, device="cuda")
    for cache, other in zip(caches, wanted, strict=True):
        cache.finalise()
        found = MelCache.open(cache.folder).read_all()
        torch.testing.assert_close(found, other.read_all(), rtol=2e-3, atol=2e-3)


def test_reasons_of_bad_clips_are_no_formulas_in_a_spreadsheet(tmp_path):
    bad = cache_writer.BadClip("=HYPERLINK(1)", "sounds/=HYPERLINK(1)", "no such file")
    cache_writer.write_bad_clips(tmp_path, [bad])
    written = (tmp_path / "bad_clips.csv").read_text().splitlines()
    assert written[1] == "'=HYPERLINK(1),sounds/=HYPERLINK(1),no such file"


def test_many_bad_clips_are_left_out_in_linear_time():
    ids = Column.of(f"{n}.wav" for n in range(200_000))[:]
    bad = [cache_writer.BadClip(name, name, "no such file") for name in ids[::2]]
    began = time.perf_counter()
    good = cache_writer.good_rows(ids, bad)
    assert time.perf_counter() - began < 5  # s; comparing each with each takes minutes
    np.testing.assert_array_equal(good, np.arange(200_000) % 2 == 1)
