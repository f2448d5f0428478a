"""Names, docstrings, messages and pages use the field's terms, see docs/glossary.md.

A model has inputs and predictions; a student is distilled from a teacher; systems are evaluated.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    *("hear", "hears", "heard", "hearing", "ear", "ears", "listens"),  # takes as input
    *("say", "says", "said", "saying"),  # predicts, contains, names
    *("taught", "teach", "teaches"),  # distilled from, trained with
    *("mend", "mends", "mended"),  # fix
    *("judge", "judges", "judged"),  # evaluate
    *("disturb", "disturbs", "disturbed", "disturbance", "disturbances"),  # augment
    *("want", "wants"),  # expects, requires
    *("lowered", "deviation", "deviations"),  # to_precision, std
}
TEXT = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
ALLOWED = re.compile(r"standard deviations?|[Hh]earing aids?", re.IGNORECASE)
HISTORY = ("glossary.md", "CHANGELOG.md")  # which list old names
OLD_KEYS = ROOT / "config/renamed.py"
PHYSICAL = "data/synthesis/"  # the acoustics of sources: what an ear hears


def files(*endings: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / line for line in listed.stdout.splitlines() if line.endswith(endings)]
    return [path for path in paths if path.exists() and path.name != Path(__file__).name]


def words_of(name: str) -> list[str]:
    """`HeardClips` -> ["heard", "clips"]."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def wrong_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        names = [node.name] if isinstance(node, kinds) else []
        names += [node.arg] if isinstance(node, ast.arg) else []
        names += [node.id] if isinstance(node, ast.Name) else []
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        yield from (name for name in names if WORDS & set(words_of(name)))


def wrong_texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line in node.value.splitlines():
                if TEXT.search(ALLOWED.sub("", line)):
                    yield line.strip()


SOURCES = [
    path
    for path in files(".py")
    if not path.relative_to(ROOT).as_posix().startswith(("tests/", PHYSICAL))
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_and_messages_use_standard_terms(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert list(wrong_names(tree)) == []
    if path != OLD_KEYS:
        assert list(wrong_texts(tree)) == []


PAGES = [path for path in files(".md", ".ini", ".html", ".js") if path.name not in HISTORY]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_use_standard_terms(path):
    lines = path.read_text("utf-8").splitlines()
    assert [line for line in lines if TEXT.search(ALLOWED.sub("", line))] == []


@pytest.mark.parametrize(
    ("source", "names", "texts"),
    [
        ("def heard(x): pass", ["heard"], []),
        ("class TaughtTerm: pass", ["TaughtTerm"], []),
        ("f(what_it_says=1)\nsaid = 1", ["said"], []),
        ("def f(gain_deviation): 'It hears.'", ["gain_deviation"], ["It hears."]),
        ("raise E(f'{a} is judged by {b}')", [], ["is judged by"]),
        ("early, bearing, clear = 'research', 'mean ± standard deviation', 'essay'", [], []),
    ],
)
def test_what_counts(source, names, texts):
    tree = ast.parse(source)
    assert list(wrong_names(tree)) == names
    assert list(wrong_texts(tree)) == texts
