"""The page of students whose teacher is that of another run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from report.listing import run_row
from report.page import page
from report.run import Run
from report.sections.scores import headline
from report.trained import trained
from tests.training.tiny_runs import settings, write_caches
from training.run_folder import write_results
from training.stages import train_students, train_teachers

FOLDS = "data.folds=1, 2"


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    """`shared` has teachers of two seeds, `any` students of one, and an old teacher of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        write_caches()
        train_teachers(settings("shared", FOLDS, "run.seeds=0, 1"))
        train_teachers(settings("any", FOLDS, "teacher.epochs=0"))
        train_students(settings("any", FOLDS, "run.teacher_run=shared"))
        for name in ("shared", "any"):
            write_results(name)
        yield


def test_the_teacher_is_that_of_the_other_run():
    run = Run(Path("runs/any"))
    assert [system.label for system in run.systems] == ["teacher", "ce+kd"]
    found = pd.read_csv("runs/shared/results.csv")
    same = (found["metric"] == "accuracy") & (found["seed"] == 0)
    assert run.scores(run.teacher)["value"].tolist() == found[same]["value"].tolist()
    assert {(seed, fold) for role, _, seed, fold in run.folders if role == "teacher"} == {
        (0, 1),
        (0, 2),
    }
    for fold in (1, 2):
        path = f"runs/shared/teacher/seed_0/fold_{fold}/predictions.csv"
        expected = pd.read_csv(path, index_col=0).to_numpy()
        assert np.array_equal(run.predictions(run.teacher, 0, [fold]).probabilities, expected)
    model, features = trained(run, run.teacher)
    assert model(features[torch.tensor([0])]).logits.shape == (1, 2)
    assert run_row(run)[-1] == "4", "all trainings of its own folder"


def test_the_page_has_its_row():
    run = Run(Path("runs/any"))
    table, *_ = headline(run, named=False)
    assert [row[0].text for row in table.rows] == [
        "teacher ce dcase_small",
        "student ce+kd dcase_small",
    ]
    assert "(its teacher " in page([run])


def test_without_the_other_run_the_page_is_that_of_the_students():
    Path("runs/shared").rename("runs/moved")
    try:
        assert Run(Path("runs/any")).teacher is None
    finally:
        Path("runs/moved").rename("runs/shared")
