"""The table of a study: what is chosen, what is compared with what, and what is left out."""

import math
from pathlib import Path

import pandas as pd
import pytest

from report import study, study_comparisons
from report.study_picture import read, study_picture
from report.study_systems import TrialResults, TrialSystem, chosen, chosen_by_variant
from tests.report.conftest import RUN


def system(number, variant, validation, test, state="finished", error="", **values):
    trial = TrialResults(number, values, state, error, Path(f"runs/x-{number}"), (variant,))
    rows = pd.DataFrame(
        {
            "seed": [n // 2 for n in range(len(test))],
            "fold": [1 + n % 2 for n in range(len(test))],
            "value": test,
            "seconds": 2.0,
        }
    )
    return TrialSystem(trial, variant, pd.Series(validation, dtype=float), rows)


def test_the_best_validation_score_is_chosen_whatever_the_test_score():
    few, many = system(1, "ce", [0.7, 0.8], [0.2, 0.3]), system(2, "ce", [0.5, 0.8], [0.9, 0.9])
    without = system(3, "ce", [0.9, math.nan], [1.0, 1.0])
    assert chosen([many, few, without]) is few
    other = system(2, "ce+kd", [0.8, 0.9], [0.1, 0.1])
    assert chosen_by_variant([few, many, other]) == [other, few]


def test_of_scores_that_are_equal_but_for_rounding_the_first_is_chosen():
    first, second = system(1, "ce", [0.3], [0.5]), system(2, "ce", [0.1 + 0.2], [0.5])
    assert chosen([first, second]) is first


def test_without_validation_scores_there_is_no_choice():
    unvalidated = [system(n, "ce", [math.nan], [0.1 * n]) for n in (1, 2)]
    assert chosen(unvalidated) is None
    lines = " ".join(study.remarks(unvalidated, []))
    assert "No trial is chosen" in lines
    assert [row[0] for row in study.table(unvalidated, "accuracy")[1:]] == ["1 ce", "2 ce"]


def test_a_finished_run_is_a_trial(copy, monkeypatch):
    """Its variants in study.csv and comparisons.csv, with intervals, on 80 columns."""
    monkeypatch.setattr(study_comparisons, "RESAMPLES", 20)
    variants = tuple(path.name for path in (RUN / "student").iterdir())
    finished = TrialResults(1, {"student.epochs": "3"}, "finished", "", RUN, variants)
    failed = TrialResults(2, {"student.epochs": "4"}, "failed", "out of memory", Path(), ())
    text = study.write_study(Path("runs/study"), [finished, failed], "accuracy", "grid")
    assert max(map(len, text.splitlines()[:6])) <= 80
    assert "trial 2 failed: out of memory" in text
    rows = pd.read_csv("runs/study/study.csv")
    assert list(rows["state"]) == ["finished"] * 3 + ["failed"]
    assert list(rows["error"])[3] == "out of memory"
    results = pd.read_csv(RUN / "results.csv")
    for _, row in rows[:3].iterrows():
        own = results[(results["variant"] == row["variant"]) & (results["role"] == "student")]
        scores = own[own["metric"] == "accuracy"]["value"]
        assert (row["test"], row["n"]) == (pytest.approx(scores.mean()), 4)
        assert row["test_std"] == pytest.approx(scores.std())
    compared = pd.read_csv("runs/study/comparisons.csv")
    assert list(compared["reference"]) == ["1 ce"] * 2
    assert set(compared["sampled"]) == {"groups"}
    assert "bootstrap over groups of test clips" in " ".join(text.split())
    assert (compared["low"] <= compared["difference"]).all()
    assert (compared["difference"] <= compared["high"]).all()
    drawn = study_picture(read(Path("runs/study/study.csv")), compared)
    assert Path("runs/study/study.svg").read_text("utf-8") == drawn
    assert ">test accuracy minus that of ce<" in drawn


def test_without_anything_to_draw_there_is_no_picture(tmp_path):
    (tmp_path / "study.svg").write_text("of other trials")
    waiting = TrialResults(1, {"student.epochs": "4"}, "waiting", "", Path(), ("ce",))
    study.write_study(tmp_path, [waiting], "accuracy", "grid")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparisons.csv", "study.csv"]
