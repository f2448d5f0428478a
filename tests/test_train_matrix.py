"""Each of two models is the teacher and the student of the other, by the script."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import config
import train_matrix
from config import ConfigError, Matrix
from tests.scripts import run, workplace
from tests.training import tiny_runs

MATRIX = """
[matrix]
WIDE = MODEL=dcase_small WIDTH_MULT=0.5
NARROW = MODEL=dcase_small WIDTH_MULT=0.25 NORMALISE=none
TEACHERS = wide
STUDENTS = narrow, wide
CHAINS = wide > narrow > wide
[ensembles]
SEEDS = teacher@seeds
BOTH = runs/config-wide/teacher, runs/config-wide/teacher@epochs
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = workplace(tmp_path_factory.mktemp("matrix"))
    text = (place / "config.ini").read_text().replace("NUM_BANDS_STUDENT = 12\n", "")
    text = text.replace("NUM_BANDS_TEACHER = 16", "NUM_BANDS_TEACHER = 16\nNUM_BANDS_STUDENT = 16")
    text = text.replace("MODEL = dcase_small\nWIDTH_MULT = 0.5\n", "")
    text = text.replace("MODEL = dcase_small\nWIDTH_MULT = 0.25\n", "")
    text = text.replace("ce, ce+kd, ce+kd+sp", "ce+kd").replace("EPOCHS = 3", "EPOCHS = 2")
    text = text.replace("[student]", "ENSEMBLE_START_EPOCH = 1\n[student]")
    (place / "config.ini").write_text(text + "SEEDS = 0, 1\n" + MATRIX)
    run(place, "make_mel.py")
    return place, run(place, "train_matrix.py")


def scores(place, name, role):
    found = pd.read_csv(place / f"runs/config-{name}/results.csv")
    chosen = (found["metric"] == "accuracy") & (found["role"] == role)
    return found[chosen].set_index("seed")["value"]


def test_models_are_trained_alone_in_pairs_and_in_chains(trained):
    place, printed = trained
    runs = sorted(path.name for path in (place / "runs").iterdir())
    assert runs == [
        "config",
        *("config-narrow", "config-narrow-wide", "config-wide", "config-wide-narrow"),
        *("config-wide-narrow-wide", "config-wide-wide"),
    ]
    lines = [line for line in printed.splitlines() if " > " in line and "runs/" not in line]
    assert [line.rpartition(" > ")[0].split(" > ")[0] for line in lines] == [
        "wide",
        "wide",
        "narrow",
        "wide",
    ]


def test_gains_are_relative_to_the_same_model_alone_by_seed(trained):
    place, _ = trained
    gains = pd.read_csv(place / "runs/config/matrix.csv").set_index(["teacher", "student"])
    alone = scores(place, "narrow", "teacher")
    distilled = scores(place, "wide-narrow", "student")
    found = gains.loc["wide", "narrow"]
    assert found["pairs"] == 2
    assert found["gain"] == pytest.approx((distilled - alone).mean())
    assert found["gain_std"] == pytest.approx((distilled - alone).std())
    assert found["teacher_score"] == pytest.approx(scores(place, "wide", "teacher").mean())


def test_a_teacher_is_not_trained_again_and_a_chain_continues_from_a_student(trained):
    place, _ = trained
    for run_name, role, before in (
        ("config-wide-narrow", "teacher", "config-wide/teacher"),
        ("config-wide-narrow-wide", "teacher", "config-wide-narrow/student/ce+kd"),
    ):
        file = "seed_1/fold_0/predictions.csv"
        predictions = pd.read_csv(place / "runs" / run_name / role / file)
        assert predictions.equals(pd.read_csv(place / "runs" / before / file))


def predictions_of(place, system):
    return pd.read_csv(place / "runs/config-wide" / system / "fold_0/predictions.csv", index_col=0)


def test_the_mean_of_seeds_and_of_epochs_are_systems(trained):
    place, _ = trained
    teachers = [predictions_of(place, f"teacher/seed_{seed}") for seed in (0, 1)]
    assert np.allclose(predictions_of(place, "seeds/seed_0"), sum(teachers) / 2)
    epochs = predictions_of(place, "teacher@epochs/seed_1")
    assert np.allclose(predictions_of(place, "both/seed_1"), (teachers[1] + epochs) / 2)
    assert not np.allclose(epochs, teachers[1])
    systems = set(pd.read_csv(place / "runs/config-wide/results.csv")["role"])
    assert systems == {"teacher", "teacher@epochs", "both", "seeds"}


def test_the_picture_shows_each_gain(trained):
    place, _ = trained
    picture = (place / "runs/config/matrix.svg").read_text()
    for gain in pd.read_csv(place / "runs/config/matrix.csv")["gain"]:
        assert f"{gain:+.3f}" in picture


