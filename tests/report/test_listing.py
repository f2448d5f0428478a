"""`python -m report --list`."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from report.__main__ import main
from report.listing import fit
from report.run import Run
from tests.report.conftest import RUN


def test_one_line_per_run(copy, capsys):
    shutil.copytree(RUN, "runs/broken")
    Path("runs/broken/results.csv").unlink()
    Path("runs/notes").mkdir()
    assert main(["--list"]) == 0
    head, line, broken = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "run",
        "date",
        "data",
        "set",
        "metric",
        "score",
        "best",
        "variant",
        "trainings",
    ]
    run = Run(RUN)
    score = f"{run.scores(run.best)['value'].mean():.4f}"
    trainings = "16"  # a teacher and three students, two seeds and two folds
    expected = ["config", run.date.isoformat(), "csv_folder", "accuracy", score]
    assert line.split() == [*expected, run.best.variant, trainings]
    assert run.date <= date.today()
    assert broken.startswith("broken: no results.csv")


def test_another_folder_and_errors(copy, capsys):
    shutil.move("runs", "elsewhere")
    assert main(["--list", "elsewhere"]) == 0
    assert "config " in capsys.readouterr().out
    assert main(["--list"]) == 1
    assert "runs: no runs in it" in capsys.readouterr().err
    for arguments in ([], ["--list", "elsewhere", "elsewhere/config"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2


def test_lines_fit_in_80_columns():
    row = ["a" * 60, "2026-01-01", "b" * 20, "expected_calibration_error", "0.1234", "c" * 40, "12"]
    (line,) = fit([row])
    assert len(line) <= 80
    assert "2026-01-01" in line
    assert "0.1234" in line
    assert line.endswith("  12")
