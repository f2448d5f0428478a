"""`python -m training.logits SOURCE OUT`: write a teacher's logits to a file."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from config import ConfigError, UserError, add_config_of_models, models_of


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.logits",
        description="Write a teacher's logits to a file that is keyed by the ids of the clips: it "
        "can be a member of [ensembles], from which students are distilled.",
        epilog="Run it in the working folder of the training, where features/ is.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "source",
        type=Path,
        help="trainings, such as runs/NAME/teacher or runs/NAME/student/ce+kd/seed_0/fold_1, or a "
        "published array of clips x classes, .npy or .pt",
    )
    parser.add_argument(
        "out", type=Path, help="a .safetensors file, or a folder for the files of several trainings"
    )
    parser.add_argument(
        "--clips",
        type=Path,
        metavar="LIST",
        help="for a published array: the clip of each row, one per line, or a .csv with filename",
    )
    parser.add_argument(
        "--classes", type=Path, metavar="LIST", help="the class of each column, one per line"
    )
    parser.add_argument(
        "--strip",
        default="",
        metavar="TEXT",
        help="remove this prefix from the names of clips, such as audio/",
    )
    add_config_of_models(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(arguments)
    try:
        if given.source.is_dir():
            export(given)
        else:
            convert(given)
    except (UserError, OSError) as error:
        if given.debug:
            traceback.print_exc()
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return 0


def export(given: argparse.Namespace) -> None:
    """Every training at or below SOURCE."""
    if given.clips or given.classes or given.strip:
        raise ConfigError(
            "--clips, --classes, --strip",
            f"belong to a published array, but {given.source} is a run",
        )
    from training.device import choose_device, feature_memory_gb
    from training.logits.of_training import logits_of_training, read_run
    from training.logits.table import EXPORTED, FILE
    from training.run_folder import WEIGHTS

    here = [given.source] if (given.source / WEIGHTS).exists() else []
    trainings = here or sorted(
        path.parent for path in given.source.glob(f"seed_*/fold_*/{WEIGHTS}")
    )
    if not trainings:
        raise UserError(f"{given.source}: contains no finished training")
    one_file = given.out.suffix == FILE
    if one_file and len(trainings) > 1:
        raise ConfigError("out", f"found a file, but there are {len(trainings)} trainings")
    for folder in trainings:
        run = read_run(folder)[1].run
        device = choose_device(run.device)
        limits = feature_memory_gb(run.feature_memory_gb, device), run.teacher_cache_gb
        logits = logits_of_training(folder, device, *limits, models_of(given.config))
        part = Path(folder.parent.name, folder.name, EXPORTED)
        logits.write(given.out if one_file else given.out / part)
        print(f"{given.out if one_file else given.out / part}: {len(logits.ids)} clips")


def convert(given: argparse.Namespace) -> None:
    if not (given.clips and given.classes):
        raise ConfigError(
            "--clips, --classes", f"both are required for the published array {given.source}"
        )
    from training.logits.published import read_published
    from training.logits.table import FILE

    if given.out.suffix != FILE:
        raise ConfigError("out", f"found {given.out}, expected a {FILE} file")
    logits = read_published(given.source, given.clips, given.classes, given.strip)
    logits.write(given.out)
    print(f"{given.out}: {len(logits.ids)} clips")


if __name__ == "__main__":
    sys.exit(main())
