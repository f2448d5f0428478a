"""3: mel cache and teacher -> students, one per variant of the losses, and the table of both.

With --study: the same for each setting of the keys that [study] names, and the table of all.
"""

import argparse
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from config import Config, ConfigError, UserError, load, next_command, run_script, script_parser


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.run import with_teachers
    from report.table import show
    from training.distributed import processes, rank
    from training.dry_run import print_plan
    from training.log import logged
    from training.run_folder import RUNS, write_results
    from training.stages import train_students

    with processes(config.run.device):
        if arguments.study:
            study(arguments, config)
            return
        if arguments.dry_run:
            print_plan(config, "student")
            return
        with logged(config.run.name):
            experiment = train_students(config, arguments.overwrite)
            if rank() == 0:
                results = with_teachers(write_results(config.run.name), config, RUNS)
                show(results, experiment.metric, experiment.config.distillation.variants)
                show_page(RUNS / config.run.name, config.models())
                print(next_command("export_student.py", arguments))


def study(arguments: argparse.Namespace, config: Config) -> None:
    """Train the trials that are due, unless --dry-run, and print the table of all."""
    from report.choice import mean_of_all, validation_scores
    from report.study import write_study
    from report.study_systems import TrialResults
    from training.distributed import world
    from training.run_folder import RUNS
    from training.study import StudyRun

    if world() > 1:
        found = "is not for torchrun: start it once per device, the processes share the trials"
        raise ConfigError("--study", found)
    run = StudyRun(
        base=config,
        load=lambda overrides: load(arguments.config, [*arguments.set, *overrides]),
        score=lambda trial: max(
            mean_of_all(validation_scores(RUNS / trial.run.name / "student" / variant))
            for variant in trial.distillation.variants
        ),
    )
    if not arguments.dry_run:
        run.train(arguments.overwrite, arguments.retry)
    trials = [
        TrialResults(*one.trial, one.state, one.error, RUNS / one.run, one.variants)
        for one in run.outcomes()
    ]
    compare = not arguments.dry_run  # which takes a while
    folder, method = RUNS / config.run.name, config.study.method
    print(write_study(folder, trials, run.metric, method, compare))


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
            ("--study", "train all trials of [study], those that no other process trains"),
            ("--retry", "with --study: failed trials too"),
            ("--overwrite", "train everything again, also what is finished"),
            ("--dry-run", "print the trainings, the models and what is missing; train nothing"),
        ),
    )
