"""Models teach one another: a run for each alone, for each teacher and student, for each chain.

What is finished is not done again. The gains of all stand in runs/NAME/matrix.csv and matrix.svg.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from config import Config, ConfigError, Matrix, Role, links, load, run_script, script_parser


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.matrix import write_matrix
    from training.distributed import processes, rank
    from training.run_folder import RUNS, write_results
    from training.stages import train_students, train_teachers

    if not config.matrix.options:
        raise ConfigError("[matrix]", "names no models, such as CNN = MODEL=efficientnet")
    variant = variant_of(config)
    runs = {path: settings_of(path, config, variant, arguments) for path in paths(config.matrix)}
    with processes(config.run.device):
        for path, settings in runs.items():
            if rank() == 0:
                print(f"{' > '.join(path)}: {RUNS / settings.run.name}", flush=True)
            train_teachers(settings, arguments.overwrite)
            if len(path) > 1:
                train_students(settings, arguments.overwrite)
            if rank() == 0:
                write_results(settings.run.name)
        if rank() == 0:
            folders = {path: RUNS / settings.run.name for path, settings in runs.items()}
            print(write_matrix(RUNS / config.run.name, folders, variant))


def paths(matrix: Matrix) -> list[tuple[str, ...]]:
    """(model,) alone, (teacher, student), and longer: each after those that it goes on from."""
    names = list(matrix.options)
    students = matrix.students or names
    wanted = [(teacher, student) for teacher in matrix.teachers or names for student in students]
    wanted += [(student,) for student in students] + [links(chain) for chain in matrix.chains]
    wanted += [path[n:] for path in wanted for n in range(len(path))]  # each alone, to compare
    parts = {path[: n + 1] for path in wanted for n in range(len(path))}
    return sorted(parts, key=lambda path: (len(path), *map(names.index, path)))


def variant_of(config: Config) -> str:
    """The one loss mix that students are taught with. Raises ConfigError."""
    from losses.mix import uses_teacher

    variant, *others = config.distillation.variants
    if others or not uses_teacher(variant):
        found = ", ".join(config.distillation.variants)
        wanted = f"found {found}; a matrix wants one, which learns from a teacher"
        raise ConfigError("[distillation] variants", wanted)
    return variant


def settings_of(
    path: Sequence[str], config: Config, variant: str, arguments: argparse.Namespace
) -> Config:
    """Of the run in which the last of `path` learns from the one before it, or alone from labels.

    The teacher is the last of an earlier run, taken as it is.
    """
    *earlier, last = path
    fixed = [f"run.name={run_name(config, path)}"]
    models = {"teacher": earlier[-1], "student": last} if earlier else {"teacher": last}
    if earlier:
        role = f"student/{variant}" if len(earlier) > 1 else "teacher"
        fixed += ["teacher.epochs=0", f"teacher.init=runs/{run_name(config, earlier)}/{role}"]
    words = [word for role, name in models.items() for word in config.matrix.overrides(name, role)]
    settings = load(arguments.config, [*words, *arguments.set, *fixed])
    return replace(
        settings, **{role: only_own(settings, role, words + arguments.set) for role in models}
    )


def only_own(settings: Config, role: str, words: Sequence[str]) -> Role:
    """Without the options of another model, which the role's section may name."""
    section: Role = getattr(settings, role)
    own = {word.partition("=")[0].strip().lower() for word in words}
    options = {key: text for key, text in section.options.items() if f"{role}.{key}" in own}
    return replace(section, options=options)


def run_name(config: Config, path: Sequence[str]) -> str:
    return "-".join([config.run.name, *path])


if __name__ == "__main__":
    run_script(
        main,
        script_parser(
            "Train a matrix of teachers and students, and say what each gains from each.",
            ("--overwrite", "train again what is there with other settings"),
        ),
    )
