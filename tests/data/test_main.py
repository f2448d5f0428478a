import configparser
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from config import Data, constructor_options
from data.__main__ import description, listing, main
from data.datasets import DATASETS

every_dataset = pytest.mark.parametrize("name", sorted(DATASETS))


@every_dataset
def test_the_list_has_clips_labels_licence_and_source_of_each_data_set(name):
    paragraph = listing().split(f"\n{name}\n")[-1] if name != "audioset" else listing()
    dataset = DATASETS[name]
    for text in (dataset.clips_summary, dataset.labels_summary, dataset.licence):
        assert text in paragraph.split("\n\n")[0]
    assert dataset.how_to_get in paragraph.split("\n\n")[0]


@every_dataset
def test_the_lines_for_config_ini_build_the_data_set(name):
    text = description(name)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(text[text.rindex("[data]\n") :])
    values = dict(settings["data"])
    assert values.pop("dataset") == name
    keys = {field.name for field in fields(Data)}
    options = {key: value for key, value in values.items() if key not in keys}
    found = constructor_options("[data]", Data(dataset=name, options=options), DATASETS[name])
    DATASETS[name](**found)


@every_dataset
def test_a_description_has_the_layout_of_the_folder(name):
    text = description(name)
    assert "Layout:" in text or "Columns:" in text
    assert DATASETS[name].licence in text


def test_choices_and_defaults_are_listed():
    text = description("sonyc_ust")
    assert "\n    VERSION = v1 (one of v1, v2)\n" in text
    assert "\n    DROP_SPAM = no\n" in text
    assert "\nLABELS = union\n" in text


def test_an_unknown_name_gets_the_nearest_one(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["esc05"])
    assert ended.value.code == 2
    assert "nearest: esc50" in capsys.readouterr().err


def test_it_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "data", "esc10"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "DATASET = esc10" in ended.stdout
