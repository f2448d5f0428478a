"""The three scripts as a user runs them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.synthesis import scene_corpus
from data.synthesis.corpus import synthesise
from models.stored import read_model
from tests.scripts import ROOT, run, workplace

SCRIPTS = ("make_mel.py", "train_teacher.py", "train_student.py")


@pytest.mark.parametrize(("task", "parts"), [("single_label", "fold"), ("multi_label", "split")])
def test_from_recordings_to_the_table(tmp_path, task, parts):
    place = workplace(tmp_path, task, parts, "SEEDS = 0, 1\n")
    for script in SCRIPTS:
        printed = run(place, script)
    label = "ce" if task == "single_label" else "bce"
    metric = "accuracy" if task == "single_label" else "mean_average_precision"
    results = pd.read_csv(place / "runs/config/results.csv")
    figures = results[results["metric"] == metric]
    folds = 2 if parts == "fold" else 1
    assert figures.groupby(["role", "variant"]).size().to_dict() == {
        ("student", label): 2 * folds,
        ("student", f"{label}+kd"): 2 * folds,
        ("student", f"{label}+kd+sp"): 2 * folds,
        ("teacher", label): 2 * folds,
    }
    assert set(figures["split"]) == ({"fold 1", "fold 2"} if parts == "fold" else {"test"})
    mean = figures[figures["variant"] == f"{label}+kd"]["value"].mean()
    assert f"{mean:.4f}" in printed
    assert "page: runs/config/report.html" in printed
    assert re.search(rf"\n  {label} .*\n  {label}\+kd .*\n  {label}\+kd\+sp ", printed)
    for folder in (place / "runs/config").glob("**/fold_*"):
        is_teacher = folder.relative_to(place / "runs/config").parts[0] == "teacher"
        assert sorted(path.name for path in folder.iterdir()) == [
            "history.csv",
            "metrics.json",
            *(["outputs"] if is_teacher else []),
            "predictions.csv",
            "tensorboard",
            "weights.safetensors",
        ]
        history = pd.read_csv(folder / "history.csv")
        assert {"loss", label, "score", "learning_rate"} <= set(history)
        predictions = pd.read_csv(folder / "predictions.csv")
        assert list(predictions)[0] == "audio_filename"
        assert predictions.iloc[:, 1:].to_numpy().min() >= 0
    again = run(place, "train_student.py")
    assert "epoch 1 of" not in again, "finished trainings are not repeated"
    assert f"{mean:.4f}" in again


RAW_TEACHER = (
    *("mel.teacher.front_end=waveform", "mel.teacher.sample_rate=64000"),
    *("teacher.model=raw_resnet", "teacher.width_mult=0.1", "teacher.losses=ce+centre"),
    *("teacher.optimiser=amsgrad", "teacher.schedule=step", "teacher.step_epochs=2"),
    *("student.model=mel_resnet", "student.width_mult=0.3", "mel.student.num_bands=16"),
    *("student.schedule=inverse_time", "student.inverse_time_decay=0.1"),
    *("coefficients.centre=0.01", "distillation.variants=ce+centre+kd"),
    *("augment.mixup_alpha=0.1", "augment.mixup_start_epoch=1"),
)


def test_a_raw_waveform_teacher_with_a_mel_student(tmp_path):
    place = workplace(tmp_path)
    arguments = [part for one in RAW_TEACHER for part in ("--set", one)]
    for script in SCRIPTS:
        printed = run(place, script, *arguments)
    assert re.search(r"\nstudent mel_resnet +\d\.\d+ .*", printed)
    (teacher,) = (place / "runs").glob("config/teacher/**/history.csv")
    history = pd.read_csv(teacher)
    assert history["learning_rate"].tolist() == pytest.approx([0.003, 0.003, 0.0015])
    terms = history["ce"] + 0.01 * history["centre"]
    assert history["loss"].tolist() == pytest.approx(terms.tolist(), rel=1e-5)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    place = workplace(tmp_path_factory.mktemp("finished_run"))
    for script in SCRIPTS:
        run(place, script)
    return place


def weights(place: Path) -> dict[str, bytes]:
    found = (place / "runs").glob("**/weights.safetensors")
    return {str(path.relative_to(place)): path.read_bytes() for path in found}


def test_a_dry_run_lists_what_would_be_trained_and_what_is_missing(finished_run, tmp_path):
    place = workplace(tmp_path, extra="SEEDS = 0, 1\n[quantisation]\nPRECISIONS = int8\n")
    printed = run(place, "train_student.py", "--dry-run")
    assert printed.startswith("training 1 of 12: student ce seed 0: 3 epochs\n")
    assert "training 12 of 12: student@int8 ce+kd+sp seed 1: 0 epochs\n" in printed
    assert "no cache there; run make_mel.py" in printed
    assert "teacher/seed_1/fold_0/weights.safetensors is not there: run train_teacher" in printed
    assert not list(place.glob("runs"))

    before = weights(finished_run)
    printed = run(finished_run, "train_student.py", "--dry-run", "--set", "run.seeds=0, 1")
    assert "training 3 of 6: student ce+kd+sp seed 0: 3 epochs, finished\n" in printed
    assert "training 4 of 6: student ce seed 1: 3 epochs\n" in printed
    assert re.search(
        r"student: dcase_small, input 1x48x12, [\d,]+ parameters, [\d,]+ MACs", printed
    )
    assert printed.count("missing: ") == 1
    printed = run(finished_run, "train_teacher.py", "--dry-run")
    assert printed.startswith("training 1 of 1: teacher ce seed 0: 3 epochs, finished\nteacher: ")
    assert "missing" not in printed
    assert weights(finished_run) == before


def test_each_training_script_prints_its_scores_and_the_next_command(finished_run):
    printed = run(finished_run, "train_teacher.py", "--set", "run.seeds=0")
    assert "training 1 of 1: teacher ce seed 0 (already finished): accuracy " in printed
    assert "next: python train_student.py --set run.seeds=0\n" in printed
    printed = run(finished_run, "train_student.py")
    assert "page: runs/config/report.html\nnext: python export_student.py\n" in printed


def test_other_settings_do_not_overwrite_a_run(finished_run):
    message = run(finished_run, "train_student.py", "--set", "student.epochs=2", status=1)
    assert "student.epochs: 3 -> 2" in message
    assert "--overwrite" in message
    assert "Traceback" not in message


def test_a_missing_teacher_names_the_script_to_run(finished_run):
    message = run(finished_run, "train_student.py", "--set", "run.name=other", status=1)
    assert "run train_teacher.py first" in message


def test_a_run_records_its_versions_and_settings(finished_run):
    text = (finished_run / "runs/config/config.ini").read_text()
    assert "# torch" in text
    assert "model = dcase_small" in text
    metrics = json.loads(next((finished_run / "runs").glob("**/metrics.json")).read_text())
    assert metrics["split"] == "test"
    assert metrics["epoch_chosen_on"] == "validate"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("student.model=dcase_smal", "nearest: dcase_small"),
        ("student.width=2", "nearest: width_mult"),
        ("student.epochs=many", "found 'many', expected a whole number"),
        ("distillation.variants=ce+kq", "nearest: kd"),
        ("coefficients.sq=3", "nearest: sp"),
        ("data.dataset=esc60", "nearest: esc50"),
        ("run.device=abacus", "abacus"),
        ("distillation.variants=bce", "single-label"),
        ("budget.max_macs=1000", "expected at most 1,000"),
    ],
)
def test_a_wrong_setting_is_named(finished_run, change, message):
    printed = run(finished_run, "train_student.py", "--set", change, status=2)
    assert message in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("script", [*SCRIPTS, "export_student.py", "train_matrix.py"])
def test_help_answers_without_torch(tmp_path, script):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout


def test_stereo_scenes_are_trained_on_crops_and_evaluated_on_full_clips(tmp_path):
    short = {"train_places": 3, "test_places": 1, "segments": 1, "seconds": 0.6}
    scene_corpus.synthesise(tmp_path / "audio/street_scenes", workers=1, **short)
    (tmp_path / "config.ini").write_text(
        "[data]\nDATASET = street_scenes\nCLIP_SECONDS = 0.6\nHOLD_OUT = 0.3\n[mel]\nCHANNELS = 2\n"
        "[teacher]\nMODEL = dcase_small\nEPOCHS = 2\n[student]\nWIDTH_MULT = 0.5\nEPOCHS = 2\n"
        "[augment]\nCROP_SECONDS = 0.3\nMIXUP_ALPHA = 0.1\n"
        "[distillation]\nVARIANTS = ce+kd\nAUGMENTED_VIEWS = 2\n[run]\nWORKERS = 1\n"
    )
    assert "40 clips of 2x58x64" in run(tmp_path, "make_mel.py")
    for script in SCRIPTS[1:]:
        printed = run(tmp_path, script)
    assert "macro_accuracy on street_scenes, test; epoch chosen on held-out training" in printed
    model, described = read_model(
        next((tmp_path / "runs/config/student").glob("**/weights.safetensors"))
    )
    assert described.input_shape == (2, 58, 20), "of the full clip"
    assert model(torch.zeros(1, 2, 58, 20)).logits.shape == (1, 10)
    message = run(tmp_path, "train_student.py", "--set", "augment.crop_seconds=2", status=2)
    assert "--set augment.crop_seconds=2: found 2, but a clip is 0.6 s long" in message
    assert "Traceback" not in message


def test_the_layout_of_sonyc_ust_with_soft_labels_and_held_out_sensors(tmp_path):
    synthesise(tmp_path / "audio", workers=1, train=36, validate=12, test=0, seconds=0.5)
    (tmp_path / "config.ini").write_text(
        "[data]\nDATASET = sonyc_ust\nROOT = audio\nLABELS = mean\nCLIP_SECONDS = 0.5\n"
        "HOLD_OUT = 0.4\n[teacher]\nMODEL = dcase_small\nEPOCHS = 2\n[student]\n"
        "WIDTH_MULT = 0.5\nEPOCHS = 2\n[distillation]\nVARIANTS = bce+kd+sp\n[run]\nWORKERS = 1\n"
    )
    for script in SCRIPTS:
        printed = run(tmp_path, script)
    assert "micro_auprc on sonyc_ust, validate; epoch chosen on held-out training clips" in printed
    predictions = next((tmp_path / "runs/config/student").glob("**/predictions.csv"))
    scored = subprocess.run(
        [
            *(sys.executable, "-m", "metrics.urban_sound_tagging", predictions),
            *(tmp_path / "audio/annotations.csv", tmp_path / "audio/dcase-ust-taxonomy.yaml"),
            *("--level", "coarse"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    results = pd.read_csv(tmp_path / "runs/config/results.csv")
    own = results[(results["role"] == "student") & (results["metric"] == "micro_auprc")]
    assert json.loads(scored.stdout)["micro_auprc"] == pytest.approx(own["value"].item(), abs=1e-12)
    message = run(tmp_path, "train_teacher.py", "--set", "teacher.align_epochs=1", status=2)
    assert "--set teacher.align_epochs=1: found 1, but the data set is multi-label" in message


OWN_TEACHER = """
import torch
from torch import nn
from models.own import Adapted


