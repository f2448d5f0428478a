"""TAU Urban Acoustic Scenes: ten scenes of European cities, each place in training or in test."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from config import ConfigError, Task, UserError
from data.tables.clips import Clip, ClipTable, first_of, read_csv
from data.tables.columns import Column
from data.tables.targets import Targets

SCENES = (
    *("airport", "bus", "metro", "metro_station", "park", "public_square"),
    *("shopping_mall", "street_pedestrian", "street_traffic", "tram"),
)
DEVICE_GROUPS = {
    "real": ("a", "b", "c"),
    "seen": ("s1", "s2", "s3"),  # simulated, in training and in test
    "unseen": ("s4", "s5", "s6"),  # only in test
}
GROUP_OF = {device: group for group, devices in DEVICE_GROUPS.items() for device in devices}
DEVICES = tuple(GROUP_OF)
PERCENTS = ("5", "10", "25", "50", "100")
CLIPS_PER_SCENE = 1440  # clips, in 2019
SLICES = "0123456789"  # of 1 s, that a segment of 10 s is cut into
NAME = re.compile(r"audio/(((\w+)-\w+-\d+-\d+)(?:-(\d))?-(\w+)\.wav)")


@dataclass(frozen=True, slots=True)
class Edition:
    """The size of an edition; `train` and `test` are fold 1."""

    clips: int
    train: int
    test: int
    devices: tuple[str, ...]
    training_devices: tuple[str, ...]
    clip_seconds: float = 10.0
    stereo: bool = False
    sliced: bool = False  # each segment of 10 s is ten clips
    subsets: tuple[int, ...] = ()  # clips of the training lists of PERCENTS


EDITIONS = {
    "2019": Edition(14400, 9185, 4185, ("a",), ("a",), stereo=True),
    "2020_mobile": Edition(23035, 13962, 2968, DEVICES, DEVICES[:6]),
    "2022_mobile": Edition(
        *(230350, 139620, 29680, DEVICES, DEVICES[:6]),
        clip_seconds=1.0,
        sliced=True,
        subsets=(6980, 13960, 34900, 69800, 139620),
    ),
}


class Recording(NamedTuple):
    """A row of meta.csv."""

    scene: str
    place: str  # city-location
    device: str
    segment: str  # its name without the number of the slice
    slice: str | None


class TauScenes:
    """Scenes of ten seconds (2022_mobile: of one) in fold 1; train and test share no place.

    Clips in neither fold1_train nor fold1_evaluate are left out. There is no validation split:
    [data] HOLD_OUT holds out training places.

    Options:
        edition: 2019 (one binaural device, stereo, 48 kHz), 2020_mobile (nine devices, three of
            them only in test, mono, 44.1 kHz) or 2022_mobile (the same in clips of 1 s). Metrics
            are also given per device and for the groups real, seen and unseen.
        train_percent: of 2022_mobile, the training lists of DCASE 2024 (data-efficient learning):
            split5.csv and so on instead of fold1_train.csv (100).
        reassemble: of 2022_mobile, train on random crops of the recordings of 10 s, reassembled
            from their ten slices, all of which are required: the cropped data set of the released
            teachers of CP-JKU, DCASE 2023 task 1. Each training slice is replaced by a crop of its
            recording, so the number of clips per epoch is the same; evaluation uses the slices.

    Source: Mesaros et al., DCASE 2018 workshop; Heittola et al., DCASE 2020 workshop;
    zenodo.org/records/2589280, 3819968 and 6337421. Licence: free for academic use only.
    Layout: meta.csv, evaluation_setup/fold1_*.csv (separated by tabs) and audio/*.wav, in the root
    or in its folder TAU-urban-acoustic-scenes-2019-development; split*.csv in either.
    """

    task: Task = "single_label"
    metric = "macro_accuracy"
    embedded = False
    clips_summary = "14400 (EDITION = 2019), 23035 (2020_mobile) or 230350 (2022_mobile, of 1 s)"
    labels_summary = "ten scenes"
    how_to_get = "python make_mel.py --download (27 to 36 GB)"
    licence = "TAU Urban Acoustic Scenes (Tampere University), non-commercial academic use only"

    def __init__(
        self,
        *,
        edition: Literal["2019", "2020_mobile", "2022_mobile"] = "2019",
        train_percent: Literal["5", "10", "25", "50", "100"] = "100",
        reassemble: bool = False,
    ) -> None:
        self.edition, self.train_percent, self.reassemble = edition, train_percent, reassemble
        self.figures = EDITIONS[edition]
        self.clip_seconds, self.stereo = self.figures.clip_seconds, self.figures.stereo
        slices = len(SLICES) if reassemble and self.figures.sliced else 0
        self.recording_seconds = slices * self.clip_seconds
        self.name = f"TAU-urban-acoustic-scenes-{edition.replace('_', '-')}-development"

    def table(self, root: Path) -> ClipTable:
        self.check_options()
        folder = self.find(root)
        recordings = read_meta(folder / "meta.csv", self.figures.sliced)
        official, test = read_fold(folder, recordings)
        train = list(official)
        path = folder / "evaluation_setup" / "fold1_train.csv"
        if self.train_percent != "100":
            path = find_subset(self.train_percent, root, folder)
            train = read_subset(path, official)
        if self.reassemble:
            check_full_segments(path, train, recordings)
        return ClipTable.of(
            (
                Clip(
                    id=name,
                    path=folder / "audio" / name,
                    labels={recordings[name].scene: 1.0},
                    split=split,
                    group=recordings[name].place,
                    extras=self.extras(recordings[name], split),
                )
                for split, names in (("train", train), ("test", test))
                for name in names
            ),
            SCENES,
            self.task,
        )

    def sources(self, root: Path) -> list[Path]:
        folder = self.find(root)
        lists = [folder / f"evaluation_setup/fold1_{part}.csv" for part in ("train", "evaluate")]
        if self.train_percent != "100":
            lists.append(find_subset(self.train_percent, root, folder))
        return [folder / "meta.csv", *lists]

    def extras(self, row: Recording, split: str) -> dict[str, str]:
        extras = {
            "device": row.device,
            "device_group": GROUP_OF[row.device],
            "city": row.place.partition("-")[0],
        }
        if self.reassemble and split == "train":
            extras["recording"] = row.segment
        return extras

    def check_options(self) -> None:
        if self.train_percent != "100" and self.edition != "2022_mobile":
            raise ConfigError(
                "[data] train_percent",
                f"found {self.train_percent}, but the lists of DCASE 2024 are of edition "
                f"2022_mobile, not of {self.edition}",
            )
        if self.reassemble and not self.figures.sliced:
            raise ConfigError(
                "[data] reassemble",
                f"found yes, but the recordings of edition {self.edition} are not cut into slices",
            )

    def find(self, root: Path) -> Path:
        """The folder of meta.csv. Raises UserError that names missing files."""
        folder = root / self.name if (root / self.name).is_dir() else root
        lists = ("evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv")
        wanted = ("meta.csv", *lists, "audio")
        if missing := [name for name in wanted if not (folder / name).exists()]:
            raise UserError(
                f"{folder}: no {', no '.join(missing)}; run make_mel.py with --download, unpack "
                f"all archives of {self.name} in {root}, or set data.root to the folder of meta.csv"
            )
        return folder

    def download(self, root: Path) -> None:
        """Fetch the edition, 27 to 36 GB, unpack and check it in `root`. Raises UserError."""
        from data.datasets.tau_archives import FILES, RECORDS, SUBSETS_URL, URL
        from data.download import Archive, download

        self.check_options()
        archives = []
        for end, size, md5 in FILES[self.edition]:
            name = f"{self.name}.{end}"
            url = URL.format(record=RECORDS[self.edition], name=name)
            archives.append(Archive(name, (url,), size, md5))
        if self.train_percent != "100":
            archives += [
                Archive(f"split{percent}.csv", (SUBSETS_URL.format(percent=percent),))
                for percent in PERCENTS
            ]
        download(archives, root)
        self.check_complete(root)

    def check_complete(self, root: Path) -> None:
        """UserError unless `root` contains the full edition with its published split."""
        folder = self.find(root)
        recordings = read_meta(folder / "meta.csv", self.figures.sliced)
        train, test = read_fold(folder, recordings)
        there = {entry.name for entry in os.scandir(folder / "audio")}
        missing = sorted(recordings.keys() - there)
        if missing:
            raise UserError(
                f"{folder}: recordings that are missing: {len(missing)} of {len(recordings)}"
                f"{first_of(missing)}"
            )
        found = {
            "clips": len(recordings),
            "train": len(train),
            "test": len(test),
            "devices": devices_of(recordings.values()),
            "training_devices": devices_of(recordings[name] for name in train),
        }
        published = {name: getattr(self.figures, name) for name in found}
        if found != published:
            raise UserError(f"{folder}: found {found}, but {self.edition} has {published}")
        if self.edition == "2019":
            check_2019(folder, recordings)
        if self.figures.sliced:
            check_full_segments(folder / "meta.csv", recordings, recordings)
        if self.train_percent != "100":
            paths = [find_subset(percent, root, folder) for percent in PERCENTS]
            check_subsets(paths, self.figures.subsets, recordings, train)


def read_meta(path: Path, sliced: bool) -> dict[str, Recording]:
    """File name -> its row of meta.csv, in their order, checked. Raises UserError."""
    form = f"audio/{{scene}}-{{city}}-{{location}}-{{segment}}{'-{0 to 9}' * sliced}-{{device}}.wav"
    recordings: dict[str, Recording] = {}
    wanted = ("filename", "scene_label", "identifier", "source_label")
    for line, row in read_csv(path, wanted, delimiter="\t"):
        where, (scene, place, device) = f"{path} line {line}", (row[name] for name in wanted[1:])
        if scene not in SCENES:
            known = ", ".join(SCENES)
            raise UserError(f"{where}: scene_label is {scene!r}, expected one of {known}")
        if device not in DEVICES:
            known = ", ".join(DEVICES)
            raise UserError(f"{where}: source_label is {device!r}, expected one of {known}")
        parts = NAME.fullmatch(row["filename"])
        if not parts or bool(parts[4]) != sliced:
            raise UserError(
                f"{where}: filename is {row['filename']!r}, expected {form}; "
                "is it the table of another edition?"
            )
        name, stem, named, number, recorder = parts.groups()
        if (named, recorder) != (scene, device):
            raise UserError(f"{where}: {name} is listed as {scene} by device {device}")
        if not place:
            raise UserError(f"{where}: {name} has no identifier, its city and place")
        if name in recordings:
            raise UserError(f"{where}: {name} is in the table already")
        recordings[name] = Recording(scene, place, device, f"{stem}-{device}", number)
    return recordings


def read_fold(
    folder: Path, recordings: Mapping[str, Recording]
) -> tuple[dict[str, str], dict[str, str]]:
    """Clip -> scene, of fold1_train.csv and of fold1_evaluate.csv, which share no place."""
    parts = []
    for part in ("train", "evaluate"):
        path = folder / "evaluation_setup" / f"fold1_{part}.csv"
        scenes = dict(read_list(path, "scene_label"))
        check_known(path, scenes, recordings, "meta.csv")
        for name, scene in scenes.items():
            if scene != recordings[name].scene:
                raise UserError(f"{path}: {name} is {scene}, in meta.csv {recordings[name].scene}")
        parts.append(scenes)
    train, test = parts
    if both := train.keys() & test.keys():
        raise UserError(f"{folder}: {min(both)} is in both training and test")
    places = [{recordings[name].place for name in names} for names in parts]
    if both := places[0] & places[1]:
        raise UserError(f"{folder}: the place {min(both)} is in both training and test")
    return train, test


def evaluation_clips(folder: Path) -> ClipTable:
    """The clips of a challenge's evaluation set, which has no labels: all targets are 0.

    Layout: evaluation_setup/fold1_test.csv (a column filename) and audio/*.wav. Raises UserError
    that names missing files.
    """
    path = folder / "evaluation_setup" / "fold1_test.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the folder of an unpacked evaluation set")
    names = [name for name, _ in read_list(path)]
    if missing := [name for name in names if not (folder / "audio" / name).is_file()]:
        raise UserError(
            f"{folder}: recordings that are missing: {len(missing)} of {len(names)}"
            f"{first_of(sorted(missing))}"
        )
    columns = {
        "id": Column.of(names),
        "path": Column.of((folder / "audio" / name).as_posix() for name in names),
        "split": Column.filled(b"test", len(names)),
    }
    unlabelled = Targets.of([{}] * len(names), SCENES)
    return ClipTable.of_columns(columns, unlabelled, SCENES, "single_label")


def find_subset(percent: str, root: Path, folder: Path) -> Path:
    name = f"split{percent}.csv"
    for place in (root, folder, folder / "evaluation_setup"):
        if (place / name).is_file():
            return place / name
    raise UserError(f"{root}: no {name}; run make_mel.py with --download")


def read_subset(path: Path, official: Collection[str]) -> list[str]:
    """The clips of a split<percent>.csv, all of which are `official` training clips."""
    names = [clip for clip, _ in read_list(path)]
    check_known(path, names, official, "evaluation_setup/fold1_train.csv")
    return names


def read_list(path: Path, column: str = "filename") -> list[tuple[str, str]]:
    """(file name without its folder, value of the column) of each row. Raises UserError."""
    rows = read_csv(path, dict.fromkeys(("filename", column)), delimiter="\t")
    found = [(row["filename"].removeprefix("audio/"), row[column]) for _, row in rows]
    name, times = Counter(name for name, _ in found).most_common(1)[0] if found else ("", 0)
    if times > 1:
        raise UserError(f"{path}: {name} is listed {times} times")
    return found


def check_known(path: Path, names: Iterable[str], known: Collection[str], where: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"{path}: clips that are not in {where}: {len(unknown)}{first_of(sorted(unknown))}"
        )


def devices_of(recordings: Iterable[Recording]) -> tuple[str, ...]:
    return tuple(sorted({recording.device for recording in recordings}))


def check_2019(folder: Path, recordings: Mapping[str, Recording]) -> None:
    """The same number of clips per scene; every file, by its header, stereo at 48 kHz."""
    from data.features.decode import opened

    counts = Counter(recording.scene for recording in recordings.values())
    if counts != dict.fromkeys(SCENES, CLIPS_PER_SCENE):
        raise UserError(
            f"{folder}: expected {CLIPS_PER_SCENE} clips of each scene, found {dict(counts)}"
        )
    for name in recordings:
        with opened(folder / "audio" / name) as (file, *_):
            if (file.channels, file.samplerate) != (2, 48_000):
                raise UserError(
                    f"{folder / 'audio' / name}: expected 2 channels at 48000 Hz, "
                    f"found {file.channels} at {file.samplerate} Hz"
                )


def check_full_segments(
    path: Path, names: Iterable[str], recordings: Mapping[str, Recording]
) -> None:
    """All ten slices of each segment that has a clip among `names` are there."""
    slices: dict[str, set[str | None]] = {}
    for name in names:
        slices.setdefault(recordings[name].segment, set()).add(recordings[name].slice)
    broken = [segment for segment, there in slices.items() if there != set(SLICES)]
    if broken:
        raise UserError(
            f"{path}: segments that lack some of their ten clips: {len(broken)}{first_of(broken)}"
        )


def check_subsets(
    paths: Iterable[Path],
    counts: Iterable[int],
    recordings: Mapping[str, Recording],
    official: Mapping[str, str],
) -> None:
    """Each list has its published length and contains the previous one, with full segments."""
    before: frozenset[str] = frozenset()
    for path, count in zip(paths, counts, strict=True):
        names = frozenset(read_subset(path, official))
        check_full_segments(path, names, recordings)
        if not before <= names:
            raise UserError(f"{path}: lacks clips of the previous list")
        if len(names) != count:
            raise UserError(f"{path}: lists {len(names)} clips, {count} were published")
        before = names
