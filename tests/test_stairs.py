"""Imports go down: scripts > deploy, report, training > models, losses, metrics, data > config.

Rooms on one stair do not import one another. Importing a module costs little, and a function lives
in the room that its work belongs to.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

STAIRS = {"config": 0} | dict.fromkeys(("models", "losses", "metrics", "data"), 1)
STAIRS |= dict.fromkeys(("deploy", "report", "training"), 2)
SCRIPT = 3  # any other module at the top, and benchmarks
ABOVE_ALL = {"tests"}  # test everything, may import everything
HEAVY = {"timm", "torchvision", "librosa", "soundfile", "soxr", "matplotlib", "jinja2"}
HEAVY |= {"av", "onnx", "onnxscript", "onnxruntime", "gradio", "huggingface_hub"}
HEAVY |= {"tensorboard", "mlflow", "wandb", "trackio"}
NAMELESS = {"utils", "util", "helpers", "helper", "common"}
NOT_CODE = {"audio", "features", "runs"}


def faults(root: Path) -> list[str]:
    """Every breach of the rules below `root`, as `file:line: what is wrong`."""
    found, rooms = [], top_names(root)
    for path in python_files(root):
        file = path.relative_to(root)
        found += [f"{file}: say what it is about" for part in file.parts if stem(part) in NAMELESS]
        tree = ast.parse(path.read_bytes(), str(file))
        here = stem(file.parts[0])
        if here in ABOVE_ALL:
            continue
        for node, name in imports(tree, file):
            there = name.partition(".")[0]
            if there in rooms and there != here and height(there) >= height(here):
                found.append(f"{file}:{node.lineno}: {here} imports {name}")
        if here == "benchmarks":
            continue
        for node, name in imports(tree, file, at_import_time_only=True):
            if name.partition(".")[0] in HEAVY:
                found.append(f"{file}:{node.lineno}: {name} at the top of a module")
    return found


def python_files(root: Path) -> Iterator[Path]:
    for folder, inner, files in os.walk(root):
        at_top = Path(folder) == root
        inner[:] = sorted(n for n in inner if n[0] != "." and not (at_top and n in NOT_CODE))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def top_names(root: Path) -> set[str]:
    return {stem(path.relative_to(root).parts[0]) for path in python_files(root)}


def stem(part: str) -> str:
    return part.removesuffix(".py")


def height(room: str) -> int:
    return STAIRS.get(room, SCRIPT) if room not in ABOVE_ALL else SCRIPT + 1


def imports(
    tree: ast.Module, file: Path, at_import_time_only: bool = False
) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Each import and the absolute name of what it imports; importlib with a constant counts."""
    package = file.parent.parts
    for node in at_import_time(tree) if at_import_time_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node, f"{module}.{alias.name}".lstrip(".")) for alias in node.names)
        elif is_import_by_name(node):
            yield node, str(node.args[0].value)


def is_import_by_name(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    return ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: no function, nothing for the type checker."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from at_import_time(child)


ROOT = Path(__file__).resolve().parents[1]


def test_the_house_keeps_its_stairs():
    assert len(list(python_files(ROOT))) > 10
    assert faults(ROOT) == []


PLANTED = [
    ("models/a.py", "import losses", "models imports losses"),
    ("models/a.py", "from losses.kd import Kd", "models imports losses.kd.Kd"),
    ("losses/a.py", "def f():\n    from metrics import map", "losses imports metrics.map"),
    (
        "metrics/deep/a.py",
        "from data.tables.clips import Clip",
        "metrics imports data.tables.clips.Clip",
    ),
    ("data/a.py", "from training.loop import fit", "data imports training.loop.fit"),
    ("data/a.py", "from .. import models", "data imports models"),
    ("data/datasets/a.py", "from ... import models", "data imports models"),
    ("training/a.py", "import report.page", "training imports report.page"),
    ("report/a.py", "from training import loop", "report imports training.loop"),
    ("deploy/a.py", "from training import loop", "deploy imports training.loop"),
    ("training/a.py", "import train_student", "training imports train_student"),
    ("config/a.py", "from data.tables import clips", "config imports data.tables.clips"),
    ("train_student.py", "import make_mel", "train_student imports make_mel"),
    ("losses/a.py", "import importlib\nimportlib.import_module('models.a')", "imports models.a"),
    ("models/a.py", "if x:\n    import torchvision.models", "torchvision.models at the top"),
    ("data/a.py", "import soundfile", "soundfile at the top"),
    ("make_mel.py", "from librosa import load", "librosa.load at the top"),
    ("report/a.py", "class A:\n    import matplotlib", "matplotlib at the top"),
    (
        "models/a.py",
        "try:\n    import timm\nexcept ImportError:\n    timm = None",
        "timm at the top",
    ),
    ("training/utils.py", "", "say what it is about"),
    ("data/helpers/a.py", "", "say what it is about"),
    ("tests/common.py", "", "say what it is about"),
]


@pytest.mark.parametrize(("file", "text", "complaint"), PLANTED)
def test_a_planted_breach_is_found(tmp_path, file, text, complaint):
    plant(tmp_path)
    write(tmp_path / file, text)
    (found,) = faults(tmp_path)
    assert found.startswith(file.removesuffix("a.py"))
    assert complaint in found


ALLOWED = [
    (
        "train_student.py",
        "import training.loop, report.page, models, losses, metrics, data, config",
    ),
    (
        "training/a.py",
        "from models import MODELS\nfrom data.tables.clips import Clip\nimport config",
    ),
    (
        "data/datasets/a.py",
        "from . import b\nfrom ..clips import Clip\nfrom data.tables.clips import Clip",
    ),
    ("models/a.py", "def f():\n    import torchvision\n    return lambda: __import__('timm')"),
    ("data/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import soundfile"),
    ("models/a.py", "import torch\nimport datasets.metrics\nfrom sklearn import metrics"),
    ("tests/test_a.py", "import soundfile, train_student, models, losses"),
    ("benchmarks/a.py", "import librosa, data.tables.clips"),
    ("runs/utils.py", "import losses"),
    (".venv/lib/utils.py", "import losses"),
]


@pytest.mark.parametrize(("file", "text"), ALLOWED)
def test_what_goes_down_or_outside_is_allowed(tmp_path, file, text):
    plant(tmp_path)
    write(tmp_path / file, text)
    assert faults(tmp_path) == []


def plant(root: Path) -> None:
    for room in ("models", "losses", "metrics", "data", "training", "report", "deploy"):
        write(root / room / "__init__.py", "import config")
    for script in ("make_mel.py", "train_student.py"):
        write(root / script, "")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
