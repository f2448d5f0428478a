"""An experiment: the clips of a configuration, what each role hears of them, and its models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from config import Augment, Config, ConfigError, Mel, Role, UserError, choose, constructor_options
from data.augment import Augmentation
from data.datasets import DATASETS
from data.features.mel_cache import MelCache, cache_folder, recordings_folder, sha256_of
from data.loading.batches import Batches, ClipFeatures, DeviceTargets
from data.loading.concatenated import ConcatenatedClips
from data.loading.replay import Replay
from data.loading.sampling import Balanced, HalfAndHalf
from data.tables.clips import ClipTable
from data.tables.splits import Split, folds_of, split_clips
from losses import LOSSES
from losses.mix import teachers_of, uses_teacher
from models import find_model
from models.freeze import freeze
from models.precision import to_precision
from models.pretrained import IMAGENET, imagenet_weights, is_imagenet, load_pretrained
from models.published import load_published, read_weights
from training.device import choose_device, feature_memory_gb
from training.distributed import barrier, rank, world
from training.run_folder import find_training, training_path
from training.steps import OnlineTeacher, Teacher, build_losses
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

TEACHER = "teacher"  # the role, and the INIT that means it
FINISHED = "the finished student"  # the INIT of the same student in fewer bits
CALIBRATION_CLIPS = 64
OF_THE_FIRST = dict.fromkeys(  # training alone, and not of one that goes on from it
    (
        *("warm_up_epochs", "warm_up_steps", "ramp_down_start_epoch", "ramp_down_epochs"),
        *("swa_start_epoch", "ensemble_start_epoch", "align_epochs"),
    ),
    0,
)


class Experiment:
    """The clips and views of a configuration, checked against the tables of what there is.

    Raises ConfigError for unknown names, options and coefficients before any data is read.
    """

    def __init__(self, config: Config, *roles: str) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        self.table: ClipTable | None = None
        for role in ("teacher", "student"):
            model_options(config, role)
        for name in config.coefficients:
            choose(f"[coefficients] {name}", LOSSES, name)
        kind = choose("[data] dataset", DATASETS, config.data.dataset)
        dataset = kind(**constructor_options("[data]", config.data, kind))
        self.clip_seconds = config.data.clip_seconds or dataset.clip_seconds
        self.recording_seconds = dataset.recording_seconds
        for role in roles:
            self.augmentation(role, (role,))  # says at once what does not fit the clips
        if config.distillation.augmented_views and not self.augmented("student"):
            raise ConfigError(
                "[distillation] augmented_views",
                f"found {config.distillation.augmented_views}, but [augment] is off: all views "
                "would be equal",
            )
        if config.distillation.augmented_views and config.student_augment.mixup_start_epoch:
            raise ConfigError(
                "[augment] mixup_start_epoch",
                f"found {config.student_augment.mixup_start_epoch}, but [distillation] "
                "AUGMENTED_VIEWS are sampled once for all epochs",
            )
        if config.distillation.teacher == "cached" and not self.repeats:
            raise ConfigError(
                "[distillation] teacher",
                "found 'cached', but [augment] or [data] REASSEMBLE changes each clip in every "
                "epoch; set AUGMENTED_VIEWS to replay a few, or TEACHER to auto or online",
            )
        if self.recording_seconds and config.distillation.teacher_input != "augmented":
            raise ConfigError(
                "[distillation] teacher_input",
                f"found {config.distillation.teacher_input!r}, but [data] REASSEMBLE lets the "
                "student hear other stretches of the recording; want 'same', or REASSEMBLE = no",
            )
        caches = {role: MelCache.open(cache_folder(config, role)) for role in roles}
        recordings = dict.fromkeys(roles)
        if self.recording_seconds:
            recordings = {role: MelCache.open(recordings_folder(config, role)) for role in roles}
        self.table = caches[roles[0]].table
        for role in roles:
            self.responsive(role)  # says at once which device is unknown
        label_loss = "bce" if self.table.task == "multi_label" else "ce"
        for role in roles:
            if (epochs := getattr(config, role).align_epochs) and self.table.task == "multi_label":
                found = (
                    f"found {epochs}, but the data set is multi-label: a clip is of no one class"
                )
                raise ConfigError(f"[{role}] align_epochs", found)
        self.teacher_losses = config.teacher.losses or label_loss
        build_losses(self.teacher_losses, self.table.task, config.teacher, config)
        for variant in config.distillation.variants:
            build_losses(variant, self.table.task, config.student, config)
            self.teaching(variant)
        self.features = {
            role: ClipFeatures(
                cache, self.table.ids, self.device, self.feature_memory_gb(), recordings[role]
            )
            for role, cache in caches.items()
        }
        self.targets = DeviceTargets(self.table.targets, self.device)
        self.metric = dataset.metric
        self.folds = folds_of(self.table, config.data.folds)
        self.fold = -1

    def augmented(self, role: str) -> bool:
        return self.config.augment_of(role) != Augment() or self.recording_seconds > 0

    @property
    def repeats(self) -> bool:
        """Whether what teaches a student hears the same in every so many epochs."""
        distillation = self.config.distillation
        undisturbed = distillation.teacher_input != "augmented" or not self.augmented("student")
        return undisturbed or distillation.augmented_views > 0

    def feature_memory_gb(self) -> float:
        return feature_memory_gb(self.config.run.feature_memory_gb, self.device)

    def enter(self, fold: int) -> None:
        """Take one fold's parts; scale the views by its training clips where NORMALISE says so."""
        if fold == self.fold:
            return
        self.fold = fold
        data = self.config.data
        self.split: Split = split_clips(self.table, fold, data.protocol, data.hold_out)
        for role, view in self.features.items():
            mel = self.config.mel_of(role)
            if mel.normalise == "fixed":
                view.set_normalisation(mel.mean, mel.std)
            else:
                view.normalise(mel.normalise, self.split.train)

    def settings(self, role: str, seed: int) -> Role:
        """How a role is trained. A specialist goes on from the teacher of this seed and fold, as
        does from the finished student what it is in fewer bits.
        """
        if role in ("teacher", "student"):
            return getattr(self.config, role)
        if (precision := precision_of(role)) != "float32":
            return dataclasses.replace(
                self.config.student,
                epochs=self.config.quantisation.epochs if precision == "int8" else 0,
                learning_rate=self.config.quantisation.learning_rate,
                init=FINISHED,
                **OF_THE_FIRST,
            )
        own, rate = self.config.specialists, self.config.specialists.learning_rate
        if rate is None:
            history = self.teacher_weights(seed).with_name("history.csv")
            rate = float(pd.read_csv(history)["learning_rate"].iloc[-1])
        return dataclasses.replace(
            self.config.teacher,
            epochs=own.epochs,
            batch_size=own.batch_size,
            learning_rate=rate,
            init=TEACHER,
            **OF_THE_FIRST,
        )

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The class of each clip of a single-label data set."""
        return self.table.targets[rows].argmax(axis=1)

    def augmentation(self, role: str, heard: Collection[str]) -> Augmentation:
        """[augment] of a role's training, over the frequencies of all the views that are heard.

        Raises ConfigError for what does not fit the clips or one of the views.
        """
        grids = [self.config.mel_of(name) for name in heard]
        max_hz = max(grid.sample_rate / 2 for grid in grids)
        found = Augmentation(
            self.config.augment_of(role),
            self.clip_seconds,
            max_hz,
            self.responsive(role),
            self.recording_seconds,
        )
        for grid in grids:
            found.check(grid)
        return found

    def responsive(self, role: str) -> torch.Tensor | None:
        """Which clips [augment] may let a role hear through an impulse response; None: all.

        Raises ConfigError for a device that no clip is of.
        """
        devices = self.config.augment_of(role).impulse_response_devices
        if not devices or self.table is None:
            return None
        where = "[augment] impulse_response_devices"
        if "device" not in self.table.columns:
            raise ConfigError(where, f"found {devices[0]!r}, but no clip says its device")
        found = self.table.columns["device"][:]
        known = dict.fromkeys(found)
        for device in devices:
            choose(where, known, device)
        return torch.from_numpy(np.isin(found, devices))

    def replay(self, seed: int) -> Replay | None:
        """What taught students and their teachers hear; None where it is drawn anew each epoch."""
        if not self.config.distillation.augmented_views:
            return None
        augmentation = self.augmentation("student", ("teacher", "student"))
        return Replay(
            augmentation, self.split.train, self.config.distillation.augmented_views, seed
        )

    def batches(
        self,
        role: str,
        seed: int,
        heard: Collection[str],
        replay: Replay | None = None,
        pair: Sequence[int] = (),
    ) -> Batches:
        """The training clips in the views that are `heard`, in batches of `role`'s size; half of
        each are of the two classes of `pair`, where one is given.
        """
        settings = self.settings(role, seed)
        batch_size = settings.batch_size
        if batch_size < world():
            found = f"found {batch_size}, want a clip for each of the {world()} processes"
            raise ConfigError(f"[{role}] batch_size", found)
        rows = self.split.train
        if pair:
            own = np.isin(self.labels(rows), pair)
            rows = HalfAndHalf(rows[own], rows[~own], batch_size)
        elif settings.sampling == "balanced":
            rows = Balanced(rows, self.table.targets.take(rows), settings.epoch_clips)
        return Batches(
            {name: self.features[name] for name in heard},
            self.targets,
            rows,
            batch_size,
            seed,
            self.augmentation(role, heard) if self.augmented(role) else None,
            replay,
            rank=rank(),
            world=world(),
        )

    def build_model(self, role: str) -> nn.Module:
        """Of the teacher (which its specialists share) or the student."""
        settings: Role = getattr(self.config, role)
        model = find_model(f"[{role}] model", settings.model)(
            num_classes=len(self.table.classes),
            input_shape=self.features[role].shape,
            **model_options(self.config, role),
        )
        model = model.to(self.device, memory_format=torch.channels_last)
        if self.config.augment_of(role).crop_seconds:
            self.check_crop(role, model)
        return model

    @torch.no_grad()
    def check_crop(self, role: str, model: nn.Module) -> None:
        """Raises ConfigError for a model that cannot take as short an input as it is trained on."""
        channels, steps, *bands = self.features[role].shape
        seconds = self.config.augment_of(role).crop_seconds
        steps = self.augmentation(role, (role,)).steps(steps)
        where, heard = "[augment] crop_seconds", "x".join(map(str, (channels, steps, *bands)))
        try:
            model.eval()(torch.zeros(1, channels, steps, *bands, device=self.device))
        except (RuntimeError, ValueError, IndexError) as error:
            why = str(error).partition("\n")[0]
            raise ConfigError(
                where, f"{seconds:g} s are {heard} to the {role}, whose model cannot take it: {why}"
            ) from error
        model.train()

    def autocast(self, role: str) -> Literal["float32", "bfloat16"]:
        """PRECISION of [run], but for what computes in fewer bits already."""
        return self.config.run.precision if precision_of(role) == "float32" else "float32"

    def calibration(self, role: str) -> list[Tensor]:
        """Training clips as a role hears them, from the whole of the table: (1, C, T, F) each."""
        rows, view = self.split.train, self.features[view_of(role)]
        places = np.linspace(0, len(rows) - 1, min(CALIBRATION_CLIPS, len(rows))).round()
        return [view[torch.as_tensor(rows[[place]])] for place in places.astype(int)]

    def new_model(self, role: str, seed: int, variant: str = "") -> nn.Module:
        """The role's model: seeded random weights or those of INIT, with FREEZE applied."""
        settings = self.settings(role, seed)
        torch.manual_seed(seed)
        model = self.build_model(view_of(role))
        if settings.init in (TEACHER, FINISHED):
            load_weights(model, self.init_weights(settings.init, seed, variant))
        elif settings.init:
            path = self.init_weights(settings.init, seed)
            load_init(model, settings, path, f"[{view_of(role)}] init")
        freeze(model, settings.freeze)
        if (precision := precision_of(role)) != "float32":
            to_precision(model, precision, self.calibration(role))
        return model

    def init_weights(self, init: str, seed: int, variant: str = "") -> Path:
        """The file that INIT means for this seed and fold. Raises UserError."""
        if init == TEACHER:
            return self.teacher_weights(seed)
        if init == FINISHED:
            folder = training_path(self.config, "student", variant, seed, self.fold)
            return folder / "weights.safetensors"
        path = Path(init)
        if not path.is_dir():
            return path
        return find_training(path, seed, self.fold) / "weights.safetensors"

    def teacher_weights(self, seed: int, role: str = TEACHER) -> Path:
        folder = training_path(self.config, role, "", seed, self.fold)
        path = folder / "weights.safetensors"
        if not path.exists():
            raise UserError(f"{path} is not there: run train_teacher.py first")
        return path

    def read_teacher(self, role: str, seed: int) -> nn.Module:
        """A finished teacher or specialist."""
        model = self.build_model(TEACHER)
        load_weights(model, self.teacher_weights(seed, role))
        return model

    def teaching(self, variant: str) -> dict[str, float]:
        """The roles that teach a variant, or the ensemble that does, and the weight of what each
        says. Raises ConfigError.
        """
        roles, weights = self.config.teachers(), self.config.distillation.teacher_weights
        if weights and len(weights) != len(roles):
            found = f"found {len(weights)}, want one for each of {', '.join(roles)}"
            raise ConfigError("[distillation] teacher_weights", found)
        if not uses_teacher(variant):
            return {}
        ensembles = self.config.ensemble_members()
        wanted = teachers_of(variant, ensembles)
        if wanted in ensembles:
            self.check_lesson(variant)
            return {wanted: 1.0}
        chosen = {
            role: weight
            for role, weight in zip(roles, weights or [1.0] * len(roles), strict=True)
            if wanted == "all" or (role == TEACHER) == (wanted == TEACHER)
        }
        if not chosen:
            found = f"found {variant!r}, but [specialists] PAIRS is 0"
            raise ConfigError("[distillation] variants", found)
        return chosen

    def check_lesson(self, variant: str) -> None:
        """What teaches as logits of undisturbed clips teaches nothing else. Raises ConfigError."""
        own = self.config.distillation
        if more := sorted(required_outputs(variant) - {"logits"}):
            found = (
                f"found {variant!r}, but an ensemble teaches by its logits alone, not by {more[0]}"
            )
            raise ConfigError("[distillation] variants", found)
        if own.teacher == "online":
            found = f"found 'online', but the ensemble of {variant} is asked once"
            raise ConfigError("[distillation] teacher", found)
        teacher_input = own.teacher_input
        if teacher_input == "concatenated" or (
            teacher_input == "augmented" and self.augmented("student")
        ):
            found = f"found {teacher_input!r}, but the ensemble of {variant} takes clean clips"
            raise ConfigError("[distillation] teacher_input", f"{found}; want 'clean'")

    def teacher(
        self,
        role: str,
        seed: int,
        variant: str,
        replay: Replay | None,
        compiled: Callable[[nn.Module], nn.Module],
    ) -> Teacher:
        """The finished teacher or specialist of this seed and fold, as [distillation] TEACHER says.

        `compiled` is put around one that is asked at every step.
        """
        weights, distillation = self.teacher_weights(seed, role), self.config.distillation
        model = self.read_teacher(role, seed)
        online = OnlineTeacher(compiled(model))
        if distillation.teacher == "online" or not self.repeats:
            return online
        cache = self.teacher_cache(model, weights, seed, replay)
        if rank() == 0:
            cache.fill(set().union(*map(required_outputs, distillation.variants)))
        barrier()
        if cached := cache.teacher(required_outputs(variant)):
            return cached
        if distillation.teacher == "cached" or distillation.teacher_input != "augmented":
            raise UserError(
                f"what {variant} asks of the teacher {weights} takes more than [run] "
                "TEACHER_CACHE_GB; raise it, or set [distillation] TEACHER = auto"
            )
        if rank() == 0:
            print(
                f"{variant}: the teacher runs online, its outputs take more than TEACHER_CACHE_GB"
            )
        return online

    def teacher_cache(
        self, model: nn.Module, weights: Path, seed: int, replay: Replay | None
    ) -> TeacherCache:
        """Where a frozen teacher's outputs for the training clips are, or will be, kept."""
        view, rows, run = self.features["teacher"], self.split.train, self.config.run
        made_from = {
            "weights": sha256_of(weights),
            "model": self.config.teacher.model,
            "options": model_options(self.config, "teacher"),
            "normalise": normalisation(self.config.teacher_mel),
            **view.cache.fingerprints(),
        }
        draws = [replay.fingerprint(k) for k in range(len(replay))] if replay else ["none"]
        if self.config.distillation.teacher_input == "concatenated":
            view = ConcatenatedClips(view, rows, self.labels(rows), seed)
            draws = [f"joined {view.fingerprint()}"]
        folders = [
            outputs_folder(
                weights.parent / "outputs", {**made_from, "drawn": drawn}, self.table.ids[rows]
            )
            for drawn in draws
        ]
        limits = self.feature_memory_gb(), run.teacher_cache_gb
        return TeacherCache(model, view, rows, replay, folders, *limits)


