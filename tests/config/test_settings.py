"""The resolved file gives an equal configuration."""

import re
import typing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Literal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import config
from config import Config, ConfigError, Mel, load
from config.fields import LIMIT

lines = st.text(max_size=12).filter(
    lambda text: text == text.strip() and not re.search(r"(^|\s)[#;]|[\r\n]", text)
)


items = lines.filter(lambda text: text and "," not in text)


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


members = st.lists(
    st.sampled_from(["teacher", "2 * student/ce+kd", "runs/a/b"]), min_size=1, unique=True
)


members = members.map(", ".join)


SPECIAL = {
    "device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:3"]),
    "name": names,
    "teacher_run": names,
    "trials": st.integers(1, 9),
    **dict.fromkeys(("teachers", "students", "chains"), st.just(())),
    "adam_betas": st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    "warm_up_epochs": st.integers(0, 3),
    "warm_up_steps": st.sampled_from([0, 100]),
    "swa_start_epoch": st.integers(0, 3),
    "swa_every_epochs": st.just(1),
    "ensemble_start_epoch": st.integers(0, 3),
}


def values_of(f, hint):
    """What a key may be, from its type and its range."""
    low, high = f.metadata["low"], f.metadata["high"]
    high = LIMIT if high is None else high
    if f.name in SPECIAL:
        return SPECIAL[f.name]
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        kind, *_ = typing.get_args(hint)
        numbers = {int: st.integers(low, int(high)), float: st.floats(low, high)}
        named = st.sampled_from(typing.get_args(kind) or [""])
        one = (numbers | {str: items}).get(kind, named)
        return st.lists(one, max_size=3, unique=True).map(tuple)
    some = set(typing.get_args(hint)) - {NoneType}
    if typing.get_args(hint):
        return st.none() | values_of(f, *some)
    return {
        bool: st.booleans(),
        int: st.integers(low, int(high)),
        float: st.floats(low, high, allow_nan=False, allow_infinity=False),
        str: lines,
    }[hint]


@st.composite
def sections(draw, kind):
    """A section with some keys set, fewer of them where they contradict one another."""
    hints = typing.get_type_hints(kind)
    known = config.key_fields(kind)
    chosen = draw(st.sets(st.sampled_from(sorted(known)), max_size=5)) if known else ()
    values = {}
    if "options" in hints:
        unknown = names.filter(lambda name: name not in known and name != "softmax_temperature")
        text = {config.Ensembles: members, config.Matrix: st.just("MODEL=ast")}.get(kind, lines)
        unknown = unknown.map("student.{}".format) if kind is config.Study else unknown
        values["options"] = draw(st.dictionaries(unknown, text, max_size=2))
    values |= {name: draw(values_of(known[name], hints[name])) for name in sorted(chosen)}
    while True:
        try:
            return kind(**values)
        except ConfigError:
            values.popitem()


configs = st.builds(
    Config,
    data=sections(config.Data),
    teacher_mel=sections(Mel),
    student_mel=sections(config.StudentMel),
    teacher=sections(config.Teacher),
    student=sections(config.Student),
    classes=sections(config.Classes),
    specialists=sections(config.Specialists),
    distillation=sections(config.Distillation),
    coefficients=st.dictionaries(names, st.floats(0, 1e6), max_size=3),
    losses=st.dictionaries(names, sections(config.LossSettings), max_size=2),
    teacher_augment=sections(config.Augment),
    specialists_augment=sections(config.Augment),
    student_augment=sections(config.Augment),
    ensembles=sections(config.Ensembles),
    matrix=sections(config.Matrix),
    study=sections(config.Study),
    quantisation=sections(config.Quantisation),
    budget=sections(config.Budget),
    run=sections(config.Run),
)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(configs)
def test_the_resolved_file_gives_the_same_configuration(wanted):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{wanted.run.name or 'unnamed'}.ini"
        path.write_text(wanted.to_ini(), encoding="utf-8")
        found = load(path)
    if not wanted.run.name:
        wanted = replace(wanted, run=replace(wanted.run, name="unnamed"))
    assert found == wanted


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.text(max_size=10), st.sampled_from(["data.root", "student.init", "teacher.kind"]))
def test_an_override_that_is_accepted_survives_the_resolved_file(text, where):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a #1.ini"
        path.touch()
        try:
            wanted = load(path, [f"{where}={text}"])
        except ConfigError:
            assume(False)
        path.write_text(wanted.to_ini(), encoding="utf-8")
        assert load(path) == wanted


def test_the_members_of_all_ensembles(ini):
    assert ini("[specialists]\nPAIRS = 1").ensemble_members() == {
        "ensemble": {"teacher": 1.0, "specialist_1": 1.0}
    }
    assert ini("").ensemble_members() == {}
    chosen = ini("[specialists]\nPAIRS = 1\n[ensembles]\nFUSION = teacher")
    assert list(chosen.ensemble_members()) == ["ensemble", "fusion"]


def test_the_models_that_a_configuration_names(tmp_path):
    path = tmp_path / "a.ini"
    assert config.models_of(path) == set()
    path.write_text("[teacher]\nMODEL = own.py:build\n[student]\nWIDTH_MULT = 2\n")
    assert config.models_of(path) == {"own.py:build"}


def test_the_text_of_a_truth_value():
    assert config.to_text((True, False, None, 2)) == "yes, no, , 2"
