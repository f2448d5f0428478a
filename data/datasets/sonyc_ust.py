"""SONYC-UST: the streets of New York, tagged by volunteers and partly verified by experts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml

from config import Task, UserError
from data.tables.clips import Clip, ClipTable

ANNOTATIONS = ("annotations.csv", "annotations-dev.csv")
TAXONOMY = "dcase-ust-taxonomy.yaml"
SPLITS = ("train", "validate", "test")

Taxonomy = Mapping[str, tuple[str, ...]]
"""Coarse class -> its fine classes, both as the stems of their columns ("1_engine")."""


class SonycUst:
    """Recordings of 10 s with 8 coarse or 29 fine tags; train and validate share no sensor.

    The group of a clip is its sensor. In v2 the test clips are later recordings, also of sensors of
    training: their groups are others.

    Options:
        version: the release that `download` fetches. In v1 every validate and test clip has a
            verified row; in v2 those without one are left out, as its official evaluation does.
        level: coarse classes, or fine ones with the six "X" (present, kind unknown) among them.
        labels: how the volunteers' rows of a training clip become its targets: marked by one
            (union), by more than half (majority), the share that marked it (mean), or not at all
            (verified: only training clips with a verified row are kept). A verified row always
            takes precedence. Rows of single members of the SONYC team are never used, and -1
            (not labelled in this row) counts neither for nor against a tag.
        coarse: recomputed as the maximum of the fine targets, or made from the columns as shipped.
            Files before release 0.4 mark machinery-impact wherever non-machinery-impact is marked.
            With recomputed, two volunteers who mark two kinds of engine make no majority for
            engine.
        drop_spam: leave out volunteers' rows in which every fine tag is present.

    Source: Cartwright et al., DCASE 2019 and 2020, task 5; zenodo.org/records/3233082 (v1) and
    3966543 (v2). Licence: CC BY 4.0.
    Layout: annotations.csv (or annotations-dev.csv), dcase-ust-taxonomy.yaml and the recordings, in
    any folders below the root.
    """

    task: Task = "multi_label"
    metric = "micro_auprc"
    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "2794 (VERSION = v1) or 18510 (v2) of 10 s"
    labels_summary = "8 coarse or 29 fine tags"
    how_to_get = "python make_mel.py --download (v2: 13.3 GB)"
    licence = "SONYC-UST, CC BY 4.0"

    def __init__(
        self,
        *,
        version: Literal["v1", "v2"] = "v1",
        level: Literal["coarse", "fine"] = "coarse",
        labels: Literal["union", "majority", "mean", "verified"] = "union",
        coarse: Literal["recomputed", "shipped"] = "recomputed",
        drop_spam: bool = False,
    ) -> None:
        self.version, self.level, self.labels = version, level, labels
        self.coarse, self.drop_spam = coarse, drop_spam

    def table(self, root: Path) -> ClipTable:
        files = files_below(root)
        annotations = the_one(root, files, ANNOTATIONS)
        taxonomy = read_taxonomy(the_one(root, files, (TAXONOMY,)))
        rows = read_annotations(annotations, taxonomy)
        deciding = rows[self.decides(annotations, rows, taxonomy)].set_index("audio_filename")
        targets = self.targets(deciding, taxonomy)
        if self.level == "coarse":
            warn_of_coarse_columns(annotations, rows, taxonomy, self.coarse)
        clips = deciding[~deciding.index.duplicated()].loc[targets.index]
        paths = self.locate(annotations.parent, files, clips["split"])
        known = clips.columns.intersection(["sensor_id", "borough"])
        later = " test" if self.version == "v2" else ""
        extras = [dict(zip(known, row, strict=True)) for row in clips[known].to_numpy().tolist()]
        classes, values = targets.columns.tolist(), targets.to_numpy()
        columns = zip(clips.index, clips["split"], paths, values, extras, strict=True)
        return ClipTable.of(
            (
                Clip(
                    id=name,
                    path=path,
                    labels={classes[k]: float(target[k]) for k in np.flatnonzero(target)},
                    split=split,
                    group=extra["sensor_id"] + (later if split == "test" else ""),
                    extras=extra,
                )
                for name, split, path, target, extra in columns
            ),
            classes,
            self.task,
        )

    def sources(self, root: Path) -> list[Path]:
        files = files_below(root)
        return [the_one(root, files, ANNOTATIONS), the_one(root, files, (TAXONOMY,))]

    def decides(self, path: Path, rows: pd.DataFrame, taxonomy: Taxonomy) -> pd.Series:
        """Which rows become labels: a clip's verified one, else a training clip's volunteers."""
        names, train = rows["audio_filename"], rows["split"] == "train"
        verified, volunteer = rows["annotator_id"] == 0, rows["annotator_id"] > 0
        if twice := sorted(names[verified & names.where(verified).duplicated()]):
            raise UserError(f"{path}: clip {twice[0]} has several verified rows (annotator_id 0)")
        has_verified = names.isin(names[verified])
        if self.version == "v1" and (lacking := sorted(names[~train & ~has_verified])):
            raise UserError(
                f"{path}: clip {lacking[0]} is not for training and has no verified row "
                "(annotator_id 0); only version v2 leaves such clips out"
            )
        if self.labels == "verified":
            if train.any() and not (train & verified).any():
                raise UserError(
                    f"{path}: no training clip has a verified row, which labels = verified requires"
                )
            return verified
        if self.drop_spam:
            volunteer &= ~(rows[list(chain(*taxonomy.values()))] == 1).all(axis=1)
        chosen = verified | (volunteer & train & ~has_verified)
        if left_out := names.nunique() - names[chosen].nunique():
            warnings.warn(
                f"{path}: clips left out because no usable row labels them: {left_out}",
                stacklevel=3,
            )
        return chosen

    def targets(self, deciding: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
        """One row per clip and one column per class, from the deciding rows."""
        if self.level == "coarse" and self.coarse == "shipped":
            return aggregate(deciding[list(taxonomy)], self.labels)
        fine = aggregate(deciding[list(chain(*taxonomy.values()))], self.labels)
        if self.level == "fine":
            return fine
        return pd.DataFrame(
            {name: fine[list(kinds)].max(axis=1) for name, kinds in taxonomy.items()}
        )

    def locate(
        self, folder: Path, files: Mapping[str, list[Path]], splits: pd.Series
    ) -> list[Path]:
        """The (expected) path of each clip: v1 has one folder per split, v2 one for all."""
        paths = []
        for name, split in zip(splits.index, splits, strict=True):
            default = folder / (split if self.version == "v1" else "audio") / name
            paths.append(the_one(folder, files, (name,)) if name in files else default)
        return paths

    def download(self, root: Path) -> None:
        """Fetch the recordings, annotations and taxonomy: about 13.3 GB for v2.

        The archives are unpacked in `root`, which is then checked. Raises UserError.
        """
        from data.download import Archive, download, zenodo_record

        other = root / ANNOTATIONS[0 if self.version == "v1" else 1]
        if other.exists():
            raise UserError(
                f"{other} is not of version {self.version}; give each version its own data.root"
            )
        if self.version == "v1":
            archives = zenodo_record(3233082, V1_FILES, root)
        else:
            archives = tuple(
                Archive(name, (V2_URL.format(name),), md5=md5) for name, md5 in V2_MD5.items()
            )
        download(archives, root)
        self.check_complete(root)

    def check_complete(self, root: Path) -> None:
        """UserError unless `root` contains the full published set."""
        files = files_below(root)
        taxonomy = read_taxonomy(the_one(root, files, (TAXONOMY,)))
        rows = read_annotations(the_one(root, files, ANNOTATIONS), taxonomy)
        clips = rows.drop_duplicates("audio_filename")
        found = clips["split"].value_counts().to_dict()
        found["verified"] = int((rows["annotator_id"] == 0).sum())
        found["recordings"] = int(clips["audio_filename"].isin(files).sum())
        found["classes"] = len(taxonomy) + sum(map(len, taxonomy.values()))
        if found != PUBLISHED[self.version]:
            raise UserError(
                f"{root}: found {found}, but {self.version} has {PUBLISHED[self.version]}"
            )


def files_below(root: Path) -> dict[str, list[Path]]:
    """File name -> where it lies, in any folder below `root`."""
    found: dict[str, list[Path]] = {}
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            found.setdefault(name, []).append(Path(folder, name))
    return found


def the_one(root: Path, files: Mapping[str, list[Path]], names: tuple[str, ...]) -> Path:
    """The only file with one of these names. Raises UserError for none and for several."""
    paths = sorted(path for name in names for path in files.get(name, ()))
    if not paths:
        raise UserError(
            f"{root}: no {' or '.join(names)} in it; run make_mel.py with --download, "
            "or set data.root to the folder of the recordings"
        )
    if len(paths) > 1:
        raise UserError(f"{paths[0]} and {paths[1]}: keep only one of them below {root}")
    return paths[0]


def read_taxonomy(path: Path) -> Taxonomy:
    """Its classes in their official order. The keys of the file mix the numbers 1 to 4 and "X"."""
    try:
        nested = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {
            f"{number}_{name}": tuple(
                f"{number}-{kind}_{fine}" for kind, fine in nested["fine"][number].items()
            )
            for number, name in nested["coarse"].items()
        }
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: not a taxonomy of SONYC-UST (expected the maps 'coarse' and 'fine')"
        ) from None


def read_annotations(path: Path, taxonomy: Taxonomy) -> pd.DataFrame:
    """One row per clip and annotator, checked, with a column of -1, 0 and 1 for each class.

    Columns are selected by name: the further ones of v2 are ignored.
    """
    stems = [*taxonomy, *chain(*taxonomy.values())]
    wanted = ["split", "sensor_id", "audio_filename", "annotator_id"]
    wanted += [f"{stem}_presence" for stem in stems]
    try:
        rows = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            index_col=False,  # an extra comma at the end of a line moves no column
            usecols=lambda column: column in {*wanted, "borough"},
        )
    except ValueError as error:  # pandas' parser errors and undecodable text
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if missing := [column for column in wanted if column not in rows]:
        raise UserError(f"{path}: no column {missing[0]!r} ({len(missing)} missing)")

    def check(good: pd.Series, column: str, expected: str) -> None:
        if not good.all():
            row = rows.iloc[good.to_numpy().argmin()]
            raise UserError(
                f"{path}: clip {row['audio_filename']}, annotator {row['annotator_id']}: "
                f"{column} is {row[column]!r}, expected {expected}"
            )

    check(rows["split"].isin(SPLITS), "split", "train, validate or test")
    prefix = rows["audio_filename"].str.extract(r"^(\d+)_", expand=False)
    sensor = pd.to_numeric(rows["sensor_id"], errors="coerce")
    check(pd.to_numeric(prefix) == sensor, "sensor_id", "the number that the file name begins with")
    splits = rows.groupby("audio_filename")["split"].transform("first")
    check(rows["split"] == splits, "split", "one split per clip")
    annotator = pd.to_numeric(rows["annotator_id"], errors="coerce")
    check(annotator % 1 == 0, "annotator_id", "a whole number")
    presence = rows[[f"{stem}_presence" for stem in stems]].apply(pd.to_numeric, errors="coerce")
    for column in presence:
        check(presence[column].isin((-1, 0, 1)), column, "1, 0 or -1")
    presence = presence.astype(np.int8).set_axis(stems, axis=1)
    texts = rows[rows.columns.intersection(["split", "sensor_id", "audio_filename", "borough"])]
    return pd.concat([texts, annotator.rename("annotator_id"), presence], axis=1)


def warn_of_coarse_columns(path: Path, rows: pd.DataFrame, taxonomy: Taxonomy, used: str) -> None:
    """One warning that counts the rows whose coarse columns contradict their fine ones."""
    differing = {
        name: int((rows[name] != rows[list(kinds)].max(axis=1)).sum())
        for name, kinds in taxonomy.items()
    }
    if any(differing.values()):
        counts = ", ".join(f"{name} in {count} rows" for name, count in differing.items() if count)
        warnings.warn(
            f"{path}: coarse columns are not the maximum of their fine ones ({counts}); "
            f"used here: {used}",
            stacklevel=3,
        )


def aggregate(presence: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Targets in [0, 1] of each clip from its deciding rows; the index names the clip of a row.

    A value of -1 is no answer: majority and mean are taken over the rows that label the tag.
    """
    clip = presence.index
    marked = (presence == 1).groupby(clip).sum()
    labelled = (presence >= 0).groupby(clip).sum()
    if rule == "mean":
        return marked / labelled.clip(lower=1)
    if rule == "majority":
        return (2 * marked > labelled).astype(float)
    return (marked > 0).astype(float)


