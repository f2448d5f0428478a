"""2: mel cache -> teacher weights, one training a seed and fold; then its specialists."""

import argparse

from config import Config, command_line, run_script


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.table import show
    from training.distributed import processes, rank
    from training.ensembles import combine
    from training.experiment import Experiment
    from training.run_folder import write_config, write_results
    from training.specialists import train_specialists
    from training.train import Training, train

    with processes(config.run.device):
        experiment = Experiment(config, "teacher")
        write_config(config)
        for fold in experiment.folds:
            for seed in config.run.seeds:
                losses = experiment.teacher_losses
                train(experiment, Training("teacher", losses, seed, fold), arguments.overwrite)
                train_specialists(experiment, losses, seed, fold, arguments.overwrite)
                combine(experiment, seed, fold)
        if rank() == 0:
            show(write_results(config.run.name), experiment.metric)


if __name__ == "__main__":
    run_script(
        main,
        command_line(__doc__, ("--overwrite", "train again what is there with other settings")),
    )
