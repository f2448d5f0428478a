import re
import sys
from pathlib import Path

import pytest

from config import UserError
from training.log import logged


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The lines of the log without their times, and the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train_student.py", "--set", "run.name=a b"])

    def lines():
        text = Path("runs/a/log.txt").read_text()
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*\n)*", text)
        return [line[20:] for line in text.splitlines()]

    return lines


def test_what_is_printed_is_in_the_log_too(log, capsys):
    with logged("a"):
        print("before there is a folder")
        Path("runs/a").mkdir(parents=True)
        print("\r10 %\r50 %", end="", file=sys.stderr)
        print("\r100 %", file=sys.stderr)
        print("gr\u00fcn caf\udce9.wav".encode("utf-8", "replace").decode())
        assert not sys.stderr.isatty()
    print("after it")
    command = "$ train_student.py --set 'run.name=a b'"
    assert log() == [command, "before there is a folder", "100 %", "gr\u00fcn caf?.wav"]
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        *("before there is a folder", "gr\u00fcn caf?.wav", "after it")
    ]
    assert printed.err == "\r10 %\r50 %\r100 %\n"
    with logged("a"):
        print("resumed")
    assert log()[-2:] == [command, "resumed"]


def test_the_log_ends_with_the_error(log):
    Path("runs/a").mkdir(parents=True)
    with pytest.raises(UserError), logged("a"):
        raise UserError("a.wav: truncated")
    assert log()[-1] == "a.wav: truncated"
    with pytest.raises(ZeroDivisionError), logged("a"):
        print(1 / 0)
    assert log()[-1] == "ZeroDivisionError: division by zero"
    assert sys.stdout is not None


def test_a_script_that_is_refused_makes_no_folder(log):
    with pytest.raises(UserError), logged("a"):
        raise UserError("[student] model: no such model")
    assert not Path("runs").exists()


def test_a_full_disk_does_not_end_a_training(log):
    Path("runs/a/log.txt").mkdir(parents=True)
    with logged("a"):
        print("goes on")
