"""Errors of the user, and the nearest name."""

import pickle

import pytest

import config
from config import ConfigError, UserError


def test_an_error_survives_the_way_back_from_a_worker_process():
    error = pickle.loads(pickle.dumps(ConfigError("[run] seeds", "found none")))
    assert (type(error), str(error)) == (ConfigError, "[run] seeds: found none")


def test_choose():
    assert config.choose("[student] model", {"a": 1, "b": 2}, "b") == 2
    with pytest.raises(ConfigError) as caught:
        config.choose("[student] model", {"dcase_net": 1, "cnn_lstm": 2}, "dcasenet")
    assert str(caught.value) == (
        "[student] model: found 'dcasenet'; nearest: dcase_net (allowed: cnn_lstm, dcase_net)"
    )


def test_user_errors_are_status_1():
    assert UserError("x").exit_status == 1
    assert issubclass(ConfigError, UserError)


def test_a_name_is_near_that_shares_half_of_its_letters():
    assert config.nearest("rates", ["sample_rate"]).startswith("; nearest: sample_rate")
    assert config.nearest("seed", ["sample_rate"]) == " (allowed: sample_rate)"


def test_the_reason_is_the_first_line_or_the_class():
    assert config.reason_of(OSError("\n disk full\nat 3")) == "disk full"
    assert config.reason_of(MemoryError()) == "MemoryError"
