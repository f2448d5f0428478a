"""ESC-50 and its subset ESC-10: environmental sounds with five published folds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from config import Task, UserError
from data.tables.clips import Clip, ClipTable, read_csv

MARKS = {"True": True, "False": False}


class Esc50:
    """2000 clips of 5 s in 50 classes; takes of one recording stay in one fold.

    Source: Piczak, ACM MM 2015, doi:10.1145/2733373.2806390. Licence: CC BY-NC 3.0; ESC-10 CC BY.
    Layout: meta/esc50.csv and audio/*, in the root or in its folder ESC-50-master. The table lists
    the recordings, which may have any format.
    """

    task: Task = "single_label"
    metric = "accuracy"
    clip_seconds = 5.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "2000 of 5 s"
    labels_summary = "50 classes, five folds"
    how_to_get = "python make_mel.py --download (647 MB)"
    licence = "ESC-50 (K. J. Piczak), CC BY-NC 3.0"
    num_classes = 50

    def table(self, root: Path) -> ClipTable:
        path = self.find(root)
        rows = read_csv(
            path, ("filename", "fold", "target", "category", "esc10", "src_file", "take")
        )
        clips = []
        names: dict[int, str] = {}
        for line, row in rows:
            check_row(f"{path} line {line}", row)
            if not self.takes(row):
                continue
            name = names.setdefault(int(row["target"]), row["category"])
            if name != row["category"]:
                raise UserError(
                    f"{path} line {line}: target {row['target']} is {row['category']!r}, "
                    f"was {name!r} before"
                )
            clips.append(
                Clip(
                    id=row["filename"],
                    path=path.parent.parent / "audio" / row["filename"],
                    labels={name: 1.0},
                    fold=int(row["fold"]),
                    group=row["src_file"],
                )
            )
        if len(names) != self.num_classes:
            raise UserError(
                f"{path}: found {len(names)} targets, expected {self.num_classes}; "
                "ESC-50 has 50 and ESC-10 has 10 (dataset = esc10)"
            )
        return ClipTable.of(clips, [names[target] for target in sorted(names)], self.task)

    def takes(self, row: dict[str, str]) -> bool:
        """Whether a row of the table belongs to this set."""
        return True

    def sources(self, root: Path) -> list[Path]:
        return [self.find(root)]

    def find(self, root: Path) -> Path:
        paths = sorted(path for path in root.glob("meta/esc50.csv"))
        paths = paths or sorted(root.glob("*/meta/esc50.csv"))
        if len(paths) != 1:
            found = " and ".join(map(str, paths)) or "none"
            raise UserError(
                f"{root}: expected one meta/esc50.csv in it or in a subfolder, found {found}; run "
                "make_mel.py with --download, or set data.root to the folder of the recordings"
            )
        return paths[0]

    def download(self, root: Path) -> None:
        """Fetch all of ESC-50 (647 MB) into `root` and check that it is complete. Raises UserError.

        GitHub packs the archive on request, so its checksum may change while its files do not.
        """
        from data.download import Archive, download

        archive = Archive(
            "ESC-50-master.zip",
            (
                "https://github.com/karolpiczak/ESC-50/archive/master.zip",
                "https://paddleaudio.bj.bcebos.com/datasets/ESC-50-master.zip",
            ),
            md5="7771e4b9d86d0945acce719c7a59305a",
            md5_is_binding=False,
        )
        download((archive,), root)
        self.check_complete(root)

    def check_complete(self, root: Path) -> None:
        """UserError unless `root` holds 40 recordings of each class, 8 of them in each fold."""
        table = self.table(root)
        labels = table.targets[:].argmax(axis=1)
        cells = Counter(zip(labels, table.frame["fold"], strict=True))
        if len(cells) != 5 * self.num_classes or set(cells.values()) != {8}:
            raise UserError(
                f"{root}: expected 8 clips of each class in each of 5 folds, found others"
            )
        missing = [path for path in table.frame["path"] if not Path(path).exists()]
        if missing:
            raise UserError(f"{root}: {len(missing)} recordings are missing, such as {missing[0]}")


class Esc10(Esc50):
    """The 400 clips of ESC-50 in 10 distinct classes, with its folds.

    Layout: as ESC-50, which may be there in full.
    """

    clips_summary = "400 of 5 s"
    labels_summary = "10 classes, five folds"
    how_to_get = "python make_mel.py --download (647 MB)"
    licence = "ESC-10 (K. J. Piczak), CC BY"
    num_classes = 10

    def takes(self, row: dict[str, str]) -> bool:
        return MARKS[row["esc10"]]


def check_row(where: str, row: dict[str, str]) -> None:
    """UserError unless the row is well formed and named {fold}-{src_file}-{take}-{target}."""
    if row["fold"] not in ("1", "2", "3", "4", "5"):
        raise UserError(f"{where}: fold is {row['fold']!r}, expected 1 to 5")
    if not row["target"].isdecimal() or int(row["target"]) > 49:
        raise UserError(f"{where}: target is {row['target']!r}, expected 0 to 49")
    if row["esc10"] not in MARKS:
        raise UserError(f"{where}: esc10 is {row['esc10']!r}, expected True or False")
    if not row["category"]:
        raise UserError(f"{where}: clip {row['filename']!r} has no category")
    stem = "-".join(row[column] for column in ("fold", "src_file", "take", "target"))
    if Path(row["filename"]).stem != stem:
        raise UserError(
            f"{where}: filename is {row['filename']!r}, expected {stem} by the other columns"
        )
