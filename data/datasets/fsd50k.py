"""FSD50K: sounds of Freesound, tagged by people with 200 classes of the AudioSet ontology."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from config import Task, UserError
from data.tables.clips import Clip, ClipTable, first_of, read_csv

CLASSES = 200
VOCABULARY_MD5 = "7cca9b16243da7d70249f317affe3251"  # of its rows, without a last line break
SPLITS = {"train": "train", "val": "validate"}
PARTS = ("dev", "eval")
EXTRAS = {"licence": "license", "uploader": "uploader"}
PUBLISHED = {
    "dev clips": 40_966,
    "dev labels": 114_271,
    "eval clips": 10_231,
    "eval labels": 38_596,
}

URL = "https://zenodo.org/records/4060432/files/{name}?download=1"
FILES = (
    ("dev_audio.z01", 3_221_225_472, "faa7cf4cc076fc34a44a479a5ed862a3"),
    ("dev_audio.z02", 3_221_225_472, "8f9b66153e68571164fb1315d00bc7bc"),
    ("dev_audio.z03", 3_221_225_472, "1196ef47d267a993d30fa98af54b7159"),
    ("dev_audio.z04", 3_221_225_472, "d088ac4e11ba53daf9f7574c11cccac9"),
    ("dev_audio.z05", 3_221_225_472, "81356521aa159accd3c35de22da28c7f"),
    ("dev_audio.zip", 2_306_663_327, "c480d119b8f7a7e32fdb58f3ea4d6c5a"),
    ("eval_audio.z01", 3_221_225_472, "3090670eaeecc013ca1ff84fe4442aeb"),
    ("eval_audio.zip", 3_037_675_767, "6fa47636c3a3ad5c7dfeba99f2637982"),
    ("ground_truth.zip", 334_701, "ca27382c195e37d2269c4c866dd73485"),
    ("metadata.zip", 6_700_838, "b9ea0c829a411c1d42adb9da539ed237"),
    ("doc.zip", 6_984, "3516162b82dc2945d3e7feba0904e800"),
)
"""The end of each file's name, its bytes, its md5."""


class Fsd50k:
    """51 197 clips of 0.3 to 30 s with any of 200 tags, in the published split.

    dev.csv lists the training (train) and validation clips (val, here validate), eval.csv the test
    clips. No uploader is in both files, so no clip has a group. Labels are as published: a tag
    implies its ancestors in the ontology. A clip is cut or padded to CLIP_SECONDS from its
    beginning; [augment] CROP_SECONDS trains on random crops of that.

    Where FSD50K.metadata is present, each clip has its licence and its uploader, whom most licences
    require to be named, as extras.

    Source: Fonseca et al., IEEE/ACM TASLP 30, 2022, arXiv:2010.00475; zenodo.org/records/4060432.
    Licence: CC BY 4.0 as a collection; each clip CC0, BY, BY-NC or Sampling+.
    Layout: FSD50K.ground_truth, FSD50K.dev_audio, FSD50K.eval_audio and, optionally,
    FSD50K.metadata in the root.
    """

    task: Task = "multi_label"
    metric = "mean_average_precision"
    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "51197 of 0.3 to 30 s"
    labels_summary = "200 tags"
    how_to_get = "python make_mel.py --download (24.7 GB)"
    licence = "FSD50K (Fonseca et al.), CC BY 4.0; each clip its own, some of them non-commercial"

    def table(self, root: Path) -> ClipTable:
        self.find(root)
        vocabulary = read_vocabulary(root / "FSD50K.ground_truth/vocabulary.csv")
        return ClipTable.of(
            (clip for part in PARTS for clip in read_clips(root, part, vocabulary)),
            list(vocabulary),
            self.task,
        )

    def sources(self, root: Path) -> list[Path]:
        return [root / f"FSD50K.ground_truth/{name}.csv" for name in (*PARTS, "vocabulary")]

    def find(self, root: Path) -> None:
        """Raises UserError that names missing files."""
        wanted = [f"FSD50K.ground_truth/{name}.csv" for name in (*PARTS, "vocabulary")]
        wanted += [f"FSD50K.{part}_audio" for part in PARTS]
        if missing := [name for name in wanted if not (root / name).exists()]:
            raise UserError(
                f"{root}: no {', no '.join(missing)}; run make_mel.py with --download, which also "
                "unpacks archives that lie there, or set data.root to the folder of "
                "FSD50K.ground_truth"
            )

    def download(self, root: Path) -> None:
        """Fetch all 24.7 GB, unpack and check them in `root`. Raises UserError."""
        from data.download import Archive, download

        download(
            [
                Archive(f"FSD50K.{end}", (URL.format(name=f"FSD50K.{end}"),), size, md5)
                for end, size, md5 in FILES
            ],
            root,
        )
        self.check_complete(root)

    def check_complete(self, root: Path) -> None:
        """UserError unless `root` holds every recording, and as many labels as published."""
        table = self.table(root)
        is_eval = table.columns["split"][:] == "test"
        labels = table.targets[:].sum(axis=1)
        found: dict[str, int] = {}
        for part, rows in (("dev", ~is_eval), ("eval", is_eval)):
            there = {entry.name for entry in os.scandir(root / f"FSD50K.{part}_audio")}
            names = set(table.ids[rows])
            if missing := sorted(names - there):
                raise UserError(
                    f"{root / f'FSD50K.{part}_audio'}: recordings that are missing: "
                    f"{len(missing)} of {len(names)}{first_of(missing)}"
                )
            found |= {f"{part} clips": len(names), f"{part} labels": int(labels[rows].sum())}
        if found != PUBLISHED:
            raise UserError(f"{root}: found {found}, but FSD50K has {PUBLISHED}")


