"""[study]: searched keys, their values and ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError, Study, load
from config.sections.study import Range, read_space


def test_values_and_ranges():
    assert read_space("", "0.1 | 0.3") == ("0.1", "0.3")
    assert read_space("", "ce | ce, ce+kd |") == ("ce", "ce, ce+kd", "")
    assert read_space("", "../runs/a..b") == ("../runs/a..b",)
    assert read_space("", "1e-3 .. 0.1 log") == Range(0.001, 0.1, True, False)
    assert read_space("", "1 .. 8") == Range(1, 8, False, True)
    assert read_space("", "1 .. 8.0") == Range(1, 8, False, False)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("student.epochs", "1 | 2 | 1", "found '1 | 2 | 1', expected no duplicates"),
        ("student.epochs", "8 .. 2", "expected LOW < HIGH"),
        ("student.epochs", "0 .. 2 log", "expected LOW < HIGH, both above 0"),
        ("student.epochs", "1 .. b", "found 'b', expected a number"),
        ("student.epochs", "1 .. 2", "found the range '1 .. 2', but METHOD = grid"),
        ("epochs", "1", "is not searched; expected a key of the trials with its section"),
        ("run.seeds", "1", "is not searched"),
        ("study.seed", "1", "is not searched"),
    ],
)
def test_what_cannot_be_searched_is_named(tmp_path, key, text, message):
    path = tmp_path / "a.ini"
    path.write_text(f"[study]\n{key} = {text}\n")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value).startswith(f"{path} [study] {key}: ")
    assert message in str(error.value)


def test_a_searched_key_on_the_command_line_has_dots(tmp_path):
    path = tmp_path / "a.ini"
    path.write_text("[study]\nSTUDENT.EPOCHS = 1 | 2\n")
    found = load(path, ["study.mel.student.num_bands=8 | 16", "study.method=random"])
    expected = {"student.epochs": "1 | 2", "mel.student.num_bands": "8 | 16"}
    assert found.study == Study(method="random", options=expected)
    path.write_text(found.to_ini())
    assert load(path) == found


bounds = st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)).filter(lambda b: b[0] < b[1])


@given(bounds, st.floats(-1e7, 1e7))
def test_a_value_is_within_its_range(bounds, value):
    low, high = bounds
    text = Range(low, high, False, False).text(value)
    assert low <= float(text) <= high
    if low <= value <= high:
        assert float(text) == pytest.approx(value, rel=1e-3)


def test_a_value_of_a_study_as_text():
    assert Range(0.001, 0.1, True, False).text(0.0123456) == "0.01235"
    assert Range(1, 8, False, True).text(2.6) == "3"
    assert Range(1, 8, False, True).text(0.2) == "1"
    assert Range(1, 8, False, True).text(8.4) == "8"
    assert Range(1, 8, False, True).text(11) == "8"
