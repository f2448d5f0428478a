import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from config import UserError
from data.datasets.street_scenes import StreetScenes
from data.synthesis import scene_corpus
from data.synthesis.scene_corpus import jobs, synthesise
from data.synthesis.scenes import SCENES

SMALL = {"train_places": 1, "test_places": 1, "segments": 1, "seconds": 0.5}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("street_scenes")
    synthesise(root, workers=1, **SMALL)
    return root


def fingerprint(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_layout_is_that_of_tau_2019(root: Path):
    assert sorted(path.name for path in root.iterdir()) == ["audio", "evaluation_setup", "meta.csv"]
    meta = (root / "meta.csv").read_text().splitlines()
    assert meta[0] == "filename\tscene_label\tidentifier\tsource_label"
    assert meta[1] == "audio/airport-aarhus-0-0-a.wav\tairport\taarhus-0\ta"
    assert len(meta) == 21
    setup = root / "evaluation_setup"
    lists = {path.name: path.read_text().splitlines() for path in setup.iterdir()}
    assert lists["fold1_train.csv"][:2] == ["filename\tscene_label", "\t".join(meta[1].split()[:2])]
    names = [line.split("\t")[0] for line in lists["fold1_evaluate.csv"]]
    assert lists["fold1_test.csv"] == names
    assert {name: len(lines) for name, lines in lists.items()} == (
        dict.fromkeys(("fold1_train.csv", "fold1_test.csv", "fold1_evaluate.csv"), 11)
    )


def test_the_loader_of_tau_reads_it(root: Path):
    dataset = StreetScenes()
    table = dataset.table(root)
    assert (dataset.clip_seconds, dataset.stereo, dataset.embedded) == (4.0, True, True)
    assert table.classes == tuple(sorted(SCENES))
    assert table.targets[:].sum(0).tolist() == [2] * 10
    for path in table.frame["path"]:
        info = soundfile.info(path)
        assert (info.channels, info.samplerate, info.subtype) == (2, 16_000, "PCM_16")
        samples, _ = soundfile.read(path)
        assert len(samples) == 8000
        assert samples.std(0).min() > 1e-4
        assert np.abs(samples).max() <= 0.96
        assert abs(np.corrcoef(samples.T)[0, 1]) < 0.999, "each ear hears something of its own"


def test_the_full_set_has_its_published_splits():
    places = {"train": 10, "test": 5}
    made = list(jobs(0, places, 4, Path(), 4.0, 16_000))
    parts = {part: [job for job in made if job.part == part] for part in places}
    assert {part: len(clips) for part, clips in parts.items()} == {"train": 400, "test": 200}
    assert Counter((job.part, job.scene) for job in made) == {
        (part, scene): count for part, count in (("train", 40), ("test", 20)) for scene in SCENES
    }
    places = [{job.place for job in clips} for clips in parts.values()]
    assert [len(found) for found in places] == [100, 50]
    assert not places[0] & places[1]
    devices = {part: Counter(job.device for job in clips) for part, clips in parts.items()}
    assert devices["train"] == {"a": 240, "b": 40, "c": 40, "s1": 40, "s2": 40}
    assert devices["test"] == {"a": 100, "b": 20, "c": 20, "s1": 20, "s2": 20, "s4": 20}
    cities = [{job.city for job in clips} for clips in parts.values()]
    assert cities[1] - cities[0] == {"zadar"}
    assert len({job.filename for job in made}) == 600


def test_same_seed_same_bytes_whatever_the_number_of_workers(root: Path, tmp_path: Path):
    synthesise(tmp_path, workers=2, **SMALL)
    assert fingerprint(tmp_path) == fingerprint(root)


def test_another_seed_gives_other_clips(root: Path, tmp_path: Path):
    synthesise(tmp_path, seed=1, workers=1, **(SMALL | {"test_places": 0}))
    other = fingerprint(tmp_path)
    same = fingerprint(root)
    names = [name for name in other if name.startswith("audio/")]
    assert len(names) == 10
    assert not any(other[name] == same[name] for name in names)


def test_existing_files_are_kept_and_conflicts_are_named(root: Path, tmp_path: Path, monkeypatch):
    before = fingerprint(root)
    monkeypatch.setattr(scene_corpus, "make_clip", None)
    synthesise(root, **SMALL)
    assert fingerprint(root) == before
    (tmp_path / "audio").mkdir()
    with pytest.raises(UserError, match="audio is in the way and meta.csv is missing: give"):
        synthesise(tmp_path, workers=1, **SMALL)
