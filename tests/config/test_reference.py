"""`python -m config`."""

import pytest

import config
from config.reference import indented, meanings, overview, section_text, summary
from tests.config.test_command_line import python


def test_the_overview_has_a_line_for_every_section():
    names = [line.split()[0] for line in overview().splitlines() if line.startswith("[")]
    assert names == [f"[{name}]" for name in config.SECTIONS if "." not in name] + [
        *("[coefficients]", "[loss.NAME]")
    ]


@pytest.mark.parametrize("name", config.SECTIONS)
def test_a_section_lists_its_keys_within_the_terminal(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = section_text(name).splitlines()
    assert lines[0] == f"[{name}]: {summary(config.SECTIONS[name])}"
    assert all(line == line.rstrip() for line in lines)
    for key_name in config.key_fields(config.SECTIONS[name]):
        assert any(line.startswith(f"{key_name.upper()} =") for line in lines)
    assert max(map(len, lines[1:])) <= 80


def test_on_the_command_line():
    assert python("-m", "config", "[Student]").stdout.startswith("[student]: ")
    assert "KD = 1.5" in python("-m", "config", "coefficients").stdout
    assert section_text("loss.kd").startswith("[loss.kd]: settings of one loss")
    wrong = python("-m", "config", "coefficient")
    assert "nearest: coefficients (allowed: augment, " in wrong.stderr
    wrong = python("-m", "config", "studnet")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("python -m config: SECTION: found 'studnet'; nearest: student")


def test_the_overview_summarises_a_section_without_its_name():
    assert summary(config.Student) == "the model that is distilled, and its training"


def test_a_key_is_listed_with_its_range_or_its_choices():
    found = {f.name: meaning for f, meaning in meanings(config.Teacher)}
    assert found["label_smoothing"].endswith(" (0 to 0.5)")
    assert found["batch_size"].endswith(" (1 to 100000)")
    assert found["epochs"].endswith(" (at least 0)")
    assert found["sampling"].endswith(" (one of shuffled, balanced)")
    assert "(" not in found["freeze"]


def test_the_overview_summarises_each_section():
    assert f"[student]        {summary(config.Student)}\n" in overview()
    assert overview().endswith("\n\n`python -m config SECTION` lists the keys of a section.")


def test_a_summary_may_have_a_colon():
    class Section:
        """[section]: one: two.

        More.
        """

    assert summary(Section) == "one: two"


def test_the_keys_of_one_role_are_listed_where_both_are_set():
    assert "KEY_TEACHER, KEY_STUDENT" in section_text("mel")
    assert "KEY_TEACHER" not in section_text("mel.teacher")


def test_keys_that_the_user_names_are_described():
    assert "\n…\n    a searched key and its values, such as STUDENT.LEARNING_RATE" in section_text(
        "study"
    )
    assert "\n…\n    options of the model: `python -m models NAME` lists them" in section_text(
        "student"
    )


def test_a_line_has_at_most_100_characters_in_a_wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = indented("x " * 200).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.startswith("    x") for line in lines)