def read_vocabulary(path: Path) -> dict[str, str]:
    """Class -> its mid, in the official order. Raises UserError for any other vocabulary."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if wrong := next((row for row in rows if len(row) != 3), None):
        raise UserError(f"{path}: found the row {','.join(wrong)!r}, expected index,label,mid")
    text = "\n".join(map(",".join, rows))
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    if md5 != VOCABULARY_MD5:
        raise UserError(
            f"{path}: is not the vocabulary of FSD50K: it has {len(rows)} classes (expected "
            f"{CLASSES}) and, without line breaks at its end, the md5 {md5} "
            f"(expected {VOCABULARY_MD5})"
        )
    return {label: mid for _, label, mid in rows}


def read_clips(root: Path, part: str, vocabulary: Mapping[str, str]) -> Iterator[Clip]:
    """The clips of dev.csv or eval.csv. Raises UserError that counts what is wrong, by kind."""
    path = root / f"FSD50K.ground_truth/{part}.csv"
    columns = ("fname", "labels", "mids", "split")[: 4 if part == "dev" else 3]
    rows = read_csv(path, columns)
    check_rows(path, rows, vocabulary)
    known = read_metadata(root / f"FSD50K.metadata/{part}_clips_info_FSD50K.json")
    for _, row in rows:
        name, info = f"{row['fname']}.wav", known.get(row["fname"], {})
        yield Clip(
            id=name,
            path=root / f"FSD50K.{part}_audio" / name,
            labels=dict.fromkeys(row["labels"].split(","), 1.0),
            split=SPLITS[row["split"]] if part == "dev" else "test",
            extras={ours: info[theirs] for ours, theirs in EXTRAS.items() if theirs in info},
        )


def check_rows(
    path: Path, rows: Iterable[tuple[int, dict[str, str]]], vocabulary: Mapping[str, str]
) -> None:
    """UserError that names each kind of fault, how many rows have it and the first of them."""
    faults: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        for kind, found in faults_of(row, vocabulary):
            faults.setdefault(kind, []).append(f"line {line}: {found}")
        if lines.setdefault(row["fname"], line) != line:
            again = f"line {line}: {row['fname']}, also in line {lines[row['fname']]}"
            faults.setdefault("clips that are listed twice", []).append(again)
    if faults:
        listed = (f"\n{kind}: {len(found)}{first_of(found)}" for kind, found in faults.items())
        raise UserError(f"{path}: not the table of FSD50K{''.join(listed)}")


def faults_of(row: Mapping[str, str], vocabulary: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(kind of fault, what was found) of a row."""
    labels, mids = row["labels"].split(","), row["mids"].split(",")
    if not row["fname"].isdecimal():
        yield "names that are no number of Freesound", repr(row["fname"])
    if unknown := [label for label in labels if label not in vocabulary]:
        yield "labels outside the vocabulary", ", ".join(map(repr, unknown))
    elif len(labels) != len(mids):
        yield "not one mid per label", f"{len(labels)} labels, {len(mids)} mids"
    elif other := [f"{a} is {b}" for a, b in zip(labels, mids, strict=True) if vocabulary[a] != b]:
        yield "mids other than the vocabulary's", ", ".join(other)
    if row.get("split", "val") not in SPLITS:
        yield "splits other than train and val", repr(row["split"])


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Number of a clip -> its metadata; empty where the file is missing."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
