"""`python -m deploy.submission`: a submission to DCASE 2024 Task 1, one folder per split."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import UserError, add_config_of_models, missing_package, models_of

if TYPE_CHECKING:
    import numpy as np

    from data.tables.clips import ClipTable

BYTES = {"float32": 4, "float16": 2}  # per parameter


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.submission",
        description="Write split_5/, split_10/ and so on: output.csv (the predictions of a student "
        "for the evaluation set), info.json (its size and scores) and weights.safetensors.",
        epilog="The split is [data] TRAIN_PERCENT of the training.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "trainings",
        nargs="+",
        type=Path,
        metavar="TRAINING",
        help="a finished training per split, runs/NAME/student/VARIANT/seed_S/fold_F",
    )
    parser.add_argument(
        "--evaluation",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the evaluation set, with evaluation_setup/fold1_test.csv and audio/",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("submission"), metavar="FOLDER", help="default: submission"
    )
    parser.add_argument(
        "--precision", choices=BYTES, default="float16", help="of the weights; default: float16"
    )
    add_config_of_models(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(arguments)
    try:
        from data.datasets.tau_scenes import evaluation_clips

        splits = read_splits(given.trainings)
        clips = evaluation_clips(given.evaluation)
        for split, training in splits.items():
            folder = given.out / f"split_{split}"
            print(submit(training, split, clips, given.precision, folder, models_of(given.config)))
    except (UserError, OSError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError):
            error = missing_package(error)
        if given.debug:
            traceback.print_exc()
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return 0


def read_splits(trainings: Sequence[Path]) -> dict[str, Path]:
    """Split, such as 25 -> folder of the training. Raises UserError."""
    found: dict[str, Path] = {}
    for training in trainings:
        split = read_metrics(training)["settings"].get("data.train_percent", "100")
        if split in found:
            raise UserError(f"{training}: trained on {split} % of the clips, like {found[split]}")
        found[split] = training
    return found


def read_metrics(training: Path) -> dict[str, Any]:
    """Raises UserError for a folder without a finished training, such as that of an ensemble, and
    for a damaged one.
    """
    from data.checksums import read_finished

    if not all((training / name).is_file() for name in ("weights.safetensors", "metrics.json")):
        raise UserError(
            f"{training}: no finished training; expected runs/NAME/student/VARIANT/seed_S/fold_F"
        )
    return read_finished(training / "metrics.json", f"remove {training} and train it again")


def submit(
    training: Path,
    split: str,
    clips: ClipTable,
    precision: str,
    folder: Path,
    own: Collection[str] = (),
) -> str:
    """Write the three files of a split, and return a summary line; `own` as in `read_model`. Raises
    UserError.

    The predictions are computed in float32, with weights rounded to `precision`. The scores in
    info.json are those of the training, before rounding.
    """
    import torch
    from safetensors.torch import save

    from data.atomic_write import write
    from deploy.full_model import FullModel
    from deploy.verification import EAGER, all_logits, probabilities, recordings
    from models.cost import cost
    from models.stored import read_model

    model, described = read_model(training / "weights.safetensors", own)
    if described.task != "single_label":
        raise UserError(f"{training}: is a multi-label model; expected a single-label student")
    model = model.to(getattr(torch, precision))
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    stored = save(weights, described.header())
    model = model.float()
    batches = recordings(clips, described.front_end, described.clip_seconds)
    logits = all_logits(FullModel(model, described), {}, batches)[EAGER]
    output = output_csv(clips.ids[:], probabilities(logits, described.task), described.classes)
    size, metrics = cost(model, described.input_shape), read_metrics(training)
    info = {
        "split": split,
        "training": training.as_posix(),
        "model": described.model,
        "precision": precision,
        "parameters": size.parameters,
        "parameter_bytes": size.parameters * BYTES[precision],
        "macs": size.macs,
        metrics["split"]: metrics["figures"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "weights.safetensors", stored)
    write(folder / "output.csv", output)
    write(folder / "info.json", json.dumps(info, indent=1))
    return (
        f"{folder}: {len(clips)} clips; {size.parameters:,} parameters in "
        f"{info['parameter_bytes']:,} bytes, {size.macs:,} multiply-accumulates per clip"
    )


def output_csv(ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> str:
    """Separated by tabs: filename, scene_label and the probability of each class.

    Source: the output.csv of DCASE 2024 Task 1's baseline.
    """
    import pandas as pd

    table = pd.DataFrame(probabilities, columns=list(classes))
    best = [classes[place] for place in probabilities.argmax(axis=1)]
    table.insert(0, "filename", ids)
    table.insert(1, "scene_label", best)
    return table.to_csv(sep="\t", index=False, lineterminator="\n")


if __name__ == "__main__":
    sys.exit(main())
