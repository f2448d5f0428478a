"""Every teacher with every student: a run for each model alone, each pair and each chain.

Finished trainings are not repeated. The gains are written to runs/NAME/matrix.csv and matrix.svg.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from config import Config, ConfigError, Matrix, RoleSettings, links, load, run_script, script_parser
from config.pretrained import PRETRAINED

Section = TypeVar("Section", bound=RoleSettings)


def main(arguments: argparse.Namespace, config: Config) -> None:
    from report.matrix import write_matrix
    from training.distributed import processes, rank
    from training.dry_run import count_trainings, print_plan
    from training.log import logged
    from training.run_folder import RUNS, write_results
    from training.stages import train_students, train_teachers

    if not config.matrix.options:
        raise ConfigError("[matrix]", "names no models, such as CNN = MODEL=efficientnet")
    variant = variant_of(config)
    runs = {path: settings_of(path, config, variant, arguments) for path in paths(config.matrix)}
    trained = {path: ("teacher", "student")[: len(path)] for path in runs}
    counter = count_trainings([(settings, trained[path]) for path, settings in runs.items()])
    with processes(config.run.device):
        for path, settings in runs.items():
            if rank() == 0:
                print(f"{' > '.join(path)}: {RUNS / settings.run.name}", flush=True)
            if arguments.dry_run:
                print_plan(settings, *trained[path], counter=counter)
                continue
            with logged(settings.run.name):
                train_teachers(settings, arguments.overwrite, counter)
                if len(path) > 1:
                    train_students(settings, arguments.overwrite, counter)
                if rank() == 0:
                    write_results(settings.run.name)
        if rank() == 0 and not arguments.dry_run:
            folders = {path: RUNS / settings.run.name for path, settings in runs.items()}
            print(write_matrix(RUNS / config.run.name, folders, variant))


def paths(matrix: Matrix) -> list[tuple[str, ...]]:
    """(model,) alone, (teacher, student), and chains: each after the runs that it depends on."""
    names = list(matrix.options)
    students = matrix.students or names
    found: list[tuple[str, ...]] = [
        (teacher, student) for teacher in matrix.teachers or names for student in students
    ]
    found += [(student,) for student in students] + [links(chain) for chain in matrix.chains]
    found += [path[n:] for path in found for n in range(len(path))]  # each alone, to compare
    beginnings = {path[: n + 1] for path in found for n in range(len(path))}
    return sorted(beginnings, key=lambda path: (len(path), *map(names.index, path)))


def variant_of(config: Config) -> str:
    """The one variant that students are trained with. Raises ConfigError."""
    from losses.mix import VARIANTS, uses_teacher

    variants = config.distillation.variants
    if len(variants) != 1 or not uses_teacher(variants[0]):
        found = ", ".join(variants) or "none"
        expected = f"found {found}; a matrix takes exactly one, which requires a teacher"
        raise ConfigError(VARIANTS, expected)
    return variants[0]


def settings_of(
    path: Sequence[str], config: Config, variant: str, arguments: argparse.Namespace
) -> Config:
    """The run in which the last model of `path` is distilled from the one before it, or trained on
    labels only.

    The teacher is the last model of an earlier run as it was trained there: whatever its own INIT
    and classifier, it is loaded with all weights and not trained further.
    """
    *earlier, last = path
    models = {"teacher": earlier[-1], "student": last} if earlier else {"teacher": last}
    words = [word for role, name in models.items() for word in config.matrix.overrides(name, role)]
    words += arguments.set
    settings = load(arguments.config, [*words, f"run.name={run_name(config, path)}"])
    teacher = with_own_options(settings.teacher, "teacher", words)
    if not earlier:
        return replace(settings, teacher=teacher)
    trained = f"student/{variant}" if len(earlier) > 1 else "teacher"
    teacher = replace(
        teacher,
        init=f"runs/{run_name(config, earlier)}/{trained}",
        load_classifier=True,
        epochs=0,
        align_epochs=0,
        head_fit="gradient",
        head_c=RoleSettings().head_c,
    )
    student = with_own_options(settings.student, "student", words)
    return replace(settings, teacher=teacher, student=student)


def with_own_options(section: Section, role: str, words: Sequence[str]) -> Section:
    """The role's section with the options of its model alone: those that its INIT brings, and those
    of `words`.
    """
    named = PRETRAINED.get(section.init)
    brought = {**named.options, **named.classifier_options} if named else {}
    own = {word.partition("=")[0].strip().lower() for word in words}
    own |= {f"{role}.{key}" for key in brought}
    options = {key: text for key, text in section.options.items() if f"{role}.{key}" in own}
    return replace(section, options=options)


def run_name(config: Config, path: Sequence[str]) -> str:
    return "-".join([config.run.name, *path])


if __name__ == "__main__":
    run_script(
        main,
        script_parser(
            "Train a matrix of teachers and students, and compare what each student gains.",
            ("--overwrite", "train everything again, also what is finished"),
            ("--dry-run", "print the trainings, the models and what is missing; train nothing"),
        ),
    )
