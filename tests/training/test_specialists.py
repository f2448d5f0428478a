"""From confusions to pairs to specialists, by hand and by the scripts."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.scripts import CONFIG, RATE, run
from training.specialists import Pair, most_confused

COUNTS = np.array([[9, 1, 4, 0], [3, 8, 0, 2], [0, 2, 7, 5], [1, 0, 0, 6]])


def test_confusions_in_both_directions_are_added_up():
    assert most_confused(COUNTS, 2) == [Pair(2, 3, 5), Pair(0, 1, 4)]


def test_of_ties_the_first_is_taken():
    assert most_confused(COUNTS, 4) == [
        Pair(2, 3, 5),
        Pair(0, 1, 4),
        Pair(0, 2, 4),
        Pair(1, 2, 2),
    ]


def test_all_pairs_can_be_chosen():
    assert len(most_confused(COUNTS, 6)) == 6


# The scripts --------------------------------------------------------------------------------------

PITCHES = {"a": 300, "b": 330, "c": 900, "d": 2500}  # a and b are hard to tell apart


def scenes(folder, classes="abcd", extra=""):
    """Six clips per class and split, with a config of specialists."""
    recordings = folder / "recordings"
    recordings.mkdir()
    generator = np.random.default_rng(0)
    times = np.arange(RATE // 2) / RATE
    lines = ["filename,label,split,group"]
    for part in ("train", "validate", "test"):
        for name in classes:
            for n in range(6):
                pitch = PITCHES[name] * generator.uniform(0.97, 1.03)
                wave = 0.3 * np.sin(2 * np.pi * pitch * times)
                file = f"{part}_{name}{n}.wav"
                wave += 0.02 * generator.standard_normal(len(times))
                soundfile.write(recordings / file, wave, RATE)
                lines.append(f"{file},{name},{part},{part}{name}{n}")
    (recordings / "clips.csv").write_text("\n".join(lines) + "\n")
    text = CONFIG.format(task="single_label", variants="ce, kd@teacher, kd")
    text = text.replace("NUM_BANDS_STUDENT = 12", "NUM_BANDS_STUDENT = 16")
    text = text.replace("EPOCHS = 3", "EPOCHS = 12", 1)  # of the teacher
    text = text.replace("[student]\nMODEL = dcase_small\nWIDTH_MULT = 0.25", STUDENT)
    (folder / "config.ini").write_text(text + extra)
    return folder


STUDENT = "[student]\nMODEL = dcase_small\nWIDTH_MULT = 0.5\nINIT = teacher"
SPECIALISTS = "[specialists]\nPAIRS = 2\nEPOCHS = 2\nBATCH_SIZE = 8\nLEARNING_RATE = 0.001\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = scenes(tmp_path_factory.mktemp("trained"), extra=SPECIALISTS)
    run(place, "make_mel.py")
    return place, run(place, "train_teacher.py"), run(place, "train_student.py")


def figures(place):
    results = pd.read_csv(place / "runs/config/results.csv")
    return results[results["metric"] == "accuracy"].set_index(["role", "variant"])["value"]


def test_all_systems_are_in_the_table(trained):
    place, of_teachers, of_students = trained
    assert set(figures(place).index) == {
        ("teacher", "ce"),
        ("specialist_1", "ce"),
        ("specialist_2", "ce"),
        ("ensemble", "ce"),
        ("student", "ce"),
        ("student", "kd@teacher"),
        ("student", "kd"),
    }
    students = ["ce", "kd@teacher", "kd"]  # below the line of their model
    order = [line.split()[0] for line in of_students.splitlines() if " M" in line]
    assert order == ["system", "teacher", "specialist_1", "specialist_2", "ensemble", *students]
    pairs = pd.read_csv(place / "runs/config/teacher/seed_0/fold_0/pairs.csv")
    assert f"{pairs['first'][0]} / {pairs['second'][0]} ({pairs['confused'][0]})" in of_teachers
    matrix = pd.read_csv(place / "runs/config/teacher/seed_0/fold_0/confusion.csv", index_col=0)
    assert matrix.to_numpy().sum() == 24, "of the validation clips"


def test_the_ensemble_is_the_mean_of_its_members(trained):
    place, *_ = trained
    run_folder = place / "runs/config"
    predictions = {
        role: pd.read_csv(run_folder / role / "seed_0/fold_0/predictions.csv", index_col=0)
        for role in ("teacher", "specialist_1", "specialist_2", "ensemble")
    }
    mean = sum(predictions[role] for role in ("teacher", "specialist_1", "specialist_2")) / 3
    assert np.allclose(predictions["ensemble"], mean)
    record = json.loads((run_folder / "ensemble/seed_0/fold_0/metrics.json").read_text())
    teacher = json.loads((run_folder / "teacher/seed_0/fold_0/metrics.json").read_text())
    assert record["parameters"] == 3 * teacher["parameters"]


def test_a_student_and_a_specialist_start_from_the_teacher(trained):
    place, *_ = trained
    losses = {
        role: pd.read_csv(place / f"runs/config/{role}/seed_0/fold_0/history.csv")["ce"]
        for role in ("teacher", "student/ce")
    }
    assert losses["student/ce"][0] < losses["teacher"][0]


def test_finished_trainings_are_not_repeated(trained):
    place, *_ = trained
    again = run(place, "train_teacher.py") + run(place, "train_student.py")
    assert "epoch 1 of" not in again


def test_no_label_of_the_test_clips_influences_any_weight(trained, tmp_path):
    """The same recordings with exchanged labels in the test split: all weights are equal."""
    place, *_ = trained
    other = scenes(tmp_path, extra=SPECIALISTS)
    listed = (other / "recordings/clips.csv").read_text()
    for first, second in (("a", "b"), ("c", "d")):
        for n in range(6):
            line, twin = f"test_{first}{n}.wav,{first},", f"test_{second}{n}.wav,{second},"
            listed = listed.replace(line, f"test_{first}{n}.wav,{second},")
            listed = listed.replace(twin, f"test_{second}{n}.wav,{first},")
    (other / "recordings/clips.csv").write_text(listed)
    for script in ("make_mel.py", "train_teacher.py", "train_student.py"):
        run(other, script)
    for path in sorted((place / "runs").rglob("weights.safetensors")):
        twin = other / path.relative_to(place)
        assert twin.read_bytes() == path.read_bytes(), path
    assert (figures(place) != figures(other)).any(), "only the figures differ"


@pytest.mark.parametrize(
    ("classes", "changes", "status", "message"),
    [
        ("ab", ["specialists.pairs=1"], 2, "2 classes leave none outside a pair"),
        ("abc", ["specialists.pairs=4"], 2, "found 4, but 3 classes have 3 pairs"),
        ("abc", ["specialists.batch_size=7"], 2, "found 7, expected an even number"),
    ],
)
def test_impossible_pairs_are_named(tmp_path, classes, changes, status, message):
    place = scenes(tmp_path, classes, SPECIALISTS)
    run(place, "make_mel.py")
    settings = [part for change in changes for part in ("--set", change)]
    fast = ("--set", "teacher.epochs=0")
    assert message in run(place, "train_teacher.py", *fast, *settings, status=status)


def test_a_class_without_validation_clips_is_named(tmp_path):
    place = scenes(tmp_path, "abc", SPECIALISTS)
    listed = (place / "recordings/clips.csv").read_text().splitlines()
    kept = [line for line in listed if not line.startswith("validate_b")]
    (place / "recordings/clips.csv").write_text("\n".join(kept) + "\n")
    run(place, "make_mel.py")
    message = run(place, "train_teacher.py", "--set", "teacher.epochs=0", status=1)
    assert "none of the 12 validation clips (validate) is of 'b'" in message


def test_the_page_counts_the_chosen_pairs_before_and_after(trained):
    place, *_ = trained
    pairs = pd.read_csv(place / "runs/config/teacher/seed_0/fold_0/pairs.csv")
    page = (place / "runs/config/report.html").read_text()
    (table,) = re.findall(r"<table[^>]*>(?:(?!</table>).)*>pair<.*?</table>", page, re.DOTALL)
    systems = ("teacher", "specialist_1", "ensemble", "student/ce", "student/kd")
    truth = pd.read_csv(place / "recordings/clips.csv", index_col="filename")["label"]
    for first, second in pairs[["first", "second"]].to_numpy():
        row = re.search(rf"{first} / {second}.*?</tr>", table, re.DOTALL)[0]
        shown = [int(n) for n in re.findall(r">(\d+)<", row)]
        assert shown[0] == 1
        for system in systems:
            path = place / f"runs/config/{system}/seed_0/fold_0/predictions.csv"
            taken = pd.read_csv(path, index_col=0).idxmax(axis=1)
            both = zip(truth[taken.index], taken, strict=True)
            assert sum({a, b} == {first, second} for a, b in both) in shown[1:]
