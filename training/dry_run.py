"""The plan of a command, which --dry-run prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config import Config, ConfigError, UserError
from config.pretrained import PRETRAINED
from data.features.mel_cache import MelCache, cache_folder, recordings_folder
from data.tables.clips import ClipTable, Dataset
from data.tables.splits import folds_of
from models.cost import cost
from training.builders import build_architecture, init_weights
from training.checks import check_config, teacher_losses, with_variants
from training.class_map import classes_of_init, find_class_map
from training.distributed import rank
from training.loggers.chosen import check_installed
from training.missing import missing_teachers
from training.plan import Training, run_trainings
from training.progress import Counter
from training.record import configured_settings
from training.role import TEACHER
from training.role_settings import epochs_of
from training.run_folder import differences, read_training


def count_trainings(runs: Sequence[tuple[Config, tuple[str, ...]]]) -> Counter:
    """Of several runs of one data set, each with the roles that are trained in it."""
    config, roles = runs[0]
    dataset = check_config(config, *roles)
    caches, _ = open_caches(config, dataset, roles)
    folds = read_folds(config, caches)
    resolved = ((with_variants(config, dataset.task), roles) for config, roles in runs)
    return Counter(sum(len(run_trainings(config, "", folds, *roles)) for config, roles in resolved))


def read_folds(config: Config, caches: Mapping[str, MelCache]) -> tuple[int, ...]:
    """The folds of a run; without features those of [data] FOLDS, or 0."""
    for cache in caches.values():
        return folds_of(cache.table, config.data.folds)
    return config.data.folds or (0,)


def print_plan(config: Config, *trained: str, counter: Counter | None = None) -> None:
    """The trainings of a command in their order, its models, and what is missing to start it.

    `trained`: the roles that the command trains, "teacher", "student" or both. Raises ConfigError
    for a wrong configuration.
    """
    if rank() > 0:
        return
    roles = ("teacher", "student") if "student" in trained else ("teacher",)
    dataset = check_config(config, *roles)
    config = with_variants(config, dataset.task)
    caches, missing = open_caches(config, dataset, roles)
    losses, folds = teacher_losses(config, dataset.task), read_folds(config, caches)
    trainings = run_trainings(config, losses, folds, *trained)
    counter = counter or Counter(len(trainings))
    for training in trainings:
        status = status_of(config, training)
        print(f"{counter.title(training)}: {epochs_of(config, training.role)} epochs{status}")
    for role, cache in caches.items():
        outputs = len(cache.table.classes)
        if role == "teacher":
            try:
                outputs = count_outputs(config, cache.table, folds[0])
            except ConfigError:
                raise
            except UserError as error:  # INIT is not there
                missing.append(str(error))
        model = build_architecture(config, role, outputs, cache.shape)
        figures, shape = cost(model, cache.shape), "x".join(map(str, cache.shape))
        print(
            f"{role}: {getattr(config, role).model}, input {shape}, "
            f"{figures.parameters:,} parameters, {figures.macs:,} MACs per clip"
        )
    if not caches:
        missing.append("the folds of the data set, which are read from its features")
    if "teacher" not in trained:
        missing += missing_teachers(config, dataset, trainings)
        missing += changed_teachers(config, dataset, trainings)
    try:
        check_installed(config.run.logger)
    except ConfigError as error:
        missing.append(str(error))
    for line in dict.fromkeys(missing):
        print(f"missing: {line}")


def status_of(config: Config, training: Training) -> str:
    """Whether a training is finished, and what has changed in the configuration since then."""
    if not training.is_finished(config):
        return ""
    try:
        now = configured_settings(config, training)
    except UserError as error:  # the teacher of a specialist is not there
        return f", finished ({error})"
    changed = changes(config, training, now)
    return f", finished with other settings ({changed})" if changed else ", finished"


def changes(config: Config, training: Training, now: Mapping[str, str]) -> str:
    """The settings of a finished training that differ from those of the configuration, `now`."""
    sections = {"loss", *map(section_of, now)}
    recorded = read_training(training.folder(config))["settings"].items()
    return differences({key: v for key, v in recorded if section_of(key) in sections}, now)


def section_of(key: str) -> str:
    """Of a recorded setting; that of a file has another name."""
    return key.partition(".")[0]


def changed_teachers(
    config: Config, dataset: Dataset, trainings: Sequence[Training]
) -> Iterator[str]:
    """The teachers of this run that were trained with other settings."""
    if config.run.teacher_run:
        return
    losses = teacher_losses(config, dataset.task)
    for one in dict.fromkeys((one.seed, one.fold) for one in trainings if one.uses_teacher):
        teacher = Training(TEACHER, losses, *one)
        if not teacher.is_finished(config):
            continue
        if changed := changes(config, teacher, configured_settings(config, teacher)):
            yield f"{teacher.folder(config)}: finished with other settings ({changed})"


def count_outputs(config: Config, table: ClipTable, fold: int) -> int:
    """Of the teacher: as many as the data set has classes, or those of a teacher of others."""
    init, path = config.teacher.init, None
    if init not in PRETRAINED:  # which the plan does not download
        path = init_weights(config, init, config.run.seeds[0], fold)
    known = classes_of_init(init, path)
    found = find_class_map(config, TEACHER, config.teacher, table, known) if known else None
    return found.outputs if found else len(table.classes)


def open_caches(
    config: Config, dataset: Dataset, roles: Sequence[str]
) -> tuple[dict[str, MelCache], list[str]]:
    """The features of each role that are there, and what is missing of the others."""
    caches, missing = {}, []
    for role in roles:
        try:
            caches[role] = MelCache.open(cache_folder(config, role))
            if dataset.recording_seconds:
                MelCache.open(recordings_folder(config, role))
        except UserError as error:
            missing.append(str(error))
    return caches, missing
