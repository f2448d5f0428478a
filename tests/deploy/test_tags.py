import json

import numpy as np
import pytest

from deploy.description import Description
from deploy.tags import FORMATS, Row, TagSelection, clock
from tests.deploy.stand_in import DESCRIPTION

CLASSES = ("dog", "rain, heavy")
SELECTION = TagSelection(CLASSES, 0.5, 2)


def rows(*probabilities, step=4.0, window=4.0, recording="a.wav"):
    return [
        Row(recording, k * step, k * step + window, np.float32(p))
        for k, p in enumerate(probabilities)
    ]


@pytest.mark.parametrize(
    ("threshold", "top", "expected"),
    [(0.5, 3, ["b", "c"]), (0.5, 1, ["b"]), (0.0, 2, ["b", "c"]), (0.95, 3, [])],
)
def test_tags_are_the_most_probable_above_the_threshold(threshold, top, expected):
    found = TagSelection(("a", "b", "c"), threshold, top).tags(np.array([0.1, 0.9, 0.5]))
    assert [name for name, _ in found] == expected


def description(**changes):
    return Description.of(json.dumps(DESCRIPTION | changes))


@pytest.mark.parametrize(
    ("students", "threshold", "top", "expected"),
    [
        ([{}], None, None, [0.5, 0.5]),
        ([{"thresholds": [0.2, 0.6]}], None, None, [0.2, 0.6]),
        ([{"thresholds": [0.2, 0.6]}, {}], None, None, [0.35, 0.55]),
        ([{"thresholds": [0.2, 0.6]}], 0.9, None, 0.9),
        ([{"thresholds": [0.2, 0.6]}], None, 1, 0.0),
        ([{"task": "single_label"}], None, None, 0.0),
    ],
)
def test_the_threshold_is_given_or_that_of_the_files(students, threshold, top, expected):
    found = TagSelection.of([description(**s) for s in students], threshold, top)
    np.testing.assert_allclose(found.threshold, expected)


@pytest.mark.parametrize(("task", "expected"), [("single_label", 1), ("multi_label", 2)])
def test_single_label_students_give_one_tag_also_above_a_threshold(task, expected):
    selection = TagSelection.of([description(task=task)], 0.2, None)
    assert len(selection.tags(np.array([0.6, 0.4]))) == expected
    assert len(selection.tags(np.array([0.1, 0.1]))) == 0


def test_a_table_names_each_recording_once():
    found = rows((0.9, 0.75), (0.1, 0.2)) + rows((0.2, 0.6), recording="b.wav")
    assert list(FORMATS["table"](found, SELECTION)) == [
        "a.wav",
        "   00:00.00    00:04.00  dog 0.90, rain, heavy 0.75",
        "   00:04.00    00:08.00  -",
        "b.wav",
        "   00:00.00    00:04.00  rain, heavy 0.60",
    ]


def test_csv_has_one_column_per_class():
    assert list(FORMATS["csv"](rows((0.9, 0.25), step=0.5, window=0.5), SELECTION)) == [
        'recording,start,end,dog,"rain, heavy"',
        "a.wav,0.000,0.500,0.900000,0.250000",
    ]


def test_a_json_line_has_tags_and_probabilities():
    (line,) = FORMATS["jsonl"](rows((0.9, 0.25)), SELECTION)
    assert json.loads(line) == {
        "recording": "a.wav",
        "start": 0.0,
        "end": 4.0,
        "tags": ["dog"],
        "probabilities": {"dog": 0.9, "rain, heavy": 0.25},
    }


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "00:00.00"), (59.996, "01:00.00"), (754.5, "12:34.50"), (36_000.25, "10:00:00.25")],
)
def test_the_clock(seconds, expected):
    assert clock(seconds) == expected


def test_names_are_no_formulas_in_a_spreadsheet():
    selection = TagSelection(("=1+1", "@dog", "dog=1"), 0.5, 3)
    lines = list(FORMATS["csv"](rows((0.9, 0.25, 0), recording="-2+3.wav"), selection))
    assert lines[0] == "recording,start,end,'=1+1,'@dog,dog=1"
    assert lines[1].startswith("'-2+3.wav,0.000,4.000,0.900000,")
    assert next(iter(FORMATS["jsonl"](rows((0.9, 0, 0)), selection))).count('"=1+1"') == 2
    pipe = list(FORMATS["csv"](rows((0.9, 0.25, 0), recording="-"), selection))
    assert pipe[1].startswith("-,0.000,")
