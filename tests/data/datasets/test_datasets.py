"""The contract of every registered data set."""

import inspect
import subprocess
import sys
import typing
from dataclasses import fields

import pytest

from config import ConfigError, Data, Task, UserError, constructor_options, to_text
from config.fields import cast
from data.datasets import DATASETS

every_dataset = pytest.mark.parametrize("name", sorted(DATASETS))


def options_of(name):
    return list(inspect.signature(DATASETS[name]).parameters.values())


@every_dataset
def test_a_data_set_describes_itself(name):
    dataset = DATASETS[name]()
    assert dataset.task in typing.get_args(Task)
    assert isinstance(dataset.metric, str)
    assert dataset.metric
    assert dataset.clip_seconds > 0
    assert isinstance(dataset.embedded, bool)
    assert isinstance(dataset.stereo, bool)
    assert dataset.recording_seconds == 0, "of no option, clips are trained on as they are"
    assert isinstance(dataset.licence, str)
    assert dataset.licence
    assert callable(dataset.download)
    assert callable(dataset.sources)
    assert inspect.getdoc(DATASETS[name])


@every_dataset
def test_options_are_keywords_with_defaults_that_an_ini_file_can_hold(name):
    for option in options_of(name):
        assert option.kind is option.KEYWORD_ONLY
        assert option.default is not option.empty
    texts = {option.name: to_text(option.default) for option in options_of(name)}
    found = constructor_options("[data]", Data(dataset=name, options=texts), DATASETS[name])
    assert found == {option.name: option.default for option in options_of(name)}
    DATASETS[name](**found)


@every_dataset
def test_each_choice_of_an_option_can_be_written_and_built(name):
    hints = typing.get_type_hints(DATASETS[name].__init__)
    for option in options_of(name):
        if typing.get_origin(hints[option.name]) is typing.Literal:
            for choice in typing.get_args(hints[option.name]):
                assert cast(choice, hints[option.name], "[data]") == choice
                DATASETS[name](**{option.name: choice})


@every_dataset
def test_no_option_hides_behind_a_key_of_the_section(name):
    assert not {option.name for option in options_of(name)} & {field.name for field in fields(Data)}


@every_dataset
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ConfigError, match="colour"):
        constructor_options("[data]", Data(options={"colour": "red"}), DATASETS[name])


@every_dataset
def test_a_missing_root_is_the_users_error(name, tmp_path):
    with pytest.raises(UserError, match=str(tmp_path / "nowhere")):
        DATASETS[name]().table(tmp_path / "nowhere")


def test_the_table_costs_no_heavy_import():
    code = (
        "import sys, data.datasets;"
        "heavy = {'torch', 'soundfile', 'librosa', 'scipy.signal', 'data.download'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
