import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from config import UserError
from data.synthesis import corpus
from data.synthesis.corpus import SENSORS, synthesise
from data.synthesis.taxonomy import FINE

SMALL = {"train": 5, "validate": 2, "test": 2, "seconds": 1.0}

HEADER = (
    "split,sensor_id,audio_filename,annotator_id,"
    "1-1_small-sounding-engine_presence,1-2_medium-sounding-engine_presence,"
    "1-3_large-sounding-engine_presence,1-X_engine-of-uncertain-size_presence,"
    "2-1_rock-drill_presence,2-2_jackhammer_presence,2-3_hoe-ram_presence,2-4_pile-driver_presence,"
    "2-X_other-unknown-impact-machinery_presence,3-1_non-machinery-impact_presence,"
    "4-1_chainsaw_presence,4-2_small-medium-rotating-saw_presence,4-3_large-rotating-saw_presence,"
    "4-X_other-unknown-powered-saw_presence,5-1_car-horn_presence,5-2_car-alarm_presence,"
    "5-3_siren_presence,5-4_reverse-beeper_presence,5-X_other-unknown-alert-signal_presence,"
    "6-1_stationary-music_presence,6-2_mobile-music_presence,6-3_ice-cream-truck_presence,"
    "6-X_music-from-uncertain-source_presence,7-1_person-or-small-group-talking_presence,"
    "7-2_person-or-small-group-shouting_presence,7-3_large-crowd_presence,"
    "7-4_amplified-speech_presence,7-X_other-unknown-human-voice_presence,"
    "8-1_dog-barking-whining_presence,"
    "1-1_small-sounding-engine_proximity,1-2_medium-sounding-engine_proximity,"
    "1-3_large-sounding-engine_proximity,1-X_engine-of-uncertain-size_proximity,"
    "2-1_rock-drill_proximity,2-2_jackhammer_proximity,2-3_hoe-ram_proximity,"
    "2-4_pile-driver_proximity,2-X_other-unknown-impact-machinery_proximity,"
    "3-1_non-machinery-impact_proximity,4-1_chainsaw_proximity,"
    "4-2_small-medium-rotating-saw_proximity,4-3_large-rotating-saw_proximity,"
    "4-X_other-unknown-powered-saw_proximity,5-1_car-horn_proximity,5-2_car-alarm_proximity,"
    "5-3_siren_proximity,5-4_reverse-beeper_proximity,5-X_other-unknown-alert-signal_proximity,"
    "6-1_stationary-music_proximity,6-2_mobile-music_proximity,6-3_ice-cream-truck_proximity,"
    "6-X_music-from-uncertain-source_proximity,7-1_person-or-small-group-talking_proximity,"
    "7-2_person-or-small-group-shouting_proximity,7-3_large-crowd_proximity,"
    "7-4_amplified-speech_proximity,7-X_other-unknown-human-voice_proximity,"
    "8-1_dog-barking-whining_proximity,"
    "1_engine_presence,2_machinery-impact_presence,3_non-machinery-impact_presence,"
    "4_powered-saw_presence,5_alert-signal_presence,6_music_presence,7_human-voice_presence,"
    "8_dog_presence\n"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audio") / "street_sounds"
    synthesise(root, workers=1, **SMALL)
    return root


@pytest.fixture(scope="module")
def rows(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "annotations.csv", dtype=str)


def fingerprint(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def test_the_layout_is_that_of_sonyc_ust(root: Path):
    assert sorted(path.name for path in root.iterdir()) == [
        "annotations.csv",
        "dcase-ust-taxonomy.yaml",
        "test",
        "train",
        "validate",
    ]
    with (root / "annotations.csv").open(newline="") as file:
        assert file.readline() == HEADER
        assert {len(row) for row in csv.reader(file)} == {70}


def test_the_taxonomy_has_the_official_keys(root: Path):
    taxonomy = yaml.safe_load((root / "dcase-ust-taxonomy.yaml").read_text())
    assert taxonomy["coarse"] == {
        1: "engine",
        2: "machinery-impact",
        3: "non-machinery-impact",
        4: "powered-saw",
        5: "alert-signal",
        6: "music",
        7: "human-voice",
        8: "dog",
    }
    assert list(taxonomy["fine"]) == list(range(1, 9))
    assert taxonomy["fine"][1]["X"] == "engine-of-uncertain-size"
    assert taxonomy["fine"][8] == {1: "dog-barking-whining"}
    assert sum(len(kinds) for kinds in taxonomy["fine"].values()) == 29


def test_same_seed_same_bytes_whatever_the_number_of_workers(root: Path, tmp_path: Path):
    synthesise(tmp_path / "two", workers=2, **SMALL)
    assert fingerprint(tmp_path / "two") == fingerprint(root)


def test_another_seed_gives_other_clips(root: Path, tmp_path: Path):
    synthesise(tmp_path, seed=1, workers=1, train=1, validate=0, test=0, seconds=1.0)
    name = "train/00_000000.wav"
    assert fingerprint(tmp_path)[name] != fingerprint(root)[name]


def test_every_row_has_its_clip_and_every_clip_its_rows(root: Path, rows: pd.DataFrame):
    named = {
        f"{split}/{name}" for split, name in zip(rows["split"], rows["audio_filename"], strict=True)
    }
    assert named == {str(path.relative_to(root)) for path in root.rglob("*.wav")}
    assert len(named) == 9


def test_splits_share_no_sensor(rows: pd.DataFrame):
    for split, sensors in SENSORS.items():
        assert set(rows["sensor_id"][rows["split"] == split].astype(int)) <= set(sensors)
    assert (rows["audio_filename"].str[:2].astype(int) == rows["sensor_id"].astype(int)).all()
    assert len({sensor for sensors in SENSORS.values() for sensor in sensors}) == 20


def test_three_volunteers_for_training_and_a_verified_row_for_the_rest(rows: pd.DataFrame):
    annotators = rows["annotator_id"].astype(int).groupby([rows["split"], rows["audio_filename"]])
    for (split, _), ids in annotators:
        assert (len(set(ids)), min(ids) > 0) == (3, True) if split == "train" else list(ids) == [0]


def test_recordings_are_16_bit_mono_neither_clipped_nor_silent(root: Path):
    for path in root.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.subtype, info.channels, info.samplerate) == ("PCM_16", 1, 16_000)
        signal, _ = soundfile.read(path)
        assert len(signal) == 16_000
        assert np.abs(signal).max() <= 0.96
        assert -70 < 20 * np.log10(signal.std()) < -6
        assert (signal != 0).mean() > 0.5


def test_coarse_is_the_maximum_of_fine_and_volunteers_mark_proximity(rows: pd.DataFrame):
    for coarse in rows.columns[-8:]:
        kinds = [c for c in rows if c.startswith(coarse[0] + "-") and c.endswith("_presence")]
        assert (rows[coarse].astype(float) == rows[kinds].astype(float).max(axis=1)).all()
    volunteers = rows[rows["annotator_id"] != "0"]
    for code, name in FINE.items():
        present = volunteers[f"{code}_{name}_presence"] == "1.0"
        proximity = volunteers[f"{code}_{name}_proximity"]
        assert set(proximity[present]) <= {"near", "far", "notsure"}
        assert set(proximity[~present]) <= {"-1"}


def test_a_finished_folder_is_not_changed(tmp_path: Path):
    (tmp_path / "annotations.csv").write_text("finished")
    synthesise(tmp_path, workers=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.csv"]


def test_an_interrupted_synthesis_starts_again(root: Path, tmp_path: Path, monkeypatch):
    make_clip = corpus.make_clip

    def interrupted(job):
        if job.number == 3:
            raise KeyboardInterrupt
        return make_clip(job)

    monkeypatch.setattr(corpus, "make_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path, workers=1, **SMALL)
    assert not (tmp_path / "annotations.csv").exists()
    monkeypatch.undo()
    synthesise(tmp_path, workers=1, **SMALL)
    assert fingerprint(tmp_path) == fingerprint(root)


@pytest.mark.parametrize("moved", range(5))
def test_interrupted_moving_is_resumed(root: Path, tmp_path: Path, monkeypatch, moved: int):
    replace, moves = os.replace, []

    def interrupted(source, target):
        if target.parent == tmp_path:
            if len(moves) == moved:
                raise KeyboardInterrupt
            moves.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path, workers=1, **SMALL)
    assert not (tmp_path / "annotations.csv").exists()
    monkeypatch.undo()
    monkeypatch.setattr(corpus, "make_clip", None)  # nothing is made a second time
    synthesise(tmp_path, workers=1, **SMALL)
    assert fingerprint(tmp_path) == fingerprint(root)
    assert not (tmp_path / ".unfinished").exists()


def test_recordings_of_others_are_not_touched(tmp_path: Path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "00_000000.wav").write_text("precious")
    with pytest.raises(UserError, match="train is in the way"):
        synthesise(tmp_path, workers=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert (tmp_path / "train" / "00_000000.wav").read_text() == "precious"
