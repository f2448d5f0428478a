"""2: mel cache -> teacher weights, one training a seed and fold; then its specialists."""

import argparse

from config import Config, run_script, script_parser


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.table import show
    from training.distributed import processes, rank
    from training.run_folder import write_results
    from training.stages import train_teachers

    with processes(config.run.device):
        experiment = train_teachers(config, arguments.overwrite)
        if rank() == 0:
            show(write_results(config.run.name), experiment.metric)


if __name__ == "__main__":
    run_script(
        main,
        script_parser(__doc__, ("--overwrite", "train again what is there with other settings")),
    )
