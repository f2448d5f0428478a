import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import config
from config import Mel, UserError
from data.features import cache_writer
from data.features.cache_writer import BadClip, CacheWriter, stamps_of, write_rows
from data.features.mel_cache import MelCache, cache_folder, front_end_fields
from data.tables.clips import Clip, ClipTable

SHAPE = (1, 6, 4)
CLIP_BYTES = 2 * 24


@pytest.fixture(autouse=True)
def shards_of_four_clips(monkeypatch):
    monkeypatch.setattr(cache_writer, "SHARD_BYTES", 5 * CLIP_BYTES)


def table_of(count, folder=Path("audio"), **changes):
    clips = [
        Clip(id=f"{n:03d}", path=folder / f"{n:03d}.wav", labels={"ab"[n % 2]: 1.0}, fold=1 + n % 3)
        for n in range(count)
    ]
    for row, change in changes.items():
        number = int(row.removeprefix("clip_"))
        clips[number] = dataclasses.replace(clips[number], **change)
    return ClipTable.of(clips, ("a", "b"), "single_label")


def features_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *SHAPE, generator=generator).half()


def writer_of(folder, table):
    return CacheWriter(folder, Mel(num_bands=4), SHAPE, table, stamps_of(table.frame["path"]))


def fill(writer, features, bad=()):
    for shard in range(writer.shards):
        rows = writer.rows(shard)
        part, offset = writer.begin(shard)
        for row in reversed(rows):  # the order does not matter
            place = offset + (row - rows.start) * writer.clip_bytes
            write_rows(part, place, features[row : row + 1])
        mine = [b for b in bad if b.id in writer.table.ids[rows.start : rows.stop]]
        writer.finish(shard, mine)


def made(folder, count=10, bad=()):
    writer = writer_of(folder, table_of(count))
    fill(writer, features_of(count), bad)
    assert writer.finalise()
    return writer


def test_a_shard_holds_a_power_of_two_of_clips(tmp_path):
    writer = made(tmp_path / "x")
    assert (writer.shard_clips, writer.shards) == (4, 3)
    arrays = [np.load(writer.path(shard)) for shard in range(3)]
    assert [array.shape for array in arrays] == [(4, *SHAPE), (4, *SHAPE), (2, *SHAPE)]
    assert arrays[0].dtype == np.float16
    np.testing.assert_array_equal(np.concatenate(arrays), features_of(10).numpy())


def test_a_clip_larger_than_a_shard_has_a_separate_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_writer, "SHARD_BYTES", 10)
    assert made(tmp_path / "x", 3).shards == 3
    assert torch.equal(MelCache.open(tmp_path / "x").read_all(), features_of(3))


def test_a_cache_returns_the_features_that_were_written(tmp_path):
    made(tmp_path / "x")
    cache = MelCache.open(tmp_path / "x")
    assert (len(cache), cache.shape, cache.folder) == (10, SHAPE, tmp_path / "x")
    assert cache.settings == Mel(num_bands=4)
    assert list(cache.table.ids) == [f"{n:03d}" for n in range(10)]
    assert cache.table.targets[:].tolist() == table_of(10).targets[:].tolist()
    assert torch.equal(cache.read_all(), features_of(10))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_writer, "SHARD_BYTES", 5 * CLIP_BYTES)
        made(folder)
    return MelCache.open(folder)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(rows=st.lists(st.integers(0, 9), max_size=20))
def test_any_rows_in_any_order(cache, rows):
    found = cache.gather(np.array(rows, dtype=np.int64))
    assert found.dtype == torch.float16
    assert torch.equal(found, features_of(10)[rows])


@pytest.mark.parametrize("row", [-1, 10])
def test_a_row_that_is_not_there(cache, row):
    with pytest.raises(IndexError, match="10 clips"):
        cache.gather(np.array([0, row]))


def test_changing_gathered_features_does_not_change_the_cache(tmp_path):
    made(tmp_path / "x")
    cache = MelCache.open(tmp_path / "x")
    cache.gather(np.array([0])).zero_()
    cache.read_all().zero_()
    assert torch.equal(MelCache.open(tmp_path / "x").read_all(), features_of(10))


def test_bad_clips_are_taken_out(tmp_path):
    bad = [BadClip(f"{n:03d}", f"audio/{n:03d}.wav", "a reason, with a comma") for n in (1, 8, 9)]
    made(tmp_path / "x", bad=bad)  # the last shard is left without a clip
    cache, kept = MelCache.open(tmp_path / "x"), [0, 2, 3, 4, 5, 6, 7]
    assert [int(name) for name in cache.table.ids] == kept
    assert torch.equal(cache.gather(np.arange(7)), features_of(10)[kept])
    lines = (tmp_path / "x" / "bad_clips.csv").read_text().splitlines()
    assert lines[:2] == ["id,path,reason", '001,audio/001.wav,"a reason, with a comma"']
    assert len(lines) == 4


