"""3: mel cache and teacher -> students, one variant a loss mix, and the table of both."""

import argparse

from config import Config, command_line, run_script


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.table import show
    from training.distributed import processes, rank
    from training.experiment import Experiment
    from training.run_folder import write_config, write_results
    from training.train import Training, train

    with processes(config.run.device):
        experiment = Experiment(config, "teacher", "student")
        write_config(config)
        for fold in experiment.folds:
            for seed in config.run.seeds:
                for variant in config.distillation.variants:
                    train(experiment, Training("student", variant, seed, fold), arguments.overwrite)
        if rank() == 0:
            show(write_results(config.run.name), experiment.metric)


if __name__ == "__main__":
    run_script(
        main,
        command_line(__doc__, ("--overwrite", "train again what is there with other settings")),
    )