def test_finished_trainings_are_not_repeated(trained):
    place, printed = trained
    weights = list(place.rglob("weights.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in weights}
    assert run(place, "train_matrix.py").splitlines()[-1] in printed
    assert {path: path.stat().st_mtime_ns for path in weights} == before


def test_a_dry_run_numbers_the_trainings_of_all_runs(trained):
    place, printed = trained
    listed = run(place, "train_matrix.py", "--dry-run")
    assert "training 20 of 20: student ce+kd seed 1: 2 epochs, finished\n" in listed
    assert "missing" not in listed
    assert "training 20 of 20: student ce+kd seed 1: accuracy " in printed


def main(text, *overrides):
    """train_matrix.py in the process, in the working folder."""
    Path("config.ini").write_text(text)
    parser = config.script_parser("", ("--overwrite", ""), ("--dry-run", ""))
    arguments = parser.parse_args([f"--set={one}" for one in overrides])
    train_matrix.main(arguments, config.load(Path("config.ini"), overrides))


@pytest.mark.parametrize(
    "trained",
    [
        "INIT=runs/before-cnn/teacher LOAD_CLASSIFIER=no",
        "ALIGN_EPOCHS=2",
        "FREEZE=backbone HEAD_FIT=logistic_regression HEAD_C=0.5 EPOCHS=0 LEARNING_RATE=1e-4",
    ],
)
def test_a_teacher_is_the_trained_model_whatever_its_training_was(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    text = tiny_runs.CONFIG.replace("MODEL = dcase_small\nWIDTH_MULT = 0.25\n", "")
    text = text.replace("NUM_BANDS = 8", "NUM_BANDS = 8\nNORMALISE = global")
    tiny_runs.write_caches()
    if "runs/before" in trained:
        main(f"{text}[matrix]\nCNN = MODEL=dcase_small\n", "run.name=before", "data.folds=1")
    models = f"[matrix]\nCNN = MODEL=dcase_small {trained}\nSMALL = MODEL=dcase_small\n"
    text += f"{models}TEACHERS = cnn\nSTUDENTS = small\n"
    main(text, "run.name=m", "data.folds=1")
    file = "teacher/seed_0/fold_1/predictions.csv"
    alone, teacher = (pd.read_csv(f"runs/{name}/{file}") for name in ("m-cnn", "m-cnn-small"))
    assert teacher.equals(alone)


def settings_of(text, *path):
    Path("config.ini").write_text(text)
    arguments = config.script_parser("").parse_args([])
    return train_matrix.settings_of(path, config.load(Path("config.ini")), "ce+kd", arguments)


@pytest.mark.parametrize(("further", "frames"), [("", "96"), ("LOAD_CLASSIFIER=no", None)])
def test_the_options_that_init_brings_stay(tmp_path, monkeypatch, further, frames):
    monkeypatch.chdir(tmp_path)
    models = f"[matrix]\nYAMNET = INIT=yamnet EPOCHS=0 {further}\nCNN = MODEL=dcase_small\n"
    text = f"[data]\nDATASET = esc50\n[teacher]\nDEPTH = 3\n[student]\nDEPTH = 3\n{models}"
    alone = settings_of(text, "yamnet").teacher
    sections = {
        "as teacher": settings_of(text, "yamnet", "cnn").teacher,
        "as student": settings_of(text, "cnn", "yamnet").student,
        "of a chain": settings_of(text, "cnn", "yamnet", "cnn").teacher,
    }
    assert alone.options.get("patch_frames") == frames
    assert alone.options.keys() >= {"activation", "batch_norm", "width_mult"}
    assert "depth" not in alone.options, "of another model"
    for name, section in sections.items():
        assert section.options == alone.options, name
    assert settings_of(text, "cnn", "yamnet", "cnn").student.options == {}


def test_a_path_comes_after_its_beginning():
    matrix = Matrix(options={"a": "MODEL=ast", "b": "MODEL=ast"}, students=("b",), chains=("b>a",))
    assert train_matrix.paths(matrix) == [("a",), ("b",), ("a", "b"), ("b", "a"), ("b", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[matrix]\nA = MODEL\n", r"\[matrix\] a: found 'MODEL', expected KEY=VALUE"),
        ("[matrix]\nAST = MODEL=ast\nTEACHERS = asd\n", r"\[matrix\] teachers.*nearest: ast"),
        ("[matrix]\nAST = MODEL=ast\nCHAINS = ast > cnn\n", r"\[matrix\] chains"),
        ("[run]\n", r"\[matrix\]: names no models"),
        ("[matrix]\nA = MODEL=dcase_small\n", "found none; a matrix takes exactly one"),
    ],
)
def test_wrong_settings_are_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        main(text)