def test_a_cache_without_a_clip_is_none(tmp_path):
    writer = writer_of(tmp_path / "x", table_of(2))
    fill(writer, features_of(2), [BadClip(name, "", "") for name in ("000", "001")])
    with pytest.raises(UserError, match="none of the 2 clips"):
        writer.finalise()


# What is wrong with a cache -----------------------------------------------------------------------


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


def flip(content):
    """One bit in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def copy_elsewhere(folder):
    other = folder.with_name("other")
    folder.rename(other)
    return other


DAMAGE = {
    "no cache there; run make_mel.py": lambda d: d.with_name("nothing"),
    "incomplete; run make_mel.py": lambda d: (d / "front_end.json").unlink(),
    "front_end.json: changed or damaged.*; run": lambda d: rewrite(
        d / "front_end.json", lambda b: b[:-20]
    ),
    "front_end.json: changed or": lambda d: rewrite(
        d / "front_end.json", lambda b: b.replace(b'"clips": 10', b'"clips": 30')
    ),
    "front_end.json: changed .*; run": lambda d: (d / "front_end.json").write_bytes(b""),
    "clips.csv: changed": lambda d: rewrite(d / "clips.csv", lambda b: b.replace(b"a=1", b"b=1")),
    "clips.npz: changed or": lambda d: rewrite(d / "clips.npz", flip),
    "classes.json: missing": lambda d: (d / "classes.json").unlink(),
    "shard_00001.npy: missing; run make_mel.py": lambda d: (d / "shard_00001.npy").unlink(),
    "shard_00002.npy: found 223 bytes, expected 224": lambda d: rewrite(
        d / "shard_00002.npy", lambda b: b[:-1]
    ),
    "cache of another front end, x": copy_elsewhere,
}


@pytest.mark.parametrize("message", DAMAGE)
def test_the_damage_of_a_cache_is_named(tmp_path, message):
    made(tmp_path / "x")
    folder = DAMAGE[message](tmp_path / "x") or tmp_path / "x"
    with pytest.raises(UserError, match=message) as caught:
        MelCache.open(folder)
    assert str(folder) in str(caught.value)


def test_a_flipped_bit_of_a_shard_is_named_and_its_shard_is_computed_again(tmp_path, capsys):
    writer = made(tmp_path / "x")
    MelCache.open(tmp_path / "x").check()
    stamp = writer.path(1).stat()
    rewrite(writer.path(1), flip)
    os.utime(writer.path(1), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as a disk flips bits
    cache = MelCache.open(tmp_path / "x")
    with pytest.raises(UserError, match=r"shard_00001\.npy: changed or damaged.*run make_mel.py"):
        cache.check()
    cache.check(0, 2)  # another process has the shares 0 and 2
    with pytest.raises(UserError, match="shard_00001"):
        cache.check(1, 2)
    assert [shard for shard in range(3) if writer.undamaged(shard) is None] == [1]
    assert "shard_00001.npy: changed or damaged, its checksum is wrong; it is computed again" in (
        capsys.readouterr().out
    )
    part, offset = writer.begin(1)
    write_rows(part, offset, features_of(10)[4:8])
    writer.finish(1)
    writer.finalise()
    cache = MelCache.open(tmp_path / "x")
    cache.check()
    assert torch.equal(cache.read_all(), features_of(10))


def test_fingerprints_are_those_of_the_content(tmp_path):
    folder = recordings(tmp_path)

    def fingerprints(seed=0, **changes):
        writer = writer_of(tmp_path / "x", table_of(10, folder, **changes))
        fill(writer, features_of(10, seed))
        writer.finalise()
        return MelCache.open(tmp_path / "x").fingerprints()

    first = fingerprints()
    for path in folder.glob("*.wav"):
        os.utime(path, (1, 1))
    assert fingerprints() == first, "files that were only touched"
    other = fingerprints(seed=1)
    assert other["shards"] != first["shards"]
    assert other["clips.csv"] == first["clips.csv"]
    relabelled = fingerprints(clip_0={"labels": {"b": 1.0}})
    assert relabelled["shards"] == first["shards"]
    assert relabelled["clips.csv"] != first["clips.csv"]


def test_the_unfinished_shard_of_each_process_has_its_own_name(tmp_path, monkeypatch):
    writer = writer_of(tmp_path / "x", table_of(10))
    own, _ = writer.begin(0)
    monkeypatch.setattr("os.getpid", lambda: 7)
    other, _ = writer.begin(0)
    assert own != other
    assert sorted((tmp_path / "x").iterdir()) == sorted([own, other])


# What is to be made again -------------------------------------------------------------------------


def stale(writer):
    return [shard for shard in range(writer.shards) if writer.finished(shard) is None]


def recordings(folder, count=10):
    for n in range(count):
        (folder / f"{n:03d}.wav").write_bytes(bytes(n))
    return folder


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"clip_5": {"labels": {"a": 1.0}, "fold": 7}}, []),  # what is not in a shard
        ({"clip_5": {"start_seconds": 1.0}}, [1]),
        ({"clip_0": {"seconds": 0.5}, "clip_9": {"seconds": 0.5}}, [0, 2]),
        ({"clip_2": {"path": Path("elsewhere.wav")}}, [0]),
    ],
)
def test_a_changed_annotation_makes_its_shard_stale(tmp_path, change, expected):
    folder = recordings(tmp_path)
    fill(writer_of(tmp_path / "x", table_of(10, folder)), features_of(10))
    assert stale(writer_of(tmp_path / "x", table_of(10, folder, **change))) == expected


def test_changed_files_make_their_shards_stale(tmp_path):
    folder = recordings(tmp_path)
    fill(writer_of(tmp_path / "x", table_of(10, folder)), features_of(10))
    (folder / "004.wav").write_bytes(b"longer than it was")
    (folder / "009.wav").unlink()
    assert stale(writer_of(tmp_path / "x", table_of(10, folder))) == [1, 2]


def test_a_shard_that_was_cut_or_never_finished_is_stale(tmp_path):
    writer = made(tmp_path / "x")
    rewrite(writer.path(0), lambda b: b[:-1])
    writer.begin(2)
    assert stale(writer) == [0, 2]
    with pytest.raises(UserError, match="incomplete"):
        MelCache.open(tmp_path / "x")
    with pytest.raises(UserError, match="2 shards are unfinished"):
        writer.finalise()


def test_new_labels_need_no_new_features(tmp_path):
    made(tmp_path / "x")
    writer = writer_of(tmp_path / "x", table_of(10, clip_0={"labels": {"b": 1.0}}))
    assert stale(writer) == []
    assert writer.finalise()
    assert not writer.finalise()
    assert MelCache.open(tmp_path / "x").table.targets[0].tolist() == [0, 1]


def test_nothing_of_a_longer_cache_is_left(tmp_path):
    made(tmp_path / "x")
    writer_of(tmp_path / "x", table_of(10)).begin(1)
    made(tmp_path / "x", 4)
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == [
        *("bad_clips.csv", "classes.json", "clips.csv", "clips.npz", "front_end.json"),
        *("shard_00000.json", "shard_00000.npy"),
    ]


# Where --------------------------------------------------------------------------------------------


def folders(tmp_path, *overrides):
    (tmp_path / "config.ini").write_text("[data]\nDATASET = csv_folder\n")
    loaded = config.load(tmp_path / "config.ini", overrides)
    return [cache_folder(loaded, role) for role in ("teacher", "student")]


@pytest.mark.parametrize(
    "override",
    [
        "data.root=elsewhere",
        "data.clip_seconds=3",
        "data.csv=other.csv",
        *("mel.sample_rate=22050", "mel.channels=2", "mel.pre_emphasis=0.5", "mel.num_bands=33"),
        *("mel.stft_window_length_seconds=0.03", "mel.stft_hop_length_seconds=0.02"),
        *("mel.fft_size=1024", "mel.framing=centred", "mel.window=povey", "mel.spectrum=power"),
        *("mel.mel_min_hz=0", "mel.mel_max_hz=7000", "mel.mel_scale=slaney", "mel.log=log10"),
        *("mel.log_offset=0.1", "mel.padding=log_zero", "mel.front_end=waveform"),
        "mel.log_offset=0 mel.log_floor=1e-10",
        "mel.log=decibel mel.top_db=80",
    ],
)
def test_a_setting_that_changes_features_changes_the_folder(tmp_path, override):
    before, after = folders(tmp_path), folders(tmp_path, *override.split())
    assert before[0] != after[0]
    assert before[0].parent == after[0].parent == Path("features/csv_folder")
    assert len(after[0].name) == 12


def test_later_keys_that_are_unset_are_not_recorded():
    """Caches of versions before those keys are still found."""
    assert not {"log_floor", "top_db"} & front_end_fields(Mel()).keys()


@pytest.mark.parametrize("override", ["mel.normalise=bands", "student.epochs=3", "run.workers=2"])
def test_a_setting_that_does_not_change_features_keeps_the_folder(tmp_path, override):
    assert folders(tmp_path) == folders(tmp_path, override)


def test_roles_with_the_same_front_end_share_a_folder(tmp_path):
    teacher, student = folders(tmp_path)
    assert teacher != student
    teacher, student = folders(tmp_path, "mel.student.num_bands=64")
    assert teacher == student
    waveforms = folders(tmp_path, "mel.front_end=waveform", "mel.num_bands=33")
    assert len({*waveforms, *folders(tmp_path, "mel.front_end=waveform")}) == 1


def test_the_mark_of_a_complete_cache_describes_it(tmp_path):
    made(tmp_path / "x")
    described = json.loads((tmp_path / "x" / "front_end.json").read_text())
    assert (described["clips"], described["shape"]) == (10, [1, 6, 4])
    assert described["mel"]["num_bands"] == 4
    assert sum(shard["clips"] for shard in described["shards"]) == 10
