"""Experiments and folds: features, checks, and when a teacher is cached."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from scipy.io import wavfile

from config import ConfigError, UserError, load
from data.features.cache_writer import CacheWriter, stamps_of, write_rows
from data.features.front_end import FrontEnd
from data.features.mel_cache import cache_folder
from data.tables.clips import Clip, ClipTable
from data.tables.columns import Column
from deploy.full_model import FullModel
from models.stored import read_model
from training.builders import build_model, load_weights, new_model
from training.checks import teacher_weights
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_batches, build_replay
from training.record import description
from training.role import STUDENT, TEACHER, Role
from training.run_folder import teacher_weights_file, training_path, write_finished
from training.steps import OnlineTeacher
from training.teacher_cache import CachedTeacher
from training.teachers import build_teacher, read_teacher

CONFIG = """
[data]
DATASET = csv_folder
TASK = single_label
[mel]
SAMPLE_RATE = 8000
MEL_MAX_HZ = 4000
NUM_BANDS_TEACHER = 12
NUM_BANDS_STUDENT = 8
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.25
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
[distillation]
VARIANTS = ce+kd, ce+kd+sp
[run]
NAME = test
DEVICE = cpu
"""
FIXED = "mel.normalise=fixed", "mel.mean=-4.5", "mel.std=5"
AUGMENTED = "augment.mixup_alpha=0.3", "augment.roll_seconds=0.1"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.ini").write_text(CONFIG)
    return tmp_path


def recordings(changed=()):
    """Nine clips; the changed ones are other recordings under the same names."""
    Path("audio").mkdir(exist_ok=True)
    clips = []
    for n in range(9):
        path = Path(f"audio/{n}.wav")
        if n in changed or not path.exists():  # a file that is written again counts as another
            path.write_bytes(bytes(n + 1 + 100 * (n in changed)))
        split = ("train", "train", "train", "validate", "test")[n % 5]
        clips.append(
            Clip(id=f"{n:02d}", path=path, labels={"ab"[n % 2]: 1.0}, split=split, group=str(n))
        )
    return ClipTable.of(clips, ("a", "b"), "single_label")


def experiment(*overrides, changed=(), table=None):
    config = load(Path("config.ini"), overrides)
    table = table or recordings(changed)
    for role, bands in (("teacher", 12), ("student", 8)):
        mel, folder, shape = config.mel_of(role), cache_folder(config, role), (1, 16, bands)
        writer = CacheWriter(folder, mel, shape, table, stamps_of(table.frame["path"]))
        generator = torch.Generator().manual_seed(bands)
        features = torch.randn(9, *shape, generator=generator).half()
        for n in changed:
            features[n] += 1
        part, offset = writer.begin(0)
        write_rows(part, offset, features)
        writer.finish(0)
        writer.finalise()
    return open_fold(Experiment.open(config, "teacher", "student"), 0)


def with_teacher(found, seed=0):
    """A finished teacher in the run's folder."""
    trained = new_model(found, TEACHER, seed)
    header = description(found, TEACHER, trained).header()
    weights = {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}
    folder = training_path(found.config, "teacher", "", 0, 0)
    write_finished(folder, {"weights.safetensors": save(weights, header)}, {"settings": {}})
    return found


def teacher_of(found, variant="ce+kd+sp"):
    return build_teacher(found, TEACHER, 0, variant, build_replay(found, 0), lambda model: model)


def folders():
    return set(Path("runs/test/teacher/seed_0/fold_0/outputs").glob("*"))


def test_outputs_are_stored_next_to_the_weights_by_clip_id():
    found = with_teacher(experiment())
    assert isinstance(teacher_of(found), CachedTeacher)
    (folder,) = folders()
    names = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert names == {"logits", "map_gram", "clips", "made_from"}
    ids = found.table.ids[found.split.train].tolist()
    assert (folder / "clips.txt").read_text().split() == ids
    assert len(np.load(next(folder.glob("logits*")))) == len(ids)


def test_equal_outputs_are_not_computed_again():
    teacher_of(with_teacher(experiment()))
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.npy")}
    teacher_of(experiment())
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.npy")} == before


