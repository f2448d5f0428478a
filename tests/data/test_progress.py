import re
import sys

import pytest

from data.progress import progress


def advance(shown=True):
    with progress("reading", 3, shown=shown) as bar:
        for _ in range(3):
            bar.update()


def test_a_log_file_gets_two_lines(capsys):
    advance()
    shown = capsys.readouterr()
    assert re.fullmatch(r"reading: 3 clips\nreading: done in \d+ s\n", shown.err)
    assert shown.out == ""


def test_a_terminal_gets_a_bar_with_the_remaining_time(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    advance()
    shown = capsys.readouterr().err
    assert "reading: 100%" in shown
    assert re.search(r"3/3 \[\d\d:\d\d<\d\d:\d\d", shown)
    assert "done in" not in shown


def test_other_processes_show_nothing(capsys):
    advance(shown=False)
    assert capsys.readouterr().err == ""


def test_an_error_is_no_end(capsys):
    with pytest.raises(ValueError, match="broken"), progress("reading", 3):
        raise ValueError("broken")
    assert capsys.readouterr().err == "reading: 3 clips\n"
