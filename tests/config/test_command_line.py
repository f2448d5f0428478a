"""The scripts as a user runs them: options, messages, exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

import config

ROOT = Path(config.__file__).parents[1]


def python(*arguments, folder=ROOT):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True
    )


INSTALL = "run `make demo`, or `python -m pip install -r requirements.txt`"

SCRIPT = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT)!r})
import config

def main(arguments, found):
    what = found.data.root
    if what == "user":
        raise config.UserError("clip a.wav: truncated")
    if what == "config":
        raise config.ConfigError("[student] model", "found 'x'")
    if what == "key":
        raise config.ConfigError("[data] rot", "no such key")
    if what == "option":
        raise config.ConfigError("--download", "street_sounds has nothing to download")
    if what == "file":
        open("missing.wav")
    if what == "name":
        print("gr\\u00fcn.wav caf\\udce9.wav")
    if what == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "package":
        import not_installed.part
    if what == "module":
        import report.not_written
    if what == "bug":
        raise ZeroDivisionError
    print(found.student.epochs, arguments.download)

config.run_script(main, config.script_parser("Does it.", ("--download", "fetch it first")))
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "config.ini").write_text("[student]\nEPOCHS = 3\n")
    return lambda *arguments: python("script.py", *arguments, folder=tmp_path)


def test_a_script_that_does_its_work(script):
    done = script("--download", "--set", "student.epochs=4", "--set", "run.seeds=1, 2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 True\n", "")
    done = script()
    assert (done.returncode, done.stdout) == (0, "3 False\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["data.root=user"], 1, "clip a.wav: truncated"),
        (["data.root=config"], 2, "config.ini [student] model: found 'x'"),
        (["data.root=key", "--set", "data.rot=a"], 2, "--set data.rot=a: no such key"),
        (["data.root=option"], 2, "--download: street_sounds has nothing to download"),
        (["data.root=file"], 1, "[Errno 2] No such file or directory: 'missing.wav'"),
        (["data.root=package"], 1, f"the package not_installed is missing: {INSTALL}"),
        (["data.root=interrupt"], 130, "stopped; start it again to resume"),
        (["data.root=terminate"], 143, "stopped; start it again to resume"),
        (["student.epochs=x"], 2, "--set student.epochs=x: found 'x', expected a whole number"),
        (["student.epochs=1", "--config", "no.ini"], 2, "no.ini: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_status(script, arguments, status, message):
    done = script("--set", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"script.py: {message}\n"


def test_a_name_that_the_output_cannot_hold_is_printed_with_its_codes(script, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = script("--set", "data.root=name")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "gr\\xfcn.wav caf\\udce9.wav\n3 False\n"


def test_debug_shows_the_traceback_too(script):
    done = script("--debug", "--set", "data.root=user")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("\nscript.py: clip a.wav: truncated\n")


def test_a_bug_is_not_dressed_up_as_the_users_mistake(script):
    done = script("--set", "data.root=bug")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_missing_module_of_the_project_is_a_bug(script):
    done = script("--set", "data.root=module")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("arguments", [["--dowload"], ["--down"], ["x.ini"], ["--set"]])
def test_a_wrong_command_line_is_status_2(script, arguments):
    done = script(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: script.py")
    assert "Traceback" not in done.stderr


def test_help_says_where_the_keys_are(script):
    done = script("--help")
    assert done.returncode == 0
    for text in ("Does it.", "--config", "--set", "--debug", "fetch it first", "python -m config"):
        assert text in done.stdout


def test_config_imports_nothing_heavy(monkeypatch):
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # coverage imports some of these
    done = python("-c", "import sys, config; print(*sys.modules)")
    assert done.returncode == 0
    heavy = {"torch", "numpy", "pandas", "scipy", "yaml", "asyncio", "multiprocessing"}
    assert not heavy & set(done.stdout.split())


def test_the_next_command_has_the_same_options():
    def after(*arguments):
        parsed = config.script_parser("").parse_args(arguments)
        return config.next_command("train_teacher.py", parsed)

    assert after() == "next: python train_teacher.py"
    chosen = "--config", "my recipes/a.ini", "--set", "mel.num_bands=20"
    command = "python train_teacher.py --config 'my recipes/a.ini' --set mel.num_bands=20"
    assert after(*chosen) == f"next: {command}"