def normalisation(mel: Mel) -> str:
    """How a view is scaled, as far as its training clips do not tell."""
    fixed = f" {mel.mean} {mel.std}" if mel.normalise == "fixed" else ""
    return mel.normalise + fixed


def view_of(role: str) -> str:
    """Whose view a role hears and whose architecture it has: a specialist's are the teacher's."""
    return "student" if role.startswith("student") else TEACHER


def precision_of(role: str) -> str:
    """int8 of student@int8; float32 of what has none."""
    return role.partition("@")[2] or "float32"


def load_init(model: nn.Module, settings: Role, path: Path, where: str) -> None:
    """Fill a model from INIT. Raises UserError, ConfigError that names `where`."""
    if settings.init == IMAGENET:
        try:
            weights = imagenet_weights(model)
        except ConfigError as error:
            raise ConfigError(where, error.message) from None
    else:
        weights = read_weights(path)
    start = not settings.load_classifier or is_imagenet(model, weights)
    try:
        if start:
            load_pretrained(model, weights, settings.init_colours)
        else:
            load_published(model, weights)
    except UserError as error:
        hint = (
            ""
            if start
            else "; LOAD_CLASSIFIER = no leaves its classifier out and fits its positions"
        )
        raise UserError(f"{where} {path}: {error}{hint}") from None


def load_weights(model: nn.Module, path: Path) -> None:
    """Raises UserError that names the file and each tensor that does not fit."""
    weights = read_weights(path)
    try:
        load_published(model, weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def model_options(config: Config, role: str) -> dict[str, Any]:
    """The role's model options, checked. Raises ConfigError."""
    settings: Role = getattr(config, role)
    constructor = find_model(f"[{role}] model", settings.model)
    return constructor_options(f"[{role}]", settings, constructor)