def changes():
    def recording():
        return experiment(changed=[1])

    def labels():
        table = recordings()
        indices = table.targets.matrix.indices
        indices[0] = 1 - indices[0]
        return experiment(table=table)

    def weights():
        return with_teacher(experiment(), seed=1)

    return {
        "a recording": recording,
        "a label": labels,
        "the weights": weights,
        "the normalisation": lambda: experiment("mel.normalise=global"),
        "its std": lambda: experiment(*FIXED, "mel.std=6"),
        "the front end": lambda: experiment("mel.log_offset=0.1"),
        "the model": lambda: experiment("teacher.dropout=0.5"),
        "the augmentation": lambda: experiment(*AUGMENTED, "distillation.augmented_views=1"),
    }


@pytest.mark.parametrize("what", sorted(changes()))
def test_outputs_are_computed_again_after_a_change(what):
    found = with_teacher(experiment())
    teacher_of(found)
    before = folders()
    changed = changes()[what]()
    teacher = teacher_of(changed)
    assert len(before) == 1
    assert len(folders() - before) == 1
    online = OnlineTeacher(build_model(changed.experiment, "teacher"))
    weights = teacher_weights_file(changed.config, TEACHER, 0, 0)
    load_weights(online.model, weights, changed.table.classes)
    replay = build_replay(changed, 0)
    batch = next(build_batches(changed, STUDENT, 0, ("teacher", "student"), replay).epoch(0))
    wanted, found = online.outputs(batch), teacher.outputs(batch)
    torch.testing.assert_close(found["logits"], wanted["logits"], rtol=1e-4, atol=1e-5)
    maps = wanted["map"].flatten(1)
    torch.testing.assert_close(found["map_gram"], maps @ maps.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ((), CachedTeacher),
        (("distillation.teacher=online",), OnlineTeacher),
        (("distillation.teacher=cached",), CachedTeacher),
        (AUGMENTED, OnlineTeacher),
        ((*AUGMENTED, "distillation.augmented_views=2"), CachedTeacher),
        (
            (*AUGMENTED, "distillation.augmented_views=2", "distillation.teacher=cached"),
            CachedTeacher,
        ),
        (
            (*AUGMENTED, "distillation.augmented_views=2", "distillation.teacher=online"),
            OnlineTeacher,
        ),
        (("run.teacher_cache_gb=0",), OnlineTeacher),
        ((*AUGMENTED, "distillation.teacher_input=clean"), CachedTeacher),
        ((*AUGMENTED, "distillation.teacher_input=concatenated"), CachedTeacher),
        (("augment.mixup_alpha_teacher=0.3",), CachedTeacher),
    ],
)
def test_auto_caches_wherever_the_inputs_of_the_teacher_repeat(settings, kind):
    teacher = teacher_of(with_teacher(experiment(*settings)))
    assert isinstance(teacher, kind)
    assert teacher.input_roles == (() if kind is CachedTeacher else ("teacher",))


@pytest.mark.parametrize("teacher_input", ["clean", "concatenated"])
def test_a_teacher_may_take_clean_clips_when_the_student_does_not(teacher_input):
    found = with_teacher(experiment(*AUGMENTED, f"distillation.teacher_input={teacher_input}"))
    teacher = teacher_of(found)
    batch = next(build_batches(found, STUDENT, 0, ("student",)).epoch(3))
    online = read_teacher(found, TEACHER, 0)
    clean = found.features["teacher"][batch.rows]
    if teacher_input == "concatenated":
        partners = {}
        for label in (0, 1):
            same_class = found.split.train[found.labels(found.split.train) == label]
            partners |= {int(row): set(map(int, same_class)) - {int(row)} for row in same_class}
        wanted = [
            [
                online(
                    torch.cat([clean[[n]], found.features["teacher"][torch.tensor([p])]], 2)
                ).logits
                for p in partners[int(row)]
            ]
            for n, row in enumerate(batch.rows)
        ]
        cached = teacher.outputs(batch)["logits"]
        for logits, candidates in zip(cached, wanted, strict=True):
            assert any(torch.allclose(logits, c, atol=1e-5) for c in candidates)
    else:
        wanted = online(clean).logits
        torch.testing.assert_close(teacher.outputs(batch)["logits"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "variant", "wanted"),
    [
        ((), "ce", {}),
        ((), "kd", {"teacher": 1.0}),
        (("specialists.pairs=2",), "kd@teacher", {"teacher": 1.0}),
        (("specialists.pairs=2",), "kd@specialists", {"specialist_1": 1.0, "specialist_2": 1.0}),
        (
            ("specialists.pairs=1", "distillation.teacher_weights=2, 0.5"),
            "ce+kd",
            {"teacher": 2.0, "specialist_1": 0.5},
        ),
    ],
)
def test_the_teachers_of_a_variant(settings, variant, wanted):
    found = experiment(*settings)
    assert teacher_weights(found.config, found.experiment.dataset, variant) == wanted