class Theirs(nn.Module):
    def __init__(self, bands, classes):
        super().__init__()
        self.encoder = nn.Linear(bands, 6)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)).mean(1)), "more"


def build(*, num_classes, input_shape, shown: bool = False):
    torch.manual_seed(7)
    theirs = Theirs(input_shape[2], num_classes)
    return Adapted(theirs, layout="btf", logits=0, embedding="encoder")
"""


def test_a_teacher_from_a_python_file_is_used_without_training(finished_run, tmp_path, monkeypatch):
    place = workplace(tmp_path)
    shutil.copytree(finished_run / "features", place / "features")
    (place / "theirs.py").write_text(OWN_TEACHER)
    text = (place / "config.ini").read_text()
    own = "[teacher]\nMODEL = theirs.py:build\nSHOWN = no\nEPOCHS = 0\n[student]"
    text = re.sub(r"\[teacher\].*?\[student\]", own, text, flags=re.DOTALL)
    (place / "config.ini").write_text(text)
    for script in SCRIPTS[1:]:
        printed = run(place, script, "--set", "distillation.variants=ce, ce+kd+sp")
    assert re.search(r"teacher theirs.py:build +0\.\d+ +1 +\d", printed)
    (weights_file,) = (place / "runs/config/teacher").rglob("weights.safetensors")
    monkeypatch.chdir(place)
    model, described = read_model(weights_file, ["theirs.py:build"])
    assert described.options == {"shown": False}
    page = place / "runs/config/report.html"
    assert "a file is run only if" not in page.read_text()
    torch.manual_seed(7)
    assert torch.equal(model.module.encoder.weight, torch.nn.Linear(16, 6).weight)
    history = pd.read_csv(weights_file.parent / "history.csv")
    assert history.empty
    history = pd.read_csv(next((place / "runs/config/student/ce+kd+sp").rglob("history.csv")))
    assert (history["sp"] > 0).all()
