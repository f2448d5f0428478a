"""`python -m config` and the table of the documentation."""

import pytest

import config
from config.reference import keys_table, overview, section_text
from tests.config.test_command_line import python


def test_the_table_has_a_row_for_every_key():
    head, rule, *rows = keys_table().splitlines()
    assert head == "| section | key | default | meaning |"
    assert rule == "| --- | --- | --- | --- |"
    cells = [[cell.strip() for cell in row.strip("|").split(" | ", 3)] for row in rows]
    listed = {(name, row[1]) for row in cells for name in row[0].split()}
    for name, kind in config.SECTIONS.items():
        for key_name in config.key_fields(kind):
            assert (f"[{name}]", key_name.upper()) in listed
    by_key = {(row[0], row[1]): row for row in cells}
    assert by_key["[mel.student]", "NUM_BANDS"][2] == "20"
    assert by_key["[mel] [mel.teacher]", "NUM_BANDS"][2] == "64"
    assert by_key["[data]", "HOLD_OUT"][2:] == [
        "0.15",
        "fraction of the training groups (sensors, recordings) that serve as validation set where "
        "the data set has none; 0: no validation, the last epoch is kept (0 to 0.5)",
    ]


def test_the_overview_has_a_line_for_every_section():
    names = [line.split()[0] for line in overview().splitlines() if line.startswith("[")]
    assert names == [f"[{name}]" for name in config.SECTIONS if "." not in name] + [
        "[coefficients]"
    ]


@pytest.mark.parametrize("name", config.SECTIONS)
def test_a_section_lists_its_keys_within_the_terminal(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = section_text(name).splitlines()
    for key_name in config.key_fields(config.SECTIONS[name]):
        assert any(line.startswith(f"{key_name.upper()} =") for line in lines)
    assert max(map(len, lines[1:])) <= 80


def test_on_the_command_line():
    assert python("-m", "config", "[Student]").stdout.startswith("[student]: ")
    assert "KD = 1.5" in python("-m", "config", "coefficients").stdout
    wrong = python("-m", "config", "studnet")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("python -m config: SECTION: found 'studnet'; nearest: student")
