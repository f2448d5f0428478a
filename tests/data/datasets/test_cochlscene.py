import functools
import hashlib
import json

import numpy as np
import pytest
import soundfile

import data.download
from config import UserError
from data.datasets.cochlscene import SCENES, SPLITS, VOLUMES, CochlScene
from data.tables.splits import split_clips
from tests.data.download.test_split_zip import write_volumes

USERS = {"Train": (1, 2), "Val": (3,), "Test": (4,)}


def names():
    """Two segments of one recording of each user in each scene."""
    return [
        f"{split}/{scene}/{scene}_user{user:04}_1489{user}_{segment:03}.wav"
        for split in SPLITS
        for scene in SCENES
        for user in USERS[split]
        for segment in range(2)
    ]


@pytest.fixture
def write(tmp_path):
    def made(below=""):
        for name in names():
            path = tmp_path / below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return made


@pytest.mark.parametrize("below", ["", "CochlScene"])
def test_the_folders_are_the_splits_and_a_user_is_a_group(write, below):
    root = write(below)
    (root / below / "Train/Bus/.DS_Store").touch()
    dataset = CochlScene()
    table = dataset.table(root)
    assert (dataset.task, dataset.metric, dataset.clip_seconds) == ("single_label", "accuracy", 10)
    assert table.classes == SCENES == tuple(sorted(SCENES))
    assert len(SCENES) == 13
    frame = table.frame
    assert frame["split"].value_counts().to_dict() == {"train": 52, "validate": 26, "test": 26}
    clip = frame.loc["SubwayStation_user0003_14893_001.wav"]
    assert (clip["split"], clip["group"]) == ("validate", "user0003")
    assert clip["path"] == (
        (root / below / "Val/SubwayStation/SubwayStation_user0003_14893_001.wav").as_posix()
    )
    label = table.targets[table.rows_of([clip.name])].argmax()
    assert table.classes[label] == "SubwayStation"
    assert split_clips(table, 0, "held_out", 0.15).validation_name == "validate"


def test_a_user_in_two_splits_is_refused_before_training(write):
    root = write()
    (root / "Test/Bus/Bus_user0002_7_000.wav").touch()
    with pytest.raises(UserError, match="'user0002' is in both the training and the test"):
        split_clips(CochlScene().table(root), 0, "held_out", 0.15)


@pytest.mark.parametrize(
    "name",
    ["Cafe_user0001_1_000.wav", "Bus_user0001_000.wav", "Bus__1_000.wav", "Bus_user1_1_0.mp3"],
)
def test_a_name_of_another_scene_is_refused(write, name):
    root = write()
    (root / "Train/Bus" / name).touch()
    with pytest.raises(UserError, match=f"Train/Bus/{name}: expected names such as Bus_user0009_"):
        CochlScene().table(root)


def test_missing_and_unknown_folders_are_named(tmp_path, write):
    with pytest.raises(UserError, match="no Train/Bus, no Train/Cafe, .* --download"):
        CochlScene().table(tmp_path)
    root = write()
    (root / "Val/Ship").mkdir()
    with pytest.raises(UserError, match="Val: 'Ship' is no scene, expected Bus, Cafe"):
        CochlScene().table(root)


def test_the_volumes_of_the_record_are_fetched_and_joined(tmp_path, monkeypatch, web):
    sound, packed = tmp_path / "sound.wav", tmp_path / "packed"
    soundfile.write(sound, np.zeros(13), 44_100)
    packed.mkdir()
    sounds = {f"CochlScene/{name}": sound.read_bytes() for name in names()}
    volumes = write_volumes(packed, sounds, 4200, zip64=False)
    assert len(volumes) == len(VOLUMES)
    files = []
    for name, path in zip(VOLUMES, volumes, strict=True):
        body = path.read_bytes()
        web.put(f"/records/7080122/files/{name}", body)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        files.append({"key": name, "size": len(body), "checksum": f"md5:{digest}"})
    web.put("/api/records/7080122", json.dumps({"files": files}).encode())
    record = functools.partial(data.download.zenodo_record, api=f"{web.address}/api/records")
    monkeypatch.setattr(data.download, "zenodo_record", record)
    root = tmp_path / "fetched"
    CochlScene().download(root)
    table = CochlScene().table(root)
    assert len(table) == len(names())
    assert all(soundfile.info(path).frames == 13 for path in table.frame["path"])
    asked = len(web.seen)
    assert asked == 1 + len(VOLUMES)
    CochlScene().download(root)
    assert len(web.seen) == asked, "what is there is not fetched again"
