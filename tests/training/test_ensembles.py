"""The members of an ensemble."""

import re
from pathlib import Path

import numpy as np
import pytest

from config import ConfigError, Ensembles, UserError, load
from tests.training.tiny_runs import settings, write_caches
from training.ensembles import ensembles, read_predictions, sources_of
from training.stages import train_students, train_teachers
from training.systems import predictions_table

PREDICTED = np.array([[0.2, 0.8], [0.9, 0.1]])


def test_members_are_found_in_this_run_or_another():
    members = Ensembles(options={"both": "teacher, 2 * student/ce+kd, .5*runs/raw/teacher"})
    assert members.members() == {
        "both": {"teacher": 1.0, "student/ce+kd": 2.0, "runs/raw/teacher": 0.5}
    }


def test_teacher_and_specialists_are_an_ensemble_by_default(tmp_path):
    path = tmp_path / "a.ini"
    path.write_text("[specialists]\nPAIRS = 2\n[ensembles]\nFUSION = teacher, runs/raw/teacher\n")
    assert ensembles(load(path)) == {
        "fusion": {Path("runs/a/teacher"): 1.0, Path("runs/raw/teacher"): 1.0},
        "ensemble": {
            Path("runs/a", role): 1.0 for role in ("teacher", "specialist_1", "specialist_2")
        },
    }


def test_teachers_of_another_run_are_members(tmp_path):
    path = tmp_path / "a.ini"
    members = "teacher@epochs, teacher, student/kd, other"
    path.write_text(f"[ensembles]\nX = {members}\n[run]\nTEACHER_RUN = shared\n")
    config = load(path)
    names = ("shared/teacher@epochs", "shared/teacher", "a/student/kd", "a/other")
    assert list(ensembles(config)["x"]) == [Path("runs", name) for name in names]
    found = sources_of(config, Path("runs/shared/teacher@seeds"), seed=1, fold=2)
    assert found == [Path("runs/shared/teacher/seed_0/fold_2")], "the seeds of the run"


@pytest.mark.parametrize("other", ["runs/any/teacher", "./runs/b/../any/teacher", "{}/any/teacher"])
def test_a_member_has_one_name(other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "runs")
    other = other.format(tmp_path / "elsewhere")
    config = settings("any", f"ensembles.x=teacher, 2 * {other}")
    found = f"found 'teacher' and {other!r}, which are one system"
    with pytest.raises(ConfigError, match=re.escape(f"[ensembles] x: {found}")):
        ensembles(config)
    write_caches()
    for train in (train_teachers, train_students):
        with pytest.raises(ConfigError, match="which are one system"):
            train(config)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": "teacher,"}, r"\[ensembles\] a: found '', expected a system"),
        ({"a": "0 * teacher"}, "found '0 \\* teacher'"),
        ({"a": "two teacher"}, "found 'two teacher'"),
        ({"specialist_1": "teacher"}, "is the name of a role"),
        (
            {"a": "teacher, student/kd, 2 * teacher"},
            r"\[ensembles\] a: found 'teacher' twice; give it a weight, such as 2 \* teacher",
        ),
        ({"a": "teacher@seeds, student/kd"}, "expected @seeds behind every member or none"),
    ],
)
def test_an_invalid_ensemble_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Ensembles(options=options)


def test_predictions_are_read_by_the_ids_of_clips(tmp_path):
    path = tmp_path / "predictions.csv"
    table = predictions_table(np.array(["b", "a"]), PREDICTED, ("x, y", 'a "z"'))
    table.to_csv(path, index=False)
    assert read_predictions(path, np.array(["a", "b"]), ("x, y", 'a "z"')).tolist() == [
        [0.9, 0.1],
        [0.2, 0.8],
    ]
    path.write_text("audio_filename,x,y\nb,0.9,0.1\na,0.2,0.8\n")
    assert read_predictions(path, np.array(["a", "b"]), ("x", "y"))[:, 0].tolist() == [0.2, 0.9]
    with pytest.raises(UserError, match="lacks the clip 'c'$"):
        read_predictions(path, np.array(["a", "c"]), ("x", "y"))
    with pytest.raises(UserError, match="predictions.csv is of classes in another order"):
        read_predictions(path, np.array(["a"]), ("y", "x"))
