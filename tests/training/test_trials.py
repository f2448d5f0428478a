"""The trials of a study: all combinations, or samples that a seed determines."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import ConfigError, Study
from training.trials import Trial, fixed_trials

keys = st.sampled_from(["student.epochs", "student.width_mult", "coefficients.kd", "mel.num_bands"])
values = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4, unique=True)
searched = st.dictionaries(keys, values, min_size=1)


@given(searched)
def test_a_grid_has_each_combination_once(searched):
    found = fixed_trials(Study(options={key: " | ".join(v) for key, v in searched.items()}))
    assert [trial.number for trial in found] == list(range(1, len(found) + 1))
    expected = [dict(zip(searched, v, strict=True)) for v in itertools.product(*searched.values())]
    assert [trial.values for trial in found] == expected
    assert len({trial.name for trial in found}) == len(found)


def test_a_trial_keeps_its_name_in_a_larger_grid():
    few = fixed_trials(Study(options={"student.epochs": "1 | 2"}))
    more = fixed_trials(Study(options={"student.epochs": "3 | 2 | 1"}))
    assert {trial.name for trial in few} < {trial.name for trial in more}
    one, other = Trial(1, {"a.b": "1", "c.d": "2"}), Trial(9, {"c.d": "2", "a.b": "1"})
    assert one.name == other.name
    assert one.overrides == ["a.b=1", "c.d=2"]


@settings(max_examples=25, deadline=None)
@given(searched, st.integers(0, 5), st.integers(1, 6))
def test_samples_differ_and_more_of_them_begin_with_the_same(searched, seed, trials):
    options = {key: " | ".join(v) for key, v in searched.items()}
    fewer, more = (
        fixed_trials(Study(method="random", seed=seed, trials=n, options=options))
        for n in (trials, trials + 3)
    )
    combinations = math.prod(map(len, searched.values()))
    assert len({trial.name for trial in more}) == len(more) == min(trials + 3, combinations)
    assert more[: len(fewer)] == fewer


def test_samples_of_ranges():
    options = {
        "student.learning_rate": "0.0001 .. 1.0 log",
        "student.dropout": "0.0 .. 0.5",
        "student.epochs": "1 .. 3",
        "student.batch_size": "1 .. 64 log",
    }
    found = fixed_trials(Study(method="random", trials=400, options=options))
    of = {key: np.array([float(trial.values[key]) for trial in found]) for key in found[0].values}
    rates = np.log10(of["student.learning_rate"])
    assert (rates >= -4).all()
    assert (rates <= 0).all()
    assert np.histogram(rates, 4, (-4, 0))[0] == pytest.approx(100, abs=30)
    assert of["student.dropout"].mean() == pytest.approx(0.25, abs=0.03)
    assert np.unique(of["student.epochs"], return_counts=True)[1] == pytest.approx(133, abs=35)
    assert set(of["student.epochs"]) == {1, 2, 3}
    assert np.median(of["student.batch_size"]) == pytest.approx(7, abs=2)
    assert found[0].values["student.epochs"] in "123"


def test_a_study_without_keys_is_refused():
    with pytest.raises(ConfigError, match=r"\[study\]: names no keys, such as"):
        fixed_trials(Study())
