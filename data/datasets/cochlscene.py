"""CochlScene: scenes of daily life, recorded by volunteers with their phones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from config import Task, UserError
from data.tables.clips import Clip, ClipTable

SCENES = (
    *("Bus", "Cafe", "Car", "CrowdedIndoor", "Elevator", "Kitchen", "Park", "ResidentialArea"),
    *("Restaurant", "Restroom", "Street", "Subway", "SubwayStation"),
)
SPLITS = {"Train": "train", "Val": "validate", "Test": "test"}
RECORD = 7080122
VOLUMES = tuple(f"CochlScene.{end}" for end in ("z01", "z02", "z03", "z04", "z05", "zip"))


class CochlScene:
    """76 thousand clips of 10 s in 13 scenes, by 831 people; each person's are in one split.

    The published folders are the splits: Train for training, Val for validation, Test for testing.
    A clip's group is its user; several clips are cut from each recording of a user.

    Source: Jeong & Park, APSIPA 2022, arXiv:2211.02289; zenodo.org/records/7080122. Licence: see
    the record. Other authors count 60 855, 7573 and 7687 clips (not verified here).
    Layout: {Train,Val,Test}/<scene>/<scene>_<user>_<recording>_<segment>.wav (44.1 kHz, mono), in
    the root or in its folder CochlScene.
    """

    task: Task = "single_label"
    metric = "accuracy"
    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "about 76 thousand of 10 s"
    labels_summary = "13 scenes"
    how_to_get = "python make_mel.py --download (53.9 GB)"
    licence = "CochlScene (Cochl), see zenodo.org/records/7080122"

    def table(self, root: Path) -> ClipTable:
        folder = self.find(root)
        return ClipTable.of(
            (
                clip
                for name, split in SPLITS.items()
                for scene in SCENES
                for clip in read_clips(folder / name / scene, scene, split)
            ),
            SCENES,
            self.task,
        )

    def sources(self, root: Path) -> list[Path]:
        folder = self.find(root)
        return [folder / split / scene for split in SPLITS for scene in SCENES]

    def find(self, root: Path) -> Path:
        """The folder of the splits. Raises UserError that names missing and unknown folders."""
        folder = root / "CochlScene" if (root / "CochlScene").is_dir() else root
        wanted = [f"{split}/{scene}" for split in SPLITS for scene in SCENES]
        if missing := [name for name in wanted if not (folder / name).is_dir()]:
            raise UserError(
                f"{folder}: no {', no '.join(missing)}; run make_mel.py with --download, or set "
                "data.root to the folder of Train, Val and Test"
            )
        for split in SPLITS:
            if unknown := sorted(set(visible(folder / split)).difference(SCENES)):
                known = ", ".join(SCENES)
                raise UserError(f"{folder / split}: {unknown[0]!r} is no scene, expected {known}")
        return folder

    def download(self, root: Path) -> None:
        """Fetch its volumes, 53.9 GB, and unpack them in `root`. Raises UserError."""
        from data.download import download, zenodo_record

        download(zenodo_record(RECORD, VOLUMES, root), root)
        self.find(root)


def read_clips(folder: Path, scene: str, split: str) -> Iterator[Clip]:
    """The clips of a scene's folder. Raises UserError for a name that is not of that scene."""
    for name in visible(folder):
        named, *rest = name.removesuffix(".wav").rsplit("_", 3)
        if not name.endswith(".wav") or named != scene or len(rest) != 3 or not all(rest):
            raise UserError(
                f"{folder / name}: expected names such as {scene}_user0009_14897252_005.wav: the "
                "scene, its user, recording and segment"
            )
        yield Clip(id=name, path=folder / name, labels={scene: 1.0}, split=split, group=rest[0])


def visible(folder: Path) -> list[str]:
    """The names in a folder without hidden ones, such as .DS_Store."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
