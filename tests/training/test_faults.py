"""Inputs that were replaced, files that were damaged, and a second process: never a wrong result.

Each fault is noticed before anything is trained or written, and the message names what to do.
"""

import io
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config import UserError
from data.checksums import Damaged, write_sealed
from data.lock import InUse, locked
from tests.training import tiny_runs
from tests.training.tiny_runs import settings, write_caches
from training.run_folder import TrainingFolder
from training.stages import train_students, train_teachers

FOLD = "data.folds=1"
TEACHER = Path("runs/any/teacher/seed_0/fold_1")
STUDENT = Path("runs/any/student/ce+kd/seed_0/fold_1")
OWN = """
from torch import nn
from models.own import Adapted


class Theirs(nn.Module):
    def __init__(self, bands, classes):
        super().__init__()
        self.head = nn.Linear(bands, classes)

    def forward(self, x):
        return self.head(x.mean(1))


def build(*, num_classes, input_shape):
    return Adapted(Theirs(input_shape[2], num_classes), layout="btf")
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with a teacher and a student."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_caches()
        train_teachers(settings("any", FOLD))
        train_students(settings("any", FOLD))
    return place


@pytest.fixture(autouse=True)
def place(finished, tmp_path, monkeypatch):
    """A copy of it to damage, as the working folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder="runs"):
    return {p: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def refused(message, train=train_students, *overrides):
    """Nothing is trained and nothing is written."""
    before = contents()
    with pytest.raises(UserError, match=message) as caught:
        train(settings("any", FOLD, *overrides))
    assert contents() == before
    return caught.value


# Inputs -------------------------------------------------------------------------------------------


def test_other_recordings_are_another_setting(place):
    write_caches(louder=0.5)
    refused(r"trained with other settings \(features.teacher: .*--overwrite", train_teachers)
    expected = "teacher/seed_0/fold_1 was trained on other recordings or labels.*train_teacher.py"
    refused(expected, train_students, "distillation.variants=ce+sp, ce+kd")
    refused(expected, train_students, "run.precision=bfloat16")


def test_no_new_variant_is_trained_beside_one_of_other_recordings(place):
    train_students(settings("any", FOLD, "distillation.variants=ce"))
    write_caches(louder=0.5)
    expected = r"student/ce/seed_0/fold_1 was trained with other settings \(features.student: "
    refused(expected, train_students, "distillation.variants=ce+centre, ce")


def test_other_labels_are_another_setting(place):
    write_caches(labelled=range(1, 8))
    refused(r"trained with other settings \(clips: ", train_teachers)
    refused("teacher/seed_0/fold_1 was trained on other recordings or labels")


def test_recordings_that_were_only_touched_are_the_same(place):
    before = contents()
    write_caches()  # which writes their files again
    train_teachers(settings("any", FOLD))
    train_students(settings("any", FOLD))
    assert contents("runs/any/student") == {
        path: content for path, content in before.items() if "student" in path.parts
    }


def test_the_code_of_a_users_model_is_an_input(place, monkeypatch):
    published = "MODEL = dcase_small\nWIDTH_MULT = 0.25\nEPOCHS = 1"
    own = tiny_runs.CONFIG.replace(published, "MODEL = own.py:build\nEPOCHS = 1")
    monkeypatch.setattr(tiny_runs, "CONFIG", own)
    Path("own.py").write_text(OWN)
    config = settings("own", FOLD)
    for _ in range(2):
        train_teachers(config)
        train_students(config)
        os.utime("own.py", (1, 1))
    assert len(set(Path("runs/own/teacher").rglob("outputs/*"))) == 1
    Path("own.py").write_text(OWN.replace("x.mean(1)", "x.amax(1)"))
    for train in (train_teachers, train_students):
        with pytest.raises(UserError, match=r"other settings \(code.teacher: "):
            train(config)
    shutil.rmtree("runs/own/student")
    with pytest.raises(UserError, match=r"teacher/seed_0/fold_1 was .* \(code.teacher: "):
        train_students(config)


def test_the_content_of_init_is_an_input(place):
    shutil.copy(TEACHER / "weights.safetensors", "start.safetensors")
    config = settings("other", FOLD, "teacher.init=start.safetensors")
    train_teachers(config)
    os.utime("start.safetensors", (1, 1))
    train_teachers(config)
    weights = load_file("start.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, "start.safetensors")
    with pytest.raises(UserError, match=r"other settings \(init weights: "):
        train_teachers(config)


# Files --------------------------------------------------------------------------------------------


def flip(path):
    """One bit in the middle, with the time that the file had: as on a failing disk."""
    stamp, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def tensors_of(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


DAMAGE = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}
FILES = ("weights.safetensors", "history.csv", "predictions.csv", "metrics.json")
damaged_files = pytest.mark.parametrize(
    ("name", "damage"),
    [(n, d) for n in FILES for d in DAMAGE if (n, d) != ("metrics.json", "deleted")],
)


@damaged_files
def test_a_damaged_file_of_a_student_is_named(name, damage):
    DAMAGE[damage](STUDENT / name)
    fault = "missing" if damage == "deleted" else "changed or damaged, its checksum is wrong"
    refused(f"{STUDENT.name}/{name}: {fault}; remove {STUDENT.parent}".replace("+", r"\+"))


@damaged_files
def test_a_damaged_file_of_a_teacher_is_named_and_can_be_trained_again(name, damage):
    before = (TEACHER / "weights.safetensors").read_bytes()
    DAMAGE[damage](TEACHER / name)
    refused(f"{name}: .*; remove {TEACHER} and run train_teacher.py again")
    refused(f"{name}: .*; remove {TEACHER} to train it again, or start with ", train_teachers)
    if name == "weights.safetensors":
        shutil.rmtree(TEACHER)  # as the message advises
        train_teachers(settings("any", FOLD))
        train_students(settings("any", FOLD))
        assert (TEACHER / "weights.safetensors").read_bytes() == before


def test_without_metrics_a_training_is_made_anew():
    before = contents("runs/any/student")
    (STUDENT / "metrics.json").unlink()
    train_students(settings("any", FOLD))
    weights = STUDENT / "weights.safetensors"
    assert weights.read_bytes() == before[weights]


def test_a_damaged_output_of_the_teacher_is_computed_again():
    before = contents(TEACHER / "outputs")
    assert any(path.name.startswith("logits") for path in before)
    for damage in DAMAGE.values():
        for path in Path(TEACHER, "outputs").rglob("*.*"):
            damage(path)
        shutil.rmtree(STUDENT)
        train_students(settings("any", FOLD))
        assert contents(TEACHER / "outputs") == before


def test_a_flipped_shard_is_named():
    flip(next(Path("features").rglob("shard_*.npy")))
    refused("shard_00000.npy: changed or damaged, its checksum is wrong; run make_mel.py")
    refused("shard_00000.npy: changed or damaged", train_teachers)


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_checkpoint_is_named(damage):
    shutil.rmtree(STUDENT)
    folder = TrainingFolder(STUDENT, {})
    folder.write_checkpoint({"epoch": 1, "weights": torch.arange(100.0)})
    assert folder.read_checkpoint()["weights"][99] == 99
    DAMAGE[damage](STUDENT / "checkpoint.pt")
    expected = "checkpoint.pt: changed or damaged, .*; remove it to train it again, or start with -"
    assert isinstance(refused(expected), Damaged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            pickle.dumps(os.system, 2),
            "it is damaged, or holds more than tensors; remove it to train it again",
        ),
        (b"no pickle", "cannot be read as a checkpoint: .*; remove it to train it again, or start"),
        (tensors_of(torch.zeros(2)), "no checkpoint of a training; remove it to train it again"),
    ],
)
def test_another_file_with_the_checksum_of_a_checkpoint_is_named(content, message):
    shutil.rmtree(STUDENT)
    STUDENT.mkdir(parents=True)
    write_sealed(STUDENT / "checkpoint.pt", content)
    assert isinstance(refused(f"checkpoint.pt: .*{message}"), Damaged)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_at_the_checkpoint_is_one_clear_line(monkeypatch):
    def full(path, pid):
        part = path.with_name(f".{path.name}.{pid}")
        part.symlink_to("/dev/full")
        return part

    shutil.rmtree(STUDENT)
    folder = TrainingFolder(STUDENT, {})
    folder.write_checkpoint({"epoch": 1})
    with monkeypatch.context() as patched:
        patched.setattr("data.atomic_write.unfinished", full)
        with pytest.raises(UserError) as caught:
            folder.write_checkpoint({"epoch": 2, "weights": torch.zeros(100_000)})
    assert str(caught.value) == (
        f"{STUDENT}/checkpoint.pt: No space left on device; free some space and start again: the "
        "training resumes after the last epoch that was saved"
    )
    assert folder.read_checkpoint() == {"epoch": 1}


# Processes ----------------------------------------------------------------------------------------


def test_a_second_process_names_the_first():
    with locked(Path("runs/any")):
        for train in (train_teachers, train_students):
            error = refused(f"runs/any: in use by process {os.getpid()} on .* since 20", train)
            assert isinstance(error, InUse)
    train_students(settings("any", FOLD))
    assert not list(Path("runs").glob(".*.lock"))
