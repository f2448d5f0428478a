"""soundstill-deploy as pip installs it, away from the project."""

import ast
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile

from tests.deploy.stand_in import expected_probabilities, make_student
from tests.scripts import ROOT, environment

LIBRARIES = {"numpy", "onnxruntime", "soundfile", "soxr", "av", "huggingface_hub"}
LIBRARIES |= {"pandas"}  # of Tags.table
TAGGED = """
import sys
from deploy import Student
print(*Student("student.onnx").tag("street.wav").probabilities.ravel())
print(*sorted(name for name, module in sys.modules.items() if getattr(module, "__file__", None)))
"""


def pip(*arguments, status=0):
    """Its standard error."""
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--no-deps", "--no-index", "-qq"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    before = sorted(ROOT.joinpath("deploy").iterdir())
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, ROOT / "deploy")
    assert sorted(ROOT.joinpath("deploy").iterdir()) == before, "the build left files"
    (found,) = folder.iterdir()
    return found


def test_an_editable_installation_is_refused(tmp_path):
    """Its modules are copies."""
    options = ("--no-build-isolation", "--target", tmp_path / "site", "--editable")
    complaint = pip("install", *options, ROOT / "deploy", status=1)
    assert "cannot be installed with --editable; run `python -m pip install ./deploy`" in complaint


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--target", folder, wheel)
    return folder


@pytest.fixture
def place(tmp_path):
    """A student, a recording, and modules of the user's with the names of the project's."""
    make_student(tmp_path / "student.onnx")
    levels = np.repeat([0.4, 0.1], [6000, 4000])
    soundfile.write(tmp_path / "street.wav", levels * (-1) ** np.arange(10_000), 8000)
    for name in ("config", "data", "models"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the module of the user')")
    return tmp_path


def run(place, installed, *command, status=0):
    env = environment() | {"PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_the_wheel_has_one_package_and_its_requirements(wheel):
    with ZipFile(wheel) as file:
        names = file.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        required = {
            line.removeprefix("Requires-Dist: ").partition("<")[0]: line.partition("; ")[2]
            for line in file.read(metadata).decode().splitlines()
            if line.startswith("Requires-Dist: ")
        }
    assert wheel.name.startswith("soundstill_deploy-")
    assert {name.partition("/")[0] for name in names} == {"deploy", Path(metadata).parent.name}
    assert {"deploy/student.py", "deploy/tag_audio.py"} <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "deploy/export.py" not in names
    assert required.keys() == LIBRARIES - {"pandas"}
    extras = {name: required[name] for name in ("av", "huggingface_hub")}
    assert extras == {"av": 'extra == "av"', "huggingface_hub": 'extra == "hub"'}
    assert {required[name] for name in required.keys() - extras.keys()} == {""}


def test_every_import_is_in_the_wheel_or_required(wheel):
    """Only those of --web and --evaluate are not."""
    with ZipFile(wheel) as file:
        sources = {name: file.read(name) for name in file.namelist() if name.endswith(".py")}
    modules = {name.removesuffix(".py").removesuffix("/__init__") for name in sources}
    missing = set()
    for source in sources.values():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            known = sys.stdlib_module_names | LIBRARIES
            missing |= {
                name
                for name in names
                if name.partition(".")[0] not in known and name.replace(".", "/") not in modules
            }
    assert missing == {"deploy.web", "deploy.evaluation"}


def test_python_tags_a_file(place, installed):
    found, imported = run(place, installed, sys.executable, "-c", TAGGED).splitlines()
    levels = (0.4, 0.25, 0.05)  # half of the last window is padding
    expected = np.array([expected_probabilities(level) for level in levels])
    assert np.float64(found.split()).reshape(-1, 2) == pytest.approx(expected, abs=1e-5)
    assert not {"torch", "pandas", "onnx", "librosa"} & set(imported.split())


def test_the_command_prints_what_the_script_prints(place, installed):
    arguments = ["student.onnx", "street.wav", "--format", "csv", "--hop", "0.25"]
    found = run(place, installed, installed / "bin" / "tag-audio", *arguments)
    script = [sys.executable, ROOT / "tag_audio.py"]
    expected = run(place, ROOT, *script, *arguments)
    assert found == expected
    assert len(found.splitlines()) > 4


@pytest.mark.parametrize("options", [["--web"], ["--evaluate", "clips.csv"]])
def test_what_requires_the_project_is_refused(place, installed, options):
    command = installed / "bin" / "tag-audio"
    complaint = run(place, installed, command, "student.onnx", *options, status=2)
    assert complaint.startswith(f"tag-audio: {options[0]}: requires the project")
