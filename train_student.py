"""3: mel cache and teacher -> students, one per variant of the losses, and the table of both."""

import argparse
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from config import Config, UserError, next_command, run_script, script_parser


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.table import show
    from training.commands import print_plan
    from training.distributed import processes, rank
    from training.log import logged
    from training.run_folder import RUNS, write_results
    from training.stages import train_students

    with processes(config.run.device):
        if arguments.dry_run:
            print_plan(config, "student")
            return
        with logged(config.run.name):
            experiment = train_students(config, arguments.overwrite)
            if rank() == 0:
                show(write_results(config.run.name), experiment.metric)
                show_page(RUNS / config.run.name, config.models())
                print(next_command("export_student.py", arguments))


def show_page(run: Path, own: Collection[str] = ()) -> None:
    """Write the page of the run. An error is only printed: the trainings are finished."""
    from report.page import write_page

    try:
        print(f"page: {write_page([run], own)}")
    except Exception as error:
        if not isinstance(error, (UserError, OSError, ImportError)):  # an error of this program
            traceback.print_exc()
        print(f"no page: {error}; `python -m report {run}` tries again", file=sys.stderr)


if __name__ == "__main__":
    run_script(
        main,
        script_parser(
            __doc__,
            ("--overwrite", "replace trainings that have other settings"),
            ("--dry-run", "print the trainings, the models and what is missing; train nothing"),
        ),
    )