PUBLISHED = {
    "v1": {"train": 2351, "validate": 443, "verified": 443, "recordings": 2794, "classes": 37},
    "v2": {
        "train": 13538,
        "validate": 4308,
        "test": 664,
        "verified": 1380,
        "recordings": 18510,
        "classes": 37,
    },
}
V1_FILES = ("annotations-dev.csv", "dcase-ust-taxonomy.yaml", "audio-dev.tar.gz")
V2_URL = "https://zenodo.org/records/3966543/files/{}?download=1"
V2_MD5 = {
    "annotations.csv": "70b507b15bb4cfcce4870925302f276b",
    "dcase-ust-taxonomy.yaml": "6c1cca1c4c383a6ebb0cb71cb74fe3a9",
    "audio-0.tar.gz": "bbb4dbae7d2e58e18d24878b9ee1eb51",
    "audio-1.tar.gz": "7c369ff37ac6a1fdd8493fdffe62e0a1",
    "audio-2.tar.gz": "412241c063d7f196953d3dd1c44aeb5e",
    "audio-3.tar.gz": "d2a872392d95993a2c238d305b940812",
    "audio-4.tar.gz": "b15b0e0cb3f8584259ef0d24293a9be3",
    "audio-5.tar.gz": "de745f887067433757a2f2c8f99f99bb",
    "audio-6.tar.gz": "b0286c67468369d66336f6f5ddede31f",
    "audio-7.tar.gz": "ff300183ab7a9d3f2f74c3b730ffeb52",
    "audio-8.tar.gz": "7be76b821fa6dbe20f6b50ca440e1024",
    "audio-9.tar.gz": "959f7edfbb26eadad9865069f38aa9dd",
    "audio-10.tar.gz": "84e94de273666c537a3e6b709ee88d9b",
    "audio-11.tar.gz": "44fe1f43121a7d1178aa0cdf7477793b",
    "audio-12.tar.gz": "a7eb21011f460b5ac289f8e285e875ab",
    "audio-13.tar.gz": "27945a8b1008eec787f97213164951e6",
    "audio-14.tar.gz": "fb8c7d81c3bde3a0c86c1e55e6a85a24",
    "audio-15.tar.gz": "f6af9b65d876ef96d199b9e5f0473cb9",
    "audio-16.tar.gz": "e8337c61a90c30989d500f950fbe443a",
    "audio-17.tar.gz": "3e47e85eb4564a30fe7f442ee97ec7b9",
    "audio-18.tar.gz": "c6b2ef4d0d5b7269d465c469cdbbdc4b",
}
