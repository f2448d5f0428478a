"""4: student weights -> ONNX files from waveforms to tags, compared with PyTorch; their cost."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import Config, ConfigError, UserError, nearest, run_script, script_parser, to_text

if TYPE_CHECKING:
    from torch import nn

    from deploy.export import Trained
    from models.stored import Description
    from training.experiment import Experiment
    from training.fold import FoldData
    from training.plan import Training
    from training.role import Role

PRECISIONS = ("float32", "float16", "int8")
SUPPORTED = {  # the default first
    "executorch": ("float32",),
    "tflite": ("float32", "int8"),
    "c": ("float32", "int8"),
}


def main(arguments: argparse.Namespace, config: Config) -> None:
    precisions = chosen_precisions(arguments)
    if arguments.push is not None:
        check_push(arguments)
    from deploy.browser_page import export_browser
    from deploy.c_package import export_c
    from deploy.export import export_executorch, export_onnx, export_tflite
    from training.experiment import Experiment
    from training.fold import open_fold

    on_cpu = replace(config.run, device="cpu", feature_memory_gb=0.0)
    experiment = Experiment.open(replace(config, run=on_cpu), arguments.role)
    training = chosen_training(arguments, experiment)
    folder = finished(training, config)
    trained = read_trained(open_fold(experiment, training.fold), training, folder)
    print(f"exporting {trained.name}", flush=True)
    if arguments.format == "executorch":
        export_executorch(trained, folder)
    elif arguments.format == "c":
        for precision in precisions:
            export_c(trained, precision, folder)
    elif arguments.format == "browser":
        export_browser(trained, precisions, folder)
    elif arguments.format == "tflite":
        export_tflite(trained, precisions, folder)
    else:
        export_onnx(trained, precisions, folder)
    if arguments.push is not None:
        from deploy.hub import push

        print(f"uploaded to {push(folder, arguments.push)}")


def chosen_precisions(arguments: argparse.Namespace) -> tuple[str, ...]:
    """In the order of PRECISIONS. Raises ConfigError."""
    supported = SUPPORTED.get(arguments.format, PRECISIONS)
    if arguments.precision is None:
        return supported[:1] if arguments.format in SUPPORTED else PRECISIONS
    chosen = [name.strip() for name in arguments.precision.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in PRECISIONS]:
        raise ConfigError("--precision", f"found {unknown[0]!r}{nearest(unknown[0], PRECISIONS)}")
    if not chosen:
        raise ConfigError("--precision", f"found none, expected some of {to_text(PRECISIONS)}")
    if not set(chosen) <= set(supported):
        expected = " and ".join(supported)
        raise ConfigError("--precision", f"--format {arguments.format} supports only {expected}")
    return tuple(name for name in PRECISIONS if name in chosen)


def check_push(arguments: argparse.Namespace) -> None:
    """Before the export. Raises ConfigError, and UserError without huggingface_hub."""
    from deploy.hub import check_repository

    if arguments.format != "onnx":
        raise ConfigError("--push", f"uploads ONNX files, found --format {arguments.format}")
    check_repository(arguments.push)


def chosen_training(arguments: argparse.Namespace, experiment: Experiment) -> Training:
    """By default the variant of `choose_variant`, the first seed and the first fold.

    Raises ConfigError for a variant, a seed or a fold that the configuration does not have.
    """
    from training.plan import Training
    from training.role import Role

    config = experiment.config
    if arguments.role == "teacher":
        if arguments.variant is not None:
            raise ConfigError("--variant", "a teacher has none: it is trained on labels only")
        variant = ""
    else:
        variant = chosen_variant(arguments.variant, config)
    seed = one_of("--seed", arguments.seed, config.run.seeds, config.run.seeds[0])
    fold = one_of("--fold", arguments.fold, experiment.folds, experiment.folds[0])
    return Training(Role(arguments.role), variant, seed, fold)


def chosen_variant(given: str | None, config: Config) -> str:
    """`given`, or the one that the page of the run shows first. Raises ConfigError."""
    from report.choice import choose_variant
    from training.run_folder import RUNS

    variants = config.distillation.variants
    if given is not None:
        return one_of("--variant", given, variants, None)
    choice = choose_variant(RUNS / config.run.name, variants)
    print(choice)
    return choice.variant


def finished(training: Training, config: Config) -> Path:
    """The folder of a training. Raises UserError for one that is not finished, or damaged."""
    from data.checksums import read_finished

    folder = training.folder(config)
    script = f"train_{training.role.features}.py"
    if not (folder / "metrics.json").exists():
        raise UserError(f"{folder}: no finished training; run {script} first")
    read_finished(folder / "metrics.json", f"remove {folder} and run {script} again")
    return folder


def one_of(option: str, found: Any, known: tuple[Any, ...], default: Any) -> Any:
    if found is None:
        return default
    if found not in known:
        has = f"the configuration has {to_text(known)}"
        if known == (0,) and option == "--fold":
            has = "the data set has no folds"
        raise ConfigError(option, f"found {found}, {has}")
    return found


def read_trained(fold: FoldData, training: Training, folder: Path) -> Trained:
    """Raises UserError for weights without a description, or trained on other data."""
    from data.datasets import DATASETS
    from deploy.export import Trained
    from models.stored import read_model
    from training.builders import calibration_clips
    from training.run_folder import commit

    config, role = fold.config, training.role
    model, described = read_model(folder / "weights.safetensors", config.models())
    check_same_data(fold.experiment, role.features, described, folder)
    number = f" fold {fold.number}" if fold.number else ""
    return Trained(
        name=f"{config.run.name} {training.variant or role} seed {training.seed}{number}",
        model=model,
        described=described,
        dataset=config.data.dataset,
        licence=DATASETS[config.data.dataset].licence,
        commit=commit(),
        table=fold.table.take(fold.split.test),
        split=fold.split.test_name,
        metric=fold.experiment.metric,
        calibration=[clip.numpy() for clip in calibration_clips(fold, role)],
        quantised=read_quantised(config, training),
        thresholds=calibrated_thresholds(fold, role, model),
    )


def calibrated_thresholds(fold: FoldData, role: Role, model: nn.Module) -> tuple[float, ...] | None:
    """Of the tags, on labelled validation clips; None without such clips, and for one label.

    Validation clips that are test clips, as with PROTOCOL = paper, are not used.
    """
    import numpy as np

    from metrics.inputs import decisions
    from metrics.thresholds import class_thresholds
    from training.predict import predict

    task = fold.table.task
    rows = np.setdiff1d(fold.labelled(fold.split.validation), fold.split.test)
    if task != "multi_label" or not len(rows):
        return None
    truth = decisions(fold.table.targets[rows], task)
    thresholds = class_thresholds(predict(fold, role, model, rows), truth)
    return tuple(thresholds.tolist())


def read_quantised(config: Config, training: Training) -> nn.Module | None:
    """The student that was trained in int8, if [quantisation] has one: the source of its file."""
    from models.stored import read_model
    from training.role import STUDENT, Role

    if training.role != STUDENT or "int8" not in config.quantisation.precisions:
        return None
    folder = finished(training._replace(role=Role("student", "int8")), config)
    return read_model(folder / "weights.safetensors", config.models())[0]


def check_same_data(
    experiment: Experiment, role: str, described: Description, folder: Path
) -> None:
    """Raises UserError if the front end or the classes differ from those of the training."""
    config = experiment.config
    now = asdict(config.mel_of(role)) | {"classes": experiment.table.classes}
    then = asdict(described.front_end) | {"classes": described.classes}
    if changed := [name for name in now if now[name] != then[name]]:
        found = "; ".join(f"{n}: {to_text(then[n])} -> {to_text(now[n])}" for n in changed)
        raise UserError(
            f"{folder} was trained with other settings ({found}); export it with "
            "those of the training: "
            f"--config runs/{config.run.name}/config.ini"
        )


def parser() -> argparse.ArgumentParser:
    found = script_parser(__doc__)
    found.add_argument(
        "--role", choices=("student", "teacher"), default="student", help="default: student"
    )
    found.add_argument(
        "--variant",
        metavar="LOSSES",
        help="default: the one with the best validation score; without such scores, the last of "
        "VARIANTS",
    )
    found.add_argument("--seed", type=int, metavar="S", help="default: the first of SEEDS")
    found.add_argument("--fold", type=int, metavar="F", help="default: the first fold")
    found.add_argument(
        "--precision",
        metavar="P,…",
        help=f"default: {','.join(PRECISIONS)}; of executorch, tflite and c float32",
    )
    found.add_argument(
        "--format",
        choices=("onnx", "executorch", "tflite", "c", "browser"),
        default="onnx",
        help="default: onnx; executorch: one float32 program for phones and microcontrollers; "
        "tflite: LiteRT (TensorFlow Lite) files from log-mel, float32 or int8; "
        "c: C99 source for microcontrollers, with weights in float32 or int8; browser: a web page "
        "that runs the ONNX files",
    )
    found.add_argument(
        "--push",
        metavar="OWNER/NAME",
        help="upload the ONNX files to this repository of the Hugging Face Hub; a new one is "
        "public by default",
    )
    return found


if __name__ == "__main__":
    run_script(main, parser())