def test_outputs_cached_for_one_variant_are_used_by_the_next():
    found = with_teacher(experiment())
    teacher_of(found, "ce+kd")
    before = sorted(Path("runs").rglob("*.npy"))
    assert any("map_gram" in path.name for path in before)
    teacher_of(found, "ce+kd+sp")
    assert sorted(Path("runs").rglob("*.npy")) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((*AUGMENTED, "distillation.teacher=cached"), "epoch; set AUGMENTED_VIEWS"),
        (("distillation.augmented_views=2",), "found 2, but .augment. is off"),
        (
            (
                *AUGMENTED,
                "distillation.augmented_views=2",
                "augment.mixup_alpha=1",
                "augment.mixup_start_epoch=3",
            ),
            "mixup_start_epoch: found 3, but .distillation. AUGMENTED_VIEWS are sampled once",
        ),
        (
            ("distillation.variants=kd@specialists",),
            "kd@specialists', but .specialists. PAIRS is 0",
        ),
        (("distillation.teacher_weights=1, 2",), "found 2, expected one for each of teacher$"),
        (
            (*AUGMENTED, "distillation.augmented_views=2", "distillation.teacher_input=clean"),
            "found 'clean', which computes outputs once and excludes AUGMENTED_VIEWS",
        ),
        (("teacher.losses=bce",), "teacher. losses: found 'bce', but the data set is single-label"),
        (("teacher.losses=ce+kd",), "teacher. losses: found 'kd', which requires a teacher"),
        (("teacher.losses=ce+center",), "teacher. losses: found 'center'; nearest: centre"),
    ],
)
def test_a_contradiction_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        experiment(*settings)


def test_outputs_that_do_not_fit_into_a_required_cache_are_an_error():
    found = with_teacher(experiment("distillation.teacher=cached", "run.teacher_cache_gb=1e-7"))
    with pytest.raises(
        UserError,
        match=r"weights.safetensors that ce.kd.sp requires take more than .*TEACHER_CACHE_GB",
    ):
        teacher_of(found)


def test_weights_that_do_not_fit_are_named_with_their_tensors():
    with_teacher(experiment())
    found = experiment("teacher.width_mult=0.75")
    with pytest.raises(
        UserError, match=r"weights.safetensors: .*conv1.0.weight is 8x1x3x3, expected"
    ):
        teacher_of(found)


def test_a_crop_longer_than_the_clips_is_an_error_before_any_cache_is_read():
    config = load(Path("config.ini"), ("augment.crop_seconds=12",))
    with pytest.raises(ConfigError, match="crop_seconds: found 12, but a clip is 10 s long"):
        Experiment.open(config, "teacher", "student")


def test_models_take_crops_in_training_and_full_clips_in_evaluation():
    found = experiment("augment.crop_seconds=5")  # 8 of the 16 frames of 10 s
    for role, bands in (("teacher", 12), ("student", 8)):
        model = new_model(found, Role(role), 0)
        assert model.training
        batch = next(iter(build_batches(found, Role(role), 0, [role]).epoch(0)))
        assert batch.inputs[role].shape[1:] == (1, 8, bands)
        assert model(batch.inputs[role]).logits.shape == (len(batch.rows), 2)
        assert found.features[role][torch.arange(3)].shape == (3, 1, 16, bands)


