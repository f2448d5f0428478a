"""2: mel cache -> teacher weights, one training per seed and fold; then its specialists."""

import argparse

from config import Config, next_command, run_script, script_parser


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.table import show
    from training.distributed import processes, rank
    from training.dry_run import print_plan
    from training.log import logged
    from training.run_folder import write_results
    from training.stages import train_teachers

    with processes(config.run.device):
        if arguments.dry_run:
            print_plan(config, "teacher")
            return
        with logged(config.run.name):
            experiment = train_teachers(config, arguments.overwrite)
            if rank() == 0:
                show(write_results(config.run.name), experiment.metric)
                print(next_command("train_student.py", arguments))


if __name__ == "__main__":
    run_script(
        main,
        script_parser(
            __doc__,
            ("--overwrite", "train everything again, also what is finished"),
            ("--dry-run", "print the trainings, the models and what is missing; train nothing"),
        ),
    )
