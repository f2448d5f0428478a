"""The official metric of DCASE 2019 and 2020 Task 5, urban sound tagging, from files.

python -m metrics.urban_sound_tagging PREDICTIONS ANNOTATIONS TAXONOMY --level coarse|fine

`precision_recall.score` computes the metric.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from config import UserError
from metrics.inputs import check
from metrics.precision_recall import SORTS, Score, score

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["coarse", "fine"]


def score_files(
    predictions: Path,
    annotations: Path,
    taxonomy: Path,
    level: Level,
    split: str = "validate",
    tie_order: str = "numpy",
) -> Score:
    """The official metrics of a submission, by the names of the categories ("1_engine").

    predictions: a CSV with the column audio_filename and one column per tag, in any order; a tag
    "X" without a column is never predicted. annotations: the truth is the rows of `split` whose
    annotator_id is 0, with the columns <tag>_presence. taxonomy: dcase-ust-taxonomy.yaml.

    Differs: any other missing column is an error, where the official script warns and uses zeros.
    The script evaluates the split validate only.
    Raises UserError for a missing file, column or split, a duplicate clip, a clip that only one of
    the tables has, a score that is not a probability and a label other than 0 and 1.
    """
    names, tags = read_taxonomy(taxonomy, level)
    presence = [f"{tag}_presence" for tag in tags]
    annotated = read_table(annotations, ["split", "annotator_id"], presence)
    verified = annotated[annotated["annotator_id"] == 0]
    truth = verified[verified["split"] == split]
    if truth.empty:
        found = ", ".join(sorted(map(str, set(verified["split"])))) or "none"
        raise UserError(
            f"{annotations}: split {split!r} has no row of annotator 0; splits that have: {found}"
        )
    optional = [tag for tag in tags if level == "fine" and "-X_" in tag]
    predicted = read_table(predictions, [], tags, optional)
    for path, table in ((predictions, predicted), (annotations, truth)):
        if table.index.has_duplicates:
            duplicate = table.index[table.index.duplicated()][0]
            raise UserError(f"{path}: clip {duplicate} is listed twice")
    verified_rows = f"{annotations} (split {split!r}, annotator 0)"
    if len(missing := truth.index.difference(predicted.index)):
        raise UserError(f"{predictions}: lacks {first_names(missing)} of {verified_rows}")
    if len(extra := predicted.index.difference(truth.index)):
        raise UserError(f"{predictions}: has {first_names(extra)} that are not in {verified_rows}")
    clips = truth.index
    scores, targets = check(
        predicted.loc[clips, tags].to_numpy(),
        truth[presence].to_numpy(),
        "multi_label",
        tags,
        list(clips),
    )
    official = score(scores, targets, tags, tie_order)
    by_name = {names.get(key, key): value for key, value in official.classwise.items()}
    return official._replace(classwise=by_name)


def first_names(clips: pd.Index) -> str:
    return f"{len(clips)} clips ({', '.join(map(str, clips[:3]))}{' ...' * (len(clips) > 3)})"


def read_taxonomy(path: Path, level: Level) -> tuple[dict[str, str], list[str]]:
    """Number -> name of the categories ("1": "1_engine"), and the tags of a level."""
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = {str(coarse): f"{coarse}_{name}" for coarse, name in tree["coarse"].items()}
        fine = [
            f"{coarse}-{key}_{name}"
            for coarse in tree["coarse"]
            for key, name in tree["fine"][coarse].items()
        ]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: expected coarse and fine tags as in dcase-ust-taxonomy.yaml ({error!r})"
        ) from None
    return names, list(names.values()) if level == "coarse" else fine


def read_table(
    path: Path, keys: Sequence[str], numbers: Sequence[str], optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Columns of a CSV by audio_filename; `numbers` as float64, 0 for a missing optional one."""
    import pandas as pd

    columns = {"audio_filename", *keys, *numbers}
    try:
        table = pd.read_csv(path, usecols=columns.__contains__, dtype={"audio_filename": str})
    except ValueError as error:
        raise UserError(f"{path}: not a readable CSV table: {error}") from None
    missing = [name for name in ("audio_filename", *keys, *numbers) if name not in table]
    if lacking := [name for name in missing if name not in optional]:
        raise UserError(f"{path}: no column {', '.join(lacking)}")
    table[missing] = 0.0
    for name in numbers:
        try:
            table[name] = table[name].astype(np.float64)
        except ValueError as error:
            raise UserError(f"{path}, column {name}: {error}") from None
    return table.set_index("audio_filename")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON object, NaN as null; exit status 1 for bad files, 2 for the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m metrics.urban_sound_tagging",
        description="The official metric of DCASE 2019 and 2020 Task 5, urban sound tagging.",
    )
    parser.add_argument("predictions", type=Path, help="CSV: audio_filename and one column per tag")
    parser.add_argument("annotations", type=Path, help="annotations.csv of SONYC-UST")
    parser.add_argument("taxonomy", type=Path, help="dcase-ust-taxonomy.yaml")
    parser.add_argument("--level", choices=("coarse", "fine"), required=True)
    parser.add_argument("--split", default="validate", help="default: validate")
    parser.add_argument(
        "--tie-order",
        choices=tuple(SORTS),
        default="numpy",
        help="of points of equal recall; numpy (default) as in the official script",
    )
    options = vars(parser.parse_args(arguments))
    try:
        official = score_files(**options)
    except (UserError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    printed = {name: options[name] for name in ("level", "split", "tie_order")} | {
        "micro_auprc": official.micro_auprc,
        "macro_auprc": null_if_nan(official.macro_auprc),
        "micro_f1": official.micro_f1,
        "classwise": {name: null_if_nan(value) for name, value in official.classwise.items()},
    }
    print(json.dumps(printed, indent=2))
    return 0


def null_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    sys.exit(main())