def test_a_model_that_cannot_take_a_crop_is_an_error_before_training():
    found = experiment("augment.crop_seconds=2.5")
    with pytest.raises(ConfigError) as caught:
        new_model(found, STUDENT, 0)
    assert str(caught.value).startswith(
        "[augment] crop_seconds: 2.5 s are 1x4x8 to the student, whose model cannot take it: "
    )
    assert "\n" not in str(caught.value)


def test_another_mask_value_makes_new_cached_outputs():
    masked = "distillation.augmented_views=1", "augment.time_mask_seconds=5"
    teacher_of(with_teacher(experiment(*masked)))
    before = folders()
    teacher_of(experiment(*masked, "augment.mask_with=zero"))
    assert len(before) == 1
    assert len(folders() - before) == 1


def responses(name, samples):
    """A folder of one impulse response, and the override that names it."""
    (folder := Path(name)).mkdir()
    wavfile.write(folder / "x.wav", 8000, np.float32(samples))
    return f"augment.impulse_responses={name}"


def test_impulse_responses_are_applied_to_the_named_devices_only():
    table = recordings()
    table.columns["device"] = Column.of("aba"[n % 3] for n in range(9))
    settings = responses("dirs", [1, 0.5]), "augment.impulse_response_devices=b"
    found = experiment(*settings, table=table)
    for role in ("teacher", "student"):
        (plan,) = build_batches(found, Role(role), 0, [role]).plans(0)
        assert torch.equal(plan.params.response == 0, plan.rows % 3 == 1)
        assert (plan.params.response == 0).any()
    with pytest.raises(ConfigError, match=r"devices: found 'c' \(allowed: a, b\)"):
        experiment(settings[0], "augment.impulse_response_devices=a, c", table=table)
    with pytest.raises(ConfigError, match="devices: found 'b', but no clip names its device"):
        experiment(*settings)


def test_a_missing_folder_of_impulse_responses_is_an_error_before_any_cache_is_read():
    config = load(Path("config.ini"), ("augment.impulse_responses=dirs",))
    with pytest.raises(UserError, match="IMPULSE_RESPONSES: .*dirs is not a folder"):
        Experiment.open(config, "teacher", "student")


def test_other_impulse_responses_make_new_cached_outputs():
    first, second = responses("one", [1, 0.5]), responses("two", [1, -0.5])
    teacher_of(with_teacher(experiment("distillation.augmented_views=1", first)))
    before = folders()
    teacher_of(experiment("distillation.augmented_views=1", second))
    assert len(before) == 1
    assert len(folders() - before) == 1


@pytest.mark.parametrize("augmentation", [("warp_share=0.1", "bands"), ("noise_db=2", "log-mels")])
def test_an_augmentation_that_does_not_fit_the_features_is_an_error_early(augmentation):
    key, what = augmentation
    overrides = "mel.front_end_student=waveform", f"augment.{key}"
    with pytest.raises(ConfigError, match=what):
        Experiment.open(load(Path("config.ini"), overrides), "teacher", "student")
    only_the_teacher = overrides[0], f"augment.{key.replace('=', '_teacher=')}"
    with pytest.raises(UserError, match="no cache there"):
        Experiment.open(load(Path("config.ini"), only_the_teacher), "teacher", "student")


def test_a_fixed_normalisation_is_used_in_training_and_after_the_export():
    plain, found = experiment(), experiment(*FIXED)
    rows = torch.arange(4)
    for role in ("teacher", "student"):
        assert cache_folder(found.config, role) == cache_folder(plain.config, role)
        features = found.features[role][rows]
        torch.testing.assert_close(features, (plain.features[role][rows] + 4.5) / 5)
    trained, path = new_model(found, STUDENT, 0), Path("weights.safetensors")
    contiguous = {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}
    save_file(contiguous, path, description(found, STUDENT, trained).header())
    model, described = read_model(path)
    assert (described.mean, described.std) == ((-4.5,), (5.0,))
    waveform = 0.1 * torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    wanted = (FrontEnd(found.config.student_mel)(waveform) + 4.5) / 5
    torch.testing.assert_close(FullModel(model, described)(waveform).mel, wanted)
