import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from config import ConfigError, UserError
from data.datasets import tau_archives, tau_scenes
from data.datasets.tau_scenes import DEVICES, PERCENTS, SCENES, Edition, TauScenes
from data.tables.clips import ClipTable, files_of

FOLDER = "TAU-urban-acoustic-scenes-{}-development"
HEAD = "filename\tscene_label\tidentifier\tsource_label"
OURS = (  # rows of the published tables
    "audio/airport-barcelona-0-0-a.wav\tairport\tbarcelona-0\ta",
    "audio/park-milan-1164-44095-a.wav\tpark\tmilan-1164\ta",
    "audio/tram-paris-7-99-a.wav\ttram\tparis-7\ta",
)


def write(root, rows=OURS, train=(0,), test=(1,), subsets=None):
    """The tables of an edition below `root`; train and test are places among the rows."""
    (root / "evaluation_setup").mkdir(parents=True, exist_ok=True)
    (root / "audio").mkdir(exist_ok=True)
    (root / "meta.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    cells = [row.split("\t") for row in rows]
    for part, places in (("train", train), ("evaluate", test)):
        lines = ["filename\tscene_label", *("\t".join(cells[k][:2]) for k in places)]
        (root / "evaluation_setup" / f"fold1_{part}.csv").write_text("\n".join(lines) + "\n")
    for percent, places in (subsets or {}).items():
        lines = ["filename", *(cells[k][0] for k in places)]
        (root / f"split{percent}.csv").write_text("\n".join(lines) + "\n")
    return root


def row(scene, place, segment, device="a", part=None):
    number = "" if part is None else f"-{part}"
    name = f"audio/{scene}-{place}-{segment}{number}-{device}.wav"
    return "\t".join((name, scene, place, device))


@pytest.mark.parametrize("below", ["", FOLDER.format("2019")])
def test_the_lists_of_fold_1_make_train_and_test(tmp_path, below):
    folder = write(tmp_path / below)
    dataset = TauScenes()
    table = dataset.table(tmp_path)
    assert (dataset.task, dataset.metric) == ("single_label", "macro_accuracy")
    assert (dataset.clip_seconds, dataset.stereo) == (10.0, True)
    assert table.classes == SCENES == tuple(sorted(SCENES))
    assert list(table.ids) == ["airport-barcelona-0-0-a.wav", "park-milan-1164-44095-a.wav"]
    frame = table.frame
    assert list(frame["split"]) == ["train", "test"], "the third clip is of neither"
    assert list(frame["group"]) == ["barcelona-0", "milan-1164"]
    assert list(frame["city"]) == ["barcelona", "milan"]
    assert list(frame["device"]) == ["a", "a"]
    assert frame["path"].iloc[1] == (folder / "audio/park-milan-1164-44095-a.wav").as_posix()
    assert table.targets[:].argmax(1).tolist() == [0, 4]


def test_2022_is_in_clips_of_a_second_and_its_training_part_can_be_smaller(tmp_path):
    rows = [row("airport", "lisbon-1000", 40000, d, k) for d in ("a", "s1") for k in range(10)]
    rows += [row("bus", "lyon-3", 5, "s4", k) for k in range(10)]
    write(tmp_path, rows, range(20), range(20, 30), {"5": range(10, 20)})
    dataset = TauScenes(edition="2022_mobile", train_percent="5")
    assert (dataset.clip_seconds, dataset.stereo) == (1.0, False)
    found = dataset.table(tmp_path).frame
    assert found["split"].value_counts().to_dict() == {"train": 10, "test": 10}
    assert set(found["device"][found["split"] == "train"]) == {"s1"}
    assert len(TauScenes(edition="2022_mobile").table(tmp_path)) == 30
    with pytest.raises(UserError, match=r"no split10.csv; run make_mel.py with --download"):
        TauScenes(edition="2022_mobile", train_percent="10").table(tmp_path)


def test_a_share_of_another_edition_is_a_contradiction(tmp_path):
    dataset = TauScenes(train_percent="25")
    for call in (dataset.table, dataset.download):
        with pytest.raises(ConfigError, match=r"\[data\] train_percent: found 25, but .* 2022_mob"):
            call(write(tmp_path))


def test_training_clips_know_the_recording_of_10_s_that_they_are_slices_of(tmp_path):
    rows = [row("bus", "lyon-3", 5, d, k) for k in range(10) for d in ("a", "s1")]
    rows += [row("bus", "oslo-3", 5, "s4", k) for k in range(10)]
    write(tmp_path, rows, range(20), range(20, 30))
    dataset = TauScenes(edition="2022_mobile", reassemble=True)
    assert (dataset.clip_seconds, dataset.recording_seconds) == (1.0, 10.0)
    table = dataset.table(tmp_path)
    frame = table.frame
    assert frame["recording"].value_counts().to_dict() == {
        **{"bus-lyon-3-5-a": 10, "bus-lyon-3-5-s1": 10},
        "": 10,
    }
    paths = table.recordings().columns["path"][:]
    assert [path.stem for path in files_of(paths[1])] == [f"bus-lyon-3-5-{k}-s1" for k in range(10)]
    plain = TauScenes(edition="2022_mobile")
    assert plain.recording_seconds == 0
    assert "recording" not in plain.table(tmp_path).columns


def test_a_recording_that_lacks_a_slice_cannot_be_reassembled(tmp_path):
    rows = [row("bus", f"lyon-{place}", 1, "a", k) for place in range(3) for k in range(10)]
    dataset = TauScenes(edition="2022_mobile", reassemble=True)
    with pytest.raises(UserError, match=r"fold1_train.csv: segments that lack .* 1\n  bus-lyon-1-"):
        dataset.table(write(tmp_path, rows, range(19), range(20, 29)))
    dataset.table(write(tmp_path, rows, range(20), range(20, 29)))  # of the test part any
    write(tmp_path, rows, range(20), range(20, 30), {"5": range(1, 10)})
    with pytest.raises(UserError, match=r"split5.csv: segments that lack .* 1\n  bus-lyon-0-1-a"):
        TauScenes(edition="2022_mobile", reassemble=True, train_percent="5").table(tmp_path)


@pytest.mark.parametrize("edition", ["2019", "2020_mobile"])
def test_recordings_that_are_not_sliced_cannot_be_reassembled(tmp_path, edition):
    dataset = TauScenes(edition=edition, reassemble=True)
    assert dataset.recording_seconds == 0
    for call in (dataset.table, dataset.download):
        with pytest.raises(ConfigError, match=rf"\[data\] reassemble: found yes, .*{edition}"):
            call(write(tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("audio/beach-nice-1-2-a.wav\tbeach\tnice-1\ta", "line 5: scene_label is 'beach', exp"),
        (
            "audio/bus-lyon-1-2-d.wav\tbus\tlyon-1\td",
            "line 5: source_label is 'd', expected one of a,",
        ),
        (
            "bus-lyon-1-2-a.wav\tbus\tlyon-1\ta",
            "line 5: filename is 'bus-lyon-1-2-a.wav', expected aud",
        ),
        ("audio/bus-lyon-1-2-9-a.wav\tbus\tlyon-1\ta", "expected audio/.*another edition"),
        ("audio/../bus-lyon-1-2-a.wav\tbus\tlyon-1\ta", "line 5: filename is 'audio/../bus"),
        ("audio/bus-lyon-1-2-a.wav\ttram\tlyon-1\ta", "bus-lyon-1-2-a.wav is listed as tram by"),
        ("audio/bus-lyon-1-2-a.wav\tbus\tlyon-1\tb", "is listed as bus by device b"),
        ("audio/bus-lyon-1-2-a.wav\tbus\t\ta", "has no identifier"),
        (OURS[0], "line 5: airport-barcelona-0-0-a.wav is in the table already"),
        ("audio/bus-lyon-1-2-a.wav\tbus", "line 5: expected 4 fields"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        TauScenes().table(write(tmp_path, (*OURS, line)))


def test_commas_are_not_tabs(tmp_path):
    path = write(tmp_path) / "meta.csv"
    path.write_text(path.read_text().replace("\t", ","))
    with pytest.raises(UserError, match="meta.csv: no column 'filename'"):
        TauScenes().table(tmp_path)


def edit(root, name, old, new):
    path = root / "evaluation_setup" / name
    path.write_text(path.read_text().replace(old, new))


def test_lists_that_contradict_the_table_or_each_other(tmp_path):
    root = write(tmp_path)
    edit(root, "fold1_train.csv", "airport-barcelona-0-0", "airport-barcelona-0-1")
    with pytest.raises(UserError, match=r"clips that are not in meta.csv: 1\n  airport"):
        TauScenes().table(root)
    write(root)
    edit(root, "fold1_train.csv", "\tairport", "\tbus")
    with pytest.raises(UserError, match=r"-0-0-a.wav is bus, in meta.csv airport"):
        TauScenes().table(root)
    with pytest.raises(UserError, match="airport-barcelona-0-0-a.wav is listed 2 times"):
        TauScenes().table(write(root, train=(0, 0)))
    with pytest.raises(UserError, match="park-milan.* is in both training and test"):
        TauScenes().table(write(root, train=(0, 1)))
    same_place = (*OURS, row("airport", "barcelona-0", 5))
    with pytest.raises(UserError, match="the place barcelona-0 is in both training and test"):
        TauScenes().table(write(root, same_place, test=(3,)))


def test_a_share_that_names_other_clips_is_refused(tmp_path):
    rows = [row("bus", f"lyon-{place}", 1, "a", k) for place in range(2) for k in range(10)]
    write(tmp_path, rows, range(10), range(10, 20), {"25": [0, 1, *range(10, 20)]})
    with pytest.raises(UserError) as caught:
        TauScenes(edition="2022_mobile", train_percent="25").table(tmp_path)
    message = str(caught.value)
    assert "split25.csv: clips that are not in evaluation_setup/fold1_train.csv: 10" in message
    assert "\n  bus-lyon-1-1-0-a.wav\n" in message
    assert message.endswith("and 5 more")


def test_missing_files_of_a_folder_are_listed(tmp_path):
    with pytest.raises(UserError, match=r"no meta.csv, no evaluation_setup/fold1_train.csv, no"):
        TauScenes().table(tmp_path)
    (write(tmp_path) / "audio").rmdir()
    with pytest.raises(UserError, match=r": no audio; run make_mel.py with --download, unpack all"):
        TauScenes().table(tmp_path)


# The whole of an edition --------------------------------------------------------------------------


def small_2019():
    """Two clips of each scene; train and test by different places."""
    rows = [
        row(scene, f"{city}-{k}", k) for k, city in enumerate(("oslo", "rome")) for scene in SCENES
    ]
    return rows, range(10), range(10, 20), Edition(20, 10, 10, ("a",), ("a",), stereo=True)


def small_2022():
    """Two training segments by six devices and one test segment by nine, in ten clips each."""
    rows = [row("bus", "lyon-3", s, d, k) for s in (1, 2) for d in DEVICES[:6] for k in range(10)]
    rows += [row("tram", "porto-4", 7, d, k) for d in DEVICES for k in range(10)]
    figures = Edition(
        *(210, 120, 90, DEVICES, DEVICES[:6]),
        clip_seconds=1.0,
        sliced=True,
        subsets=(10, 20, 40, 60, 120),
    )
    return rows, range(120), range(120, 210), figures


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The two editions, small, and what they ought to be."""
    monkeypatch.setattr(tau_scenes, "CLIPS_PER_SCENE", 2)

    def made(edition, subsets=None, channels=2, rate=48_000):
        rows, train, test, figures = small_2019() if edition == "2019" else small_2022()
        monkeypatch.setitem(tau_scenes.EDITIONS, edition, figures)
        write(tmp_path, rows, train, test, subsets)
        for line in rows:
            soundfile.write(tmp_path / line.split("\t")[0], np.zeros((48, channels)), rate)
        return tmp_path

    return made


SUBSETS = {"5": range(10), "10": range(20), "25": range(40), "50": range(60), "100": range(120)}


def test_a_complete_edition_passes(small):
    root = small("2019")
    TauScenes().check_complete(root)


def test_a_complete_2022_with_its_subsets_passes(small):
    root = small("2022_mobile", SUBSETS)
    TauScenes(edition="2022_mobile", train_percent="5").check_complete(root)


def test_the_published_editions_add_up():
    figures = tau_scenes.EDITIONS
    assert [e.clips for e in figures.values()] == [14400, 23035, 230350]
    assert [e.clips - e.train - e.test for e in figures.values()] == [1030, 6105, 61050]
    assert figures["2022_mobile"].subsets == (
        6980,
        13960,
        34900,
        69800,
        figures["2022_mobile"].train,
    )
    sizes = {name: sum(size for _, size, _ in files) for name, files in tau_archives.FILES.items()}
    assert sizes == {
        "2019": 35_622_537_482,
        "2020_mobile": 27_364_817_167,
        "2022_mobile": 27_503_592_469,
    }
    md5s = [md5 for files in tau_archives.FILES.values() for _, _, md5 in files]
    assert len(set(md5s)) == len(md5s) == 23 + 18 + 18


def break_count(root):
    edit(root, "fold1_train.csv", "audio/bus-oslo-0-0-a.wav\tbus\n", "")


def break_file(root):
    (root / "audio" / "bus-oslo-0-0-a.wav").unlink()


def break_scene(root):
    for path in (root / "meta.csv", root / "evaluation_setup" / "fold1_train.csv"):
        path.write_text(
            path.read_text().replace("bus-oslo-0-0-a.wav\tbus", "tram-oslo-0-9-a.wav\ttram")
        )
    (root / "audio" / "tram-oslo-0-9-a.wav").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_count, "found {'clips': 20, 'train': 9, .*, but 2019 has {'clips': 20, 'train': 10"),
        (break_file, r"missing: 1 of 20\n  bus-oslo-0-0-a.wav"),
        (break_scene, "expected 2 clips of each scene, found .*'tram': 3.*'bus': 1"),
    ],
)
def test_missing_parts_of_2019_are_named(small, damage, message):
    root = small("2019")
    damage(root)
    with pytest.raises(UserError, match=message):
        TauScenes().check_complete(root)


@pytest.mark.parametrize(("channels", "rate"), [(1, 48_000), (2, 44_100)])
def test_another_audio_format_of_2019_is_refused(small, channels, rate):
    root = small("2019", channels=channels, rate=rate)
    with pytest.raises(
        UserError, match=f"expected 2 channels at 48000 Hz, found {channels} at {rate}"
    ):
        TauScenes().check_complete(root)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"5": range(9)},
            r"split5.csv: segments that lack .*: 1\n  bus-lyon-3-1-a",
        ),
        ({"5": range(20, 30)}, "split10.csv: lacks clips of the previous list"),
        ({"25": range(50)}, "split25.csv: lists 50 clips, 40 were published"),
        ({"50": None}, "no split50.csv"),
    ],
)
def test_subsets_that_are_not_nested_or_incomplete_are_refused(small, changed, message):
    root = small("2022_mobile", {k: v for k, v in (SUBSETS | changed).items() if v is not None})
    with pytest.raises(UserError, match=message):
        TauScenes(edition="2022_mobile", train_percent="5").check_complete(root)


def test_an_incomplete_segment_is_named(small, monkeypatch):
    root = small("2022_mobile")
    figures = Edition(209, 120, 89, DEVICES, DEVICES[:6], clip_seconds=1.0, sliced=True)
    monkeypatch.setitem(tau_scenes.EDITIONS, "2022_mobile", figures)
    for path in (root / "meta.csv", root / "evaluation_setup" / "fold1_evaluate.csv"):
        *kept, _ = path.read_text().splitlines()
        path.write_text("\n".join(kept) + "\n")
    with pytest.raises(UserError, match=r"meta.csv: segments that lack .*: 1\n  tram-porto-4-7-s6"):
        TauScenes(edition="2022_mobile").check_complete(root)


# Downloading --------------------------------------------------------------------------------------


def packed(root, names):
    """A zip of these files of `root`, below the folder of the edition."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.write(root / name, f"{FOLDER.format('2022-mobile')}/{name}")
    return stream.getvalue()


def test_an_edition_comes_from_its_archives_and_the_lists_of_dcase_2024(
    small, tmp_path, monkeypatch, web
):
    made = small("2022_mobile", SUBSETS)
    audio = sorted(f"audio/{path.name}" for path in (made / "audio").iterdir())
    parts = {
        "meta.zip": [
            "meta.csv",
            *(f"evaluation_setup/fold1_{p}.csv" for p in ("train", "evaluate")),
        ],
        "audio.1.zip": audio[:100],
        "audio.2.zip": audio[100:],
    }
    files = []
    for end, names in parts.items():
        body = packed(made, names)
        web.put(f"/6337421/{FOLDER.format('2022-mobile')}.{end}", body)
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        files.append((end, len(body), md5))
    for percent in PERCENTS:
        web.put(f"/split{percent}.csv", (made / f"split{percent}.csv").read_bytes())
    monkeypatch.setitem(tau_archives.FILES, "2022_mobile", tuple(files))
    monkeypatch.setattr(tau_archives, "URL", web.address + "/{record}/{name}")
    monkeypatch.setattr(tau_archives, "SUBSETS_URL", web.address + "/split{percent}.csv")
    dataset, root = TauScenes(edition="2022_mobile", train_percent="5"), tmp_path / "fetched"
    dataset.download(root)
    asked = len(web.seen)
    assert asked == 3 + 5
    dataset.download(root)
    assert len(web.seen) == asked, "what is there is not fetched again"
    table = dataset.table(root)
    assert table.frame["split"].value_counts().to_dict() == {"test": 90, "train": 10}
    assert all(Path(path).is_file() for path in table.frame["path"])
    Path(table.frame["path"].iloc[0]).unlink()
    with pytest.raises(UserError, match="missing: 1 of 210"):
        dataset.download(root)


def test_a_table_keeps_device_and_city(tmp_path):
    TauScenes().table(write(tmp_path)).write(tmp_path)
    again = ClipTable.read(tmp_path)
    assert list(again.columns["city"][:]) == ["barcelona", "milan"]
    assert list(again.columns["device"][:]) == ["a", "a"]


def test_devices_are_of_the_groups_of_dcase(tmp_path):
    rows = [row("bus", f"lyon-{place}", 1, d) for place, d in enumerate(DEVICES)]
    frame = (
        TauScenes(edition="2020_mobile").table(write(tmp_path, rows, range(6), range(6, 9))).frame
    )
    assert list(frame.sort_values("device")["device_group"]) == (
        ["real"] * 3 + ["seen"] * 3 + ["unseen"] * 3
    )
