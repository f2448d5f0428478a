"""Every key of config.ini is read by something outside config/."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

import config

ROOT = Path(config.__file__).parents[1]
ROOMS = ("data", "losses", "metrics", "models", "report", "training")
SECTIONS = [name for name in config.SECTIONS if "." not in name]
KEYS = [(name, key) for name in SECTIONS for key in config.key_fields(config.SECTIONS[name])]
ELSEWHERE_TOO = {("run", "name"), ("run", "device"), ("distillation", "teacher")}
"""Paths have names, tensors devices, a Config a teacher: these are read as run.name and so on."""

ROLES = ("teacher", "student")
"""Of one class, whose keys are read as settings.epochs."""


def sources(root: Path) -> Iterator[Path]:
    """The scripts and the packages; neither the tests nor config."""
    yield from root.glob("*.py")
    for room in ROOMS:
        yield from (root / room).rglob("*.py")


@cache
def attributes_read(root: Path) -> set[tuple[str, str]]:
    """(owner, name) of what is read as `owner.name` or `….owner.name`; owner "" if it has no name.

    Left out are methods that are called (x.log()), what modules hold (torch.device) and what
    objects read of themselves (self.folds): none of these is a section of a configuration.
    """
    read = set()
    for path in sources(root):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"), str(path))))
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [alias.asname or alias.name for node in imports for alias in node.names]
        strangers = {"self", "cls", *(name.partition(".")[0] for name in names)}
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
                continue
            if isinstance(node.value, ast.Name) and node.value.id in strangers:
                continue
            if id(node) not in called:
                owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
                read.add((owner, node.attr))
    return read


def is_read(section: str, key: str, read: set[tuple[str, str]]) -> bool:
    """A name that other sections or other objects have too counts only with its own section."""
    shared = {"role" if other in ROLES else other for other, name in KEYS if name == key}
    if len(shared) == 1 and (section, key) not in ELSEWHERE_TOO:
        return key in {name for _, name in read}
    owners = {section, "settings"} if section in ROLES else {section}
    return any((owner, key) in read for owner in owners)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_the_key_is_read(section, key):
    assert is_read(section, key, attributes_read(ROOT)), f"nothing reads [{section}] {key.upper()}"


@pytest.mark.parametrize(
    ("section", "key"),
    [("quantisation", "epochs"), ("specialists", "batch_size"), ("budget", "precision")],
)
def test_a_key_whose_name_another_section_has_too_can_be_unread(section, key):
    read = attributes_read(ROOT) - {(section, key)}
    assert not is_read(section, key, read)
    others = [other for other, name in KEYS if name == key and other != section]
    assert others
    assert all(is_read(other, key, read) for other in others)


@pytest.mark.parametrize("section", [f.name for f in fields(config.Config)])
def test_the_section_is_read(section):
    role, _, kind = section.partition("_")
    if kind in ("mel", "augment"):  # by Config.mel_of(role) and Config.augment_of(role)
        settings = config.load(ROOT / "config.ini")
        assert getattr(settings, f"{kind}_of")(role) is getattr(settings, section)
        return
    assert section in {name for _, name in attributes_read(ROOT)}, f"nothing reads .{section}"


def test_what_counts_as_read(tmp_path):
    for name, text in {
        "script.py": "def main(config, path):\n    print(config.run.seeds, path.name, f().device)",
        "config/a.py": "def f(run):\n    return run.workers",
        "data/mel.py": "import torch\nlog = torch.log(x.log()) + torch.log10\nprint(mel.num_bands)",
        "data/sets/a.py": "class A:\n    def f(self, mel):\n        self.folds = self.hold_out",
        "models/b.py": "from x import window as window_of\nwindow_of.framing\nmel.padding = 1",
        "tests/c.py": "def f(run):\n    return run.precision",
        ".venv/d.py": "def f(run):\n    return run.device",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert attributes_read(tmp_path) == {
        ("config", "run"),
        ("run", "seeds"),
        ("path", "name"),
        ("", "device"),
        ("mel", "num_bands"),
    }
