"""The command line of `python -m models`."""

import inspect
import json

import pytest

from config.pretrained import PRETRAINED
from models import MODELS
from models.__main__ import main


def test_without_a_name_all_models_are_listed(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(MODELS)
    for line in lines:
        assert line.endswith(".")
        assert len(line) <= 80


def test_a_model_with_options_is_one_json_object(capsys):
    arguments = ["cnn_lstm", "TIME_FIRST=no", "--classes", "8", "--input", "1x48x20"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "cnn_lstm",
        "parameters": 83_784,
        "macs": 22 * 8 * 32 * 25 + 22 * 4 * 64 * (256 + 64) + 64 * 8,
        "weight_bytes": 4 * 83_784,
    }


def test_options_before_and_after_the_name(capsys):
    assert main(["dcase_small", "--input", "2x32x20", "width_mult=0.5", "--classes", "5"]) == 0
    first = capsys.readouterr().out
    assert main(["--classes", "5", "dcase_small", "width_mult=0.5", "--input", "2x32x20"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_description_fits_80_columns_and_starts_a_line_per_option(name, capsys):
    assert main([name, "--describe"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.split() == inspect.getdoc(MODELS[name]).split()
    assert "\n\nOptions:\n    " in printed
    assert "\n\nSource: " in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("dcase_smal", "found 'dcase_smal'; nearest: dcase_small"),
        (
            "dcase_small widt=0.5",
            "dcase_small widt: no such key; nearest: width_mult",
        ),
        ("dcase_small width_mult=x", "dcase_small width_mult: found 'x', expected a number"),
        ("dcase_small width_mult=0", "dcase_small width_mult: found 0, expected more than 0"),
        ("dcase_small width_mult", "width_mult: expected option=value"),
        ("dcase_small --classes 0", "--classes: found 0, expected at least 1"),
        ("dcase_small --input 1x998", "found an input of 1 x 998"),
        ("dcase_small --input 1x998x", "--input 1x998x: expected channels x frames x bands"),
        ("dcase_small --input 1x998x7", "at least 8 frames and 8 bands, found an input of 1 x 998"),
    ],
)
def test_errors_name_what_was_found(arguments, message, capsys):
    assert main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_the_published_models_fit_80_columns(capsys):
    assert main(["--pretrained"]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["name", "model", "mAP", "parameters", "licence"]
    assert [row.split()[0] for row in rows] == list(PRETRAINED)
    assert max(map(len, rows)) <= 80
    assert rows[0].split()[1:] == ["yamnet", "0.306", "3,729,481", "Apache", "2.0"]
