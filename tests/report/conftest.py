"""Two small finished runs: tags with hostile names and two devices, and scenes in two folds."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import make_mel
import train_student
import train_teacher
from config import load, script_parser
from models.stored import read_description
from tests.resealed import reseal
from tests.scripts import workplace

RUN = Path("runs/config")
LOW, HIGH = "<script>alert('low, \"soft\"')</script>", "$high_{&amp"


def train_in(place: Path, *overrides: str) -> None:
    """The three scripts in a folder, without starting Python three times."""
    with contextlib.chdir(place):
        config = load(Path("config.ini"), overrides)
        arguments = script_parser("").parse_args([])
        vars(arguments).update(download=False, dry_run=False, overwrite=False, study=False)
        for script in (make_mel, train_teacher, train_student):
            script.main(arguments, config)


@pytest.fixture(scope="session")
def tags(tmp_path_factory) -> Path:
    """multi_label, three seeds; the recordings differ in their device."""
    place = workplace(tmp_path_factory.mktemp("tags"), "multi_label", extra="SEEDS = 3, 4, 5\n")
    table = place / "recordings/clips.csv"
    clips = pd.read_csv(table, keep_default_na=False)
    clips["labels"] = [text.replace("low", LOW).replace("high", HIGH) for text in clips["labels"]]
    clips["device"] = ["phone" if n % 3 else "sensor" for n in range(len(clips))]
    clips.to_csv(table, index=False)
    train_in(place)
    return place


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """single_label, two folds of two seeds."""
    place = workplace(tmp_path_factory.mktemp("scenes"), "single_label", "fold", "SEEDS = 0, 1\n")
    train_in(place)
    return place


def name_a_file(path: Path) -> None:
    """The header of these weights names a file, which writes `was_run` when it is run."""
    description = replace(read_description(path), model="foreign.py:build")
    save_file(load_file(path), path, description.header())
    reseal(path.parent)
    Path("foreign.py").write_text(
        "from pathlib import Path\nPath('was_run').touch()\n"
        "from models.dcase_small import DcaseSmall as build\n"
    )


@pytest.fixture
def copy(scenes, tmp_path, monkeypatch) -> Path:
    """A copy of the scenes to break, as the working directory."""
    place = tmp_path / "copy"
    shutil.copytree(scenes, place)
    monkeypatch.chdir(place)
    return place
