"""How large the gradient of each loss is beside that of kd, in a training of a configuration.

Its first student is trained with ce + kd for some epochs. In each step of the last one the gradient
of every loss of VARIANTS is computed with respect to the weights of the student. The table has the
mean norm of each over that of kd, and the coefficient that makes both equal. Adapters are trained
from the start. No score is computed, and no test clip is used.

    python -m benchmarks.loss_scales --config recipes/losses_esc10.ini \\
        --set "distillation.variants=ce+kd+sp+at+rkd"
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from config import load
from losses.mix import names_of
from training.builders import new_model
from training.experiment import Experiment
from training.inputs import build_batches, build_replay
from training.optimisers import build_optimiser
from training.preparation import open_folds
from training.role import STUDENT
from training.steps import Step, build_losses, total
from training.teachers import build_teachers

TRAINED_BY = ("ce", "kd")


def norm(gradients: tuple[Tensor | None, ...]) -> float:
    return torch.stack([g.norm() for g in gradients if g is not None]).norm().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    experiment = Experiment.open(load(arguments.config, arguments.set), "teacher", "student")
    config, settings = experiment.config, experiment.config.student
    fold, seed = open_folds(experiment)[0], config.run.seeds[0]
    named = (name for variant in config.distillation.variants for name in names_of(variant))
    names = list(dict.fromkeys((*TRAINED_BY, *named)))
    variant = "+".join(names)
    replay = build_replay(fold, seed)
    teachers = build_teachers(fold, seed, variant, replay, lambda model: model)
    model = new_model(fold, STUDENT, seed)
    losses = build_losses(variant, experiment.table.task, settings, config)
    batches = build_batches(fold, STUDENT, seed, ("student",), replay)
    step = Step(model, "student", losses, {}, tuple(teachers))
    step.build(model, batches, fold.split.train, seed)
    weights, adapters = list(model.parameters()), step.parameters()
    optimiser = build_optimiser(model, settings, experiment.device, adapters)
    norms = defaultdict(list)
    model.train()
    for epoch in range(arguments.epochs):
        for batch in batches.epoch(epoch):
            terms = step(batch)
            if epoch == arguments.epochs - 1:
                for name in names:
                    found = torch.autograd.grad(
                        terms[name], weights, retain_graph=True, allow_unused=True
                    )
                    norms[name].append(norm(found))
            optimiser.zero_grad(set_to_none=True)
            if adapters:
                terms["loss"].backward(inputs=adapters, retain_graph=True)
            total(terms[name] for name in TRAINED_BY).backward(inputs=weights)
            optimiser.step()
    mean = {name: sum(found) / len(found) for name, found in norms.items()}
    print("| loss | gradient over that of kd | coefficient |\n| --- | ---: | ---: |")
    for name, value in sorted(mean.items()):
        print(f"| {name} | {value / mean['kd']:.3g} | {mean['kd'] / value:.1g} |")


if __name__ == "__main__":
    main()
