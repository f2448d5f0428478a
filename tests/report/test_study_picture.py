"""The picture and the Markdown of a study, from tables as they are written and read."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.choice import BEST
from report.study_comparisons import Comparison
from report.study_markdown import study_markdown
from report.study_picture import (
    curves,
    forest,
    names_of,
    number_of,
    on_log_axis,
    read,
    study_picture,
)

SVG = "{http://www.w3.org/2000/svg}"


def comparison(system, difference, p_holm=0.5, half=0.01, reference="1 ce", n=6):
    figures = (difference, 0.02, difference - half, difference + half, p_holm / 2, p_holm)
    return Comparison(system, reference, n, *figures, 0.5, 0.5, 3.0)


def compared(*rows):
    return pd.DataFrame(rows, columns=Comparison._fields)


def score(trial, variant, test, validation=math.nan, n=3, **values):
    std = math.nan if n < 2 else 0.02
    return {
        **{"trial": trial, "run": f"x-{trial}"},
        **{key.replace("_", ".", 1): value for key, value in values.items()},
        **{"variant": variant, "state": "finished", "metric": "accuracy"},
        **{"validation": validation, "validation_std": std, "test": test, "test_std": std},
        **{"n": n, "seconds": 1.0, "error": ""},
    }


def texts(svg):
    found = [part.text for part in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    return [text for text in found if text]


def markers(svg):
    """The fill and the height of each circle of a row, in the order in which they are drawn."""
    found = re.findall(r'<use xlink:href="#[^"]*" x="([\d.]+)" y="([\d.]+)" style="([^"]*)"', svg)
    return [
        (float(x), float(y), style)
        for x, y, style in found
        if "fill:" in style and "system" in style
    ]


LOSSES = compared(
    comparison("1 ce+kd", 0.01),
    comparison("1 ce+kd+sp", 0.03, p_holm=0.01),
    comparison("1 ce+at", -0.02, p_holm=0.04),
)


def test_differences_are_sorted_and_the_significant_ones_filled():
    svg = forest(LOSSES)
    shown = texts(svg)
    assert [text for text in shown if text.startswith("ce+")] == ["ce+kd+sp", "ce+kd", "ce+at"]
    assert [text for text in shown if text.startswith("p ")] == ["p = 0.01", "p = 0.5", "p = 0.04"]
    assert "test score minus that of ce" in shown
    found = markers(svg)
    assert [y for _, y, _ in found] == sorted(y for _, y, _ in found)
    assert [x for x, _, _ in found] == sorted((x for x, _, _ in found), reverse=True)
    assert ["fill: var(--paper)" in style for _, _, style in found] == [False, True, False]


def test_a_variant_has_the_colour_that_it_has_on_the_page_of_a_run():
    """The student of labels alone is the first, then those of more losses."""
    styles = [style for _, _, style in markers(forest(LOSSES))]
    looks = [re.search(r"stroke: var\(--system-(\d)\)", style)[1] for style in styles]
    assert looks == ["4", "2", "3"]


def test_a_screen_reader_is_told_what_is_drawn():
    assert 'role="img" aria-label="test score minus that of ce"' in forest(LOSSES)


def test_the_same_table_gives_the_same_bytes():
    assert forest(LOSSES) == forest(LOSSES.iloc[::-1].iloc[::-1].copy())


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-1, 1) | st.just(math.nan),
            st.floats(0, 1) | st.just(math.nan),
            st.floats(0, 1) | st.just(math.nan),
            st.sampled_from([0, 1, 3]),
        ),
        max_size=8,
    ),
    st.integers(1, 90),
)
def test_any_comparisons_have_a_picture_but_none(rows, length):
    table = compared(
        *(
            comparison(f"1 {n}{'+$x_{<b>&' * length}"[:length], difference, p, half, n=pairs)
            for n, (difference, p, half, pairs) in enumerate(rows)
        )
    )
    svg = study_picture(None, table)
    known = [row for row in rows if not math.isnan(row[0])]
    assert (svg is None) == (not known)
    if svg:
        assert len(markers(svg)) == len(known)
        assert texts(svg).count("n = 1") == sum(row[3] == 1 for row in known)


def test_without_an_interval_none_is_named():
    assert any("95% interval" in text for text in texts(forest(LOSSES)))
    without = forest(LOSSES.assign(low=math.nan, high=math.nan))
    assert not any("interval" in text for text in texts(without))
    assert len(markers(without)) == 3


TEACHERS = pd.DataFrame(
    [
        score(n, variant, 0.5, teacher_model=model, teacher_epochs="3")
        for n, model in enumerate(("passt", "yamnet"), start=1)
        for variant in ("ce", "ce+kd")
    ]
)
WITHIN = compared(
    comparison("1 ce+kd", 0.1, reference="1 ce"), comparison("2 ce+kd", 0.2, reference="2 ce")
)


def test_trials_are_named_by_the_values_that_differ():
    shown = texts(study_picture(TEACHERS, WITHIN))
    assert [text for text in shown if "ce+kd" in text] == [
        "model=yamnet, ce+kd",
        "model=passt, ce+kd",
    ]
    assert "test accuracy minus that of ce in the same trial" in shown
    assert "trial 2, ce+kd" in texts(study_picture(None, WITHIN))


def test_a_variant_that_is_searched_is_named_once():
    rows = pd.DataFrame(
        [score(n, v, 0.5, distillation_variants=v) for n, v in enumerate(("ce", "kd"), start=1)]
    )
    assert names_of(["1 ce", "2 kd"], rows) == {"1 ce": "ce", "2 kd": "kd"}


def test_trials_of_one_variant_are_named_by_their_values_alone():
    names = names_of(["1 ce", "2 ce"], TEACHERS)
    assert names == {"1 ce": "model=passt", "2 ce": "model=yamnet"}


# Over a number ------------------------------------------------------------------------------------


def rates(values=("0.001", "0.01", "0.1"), variants=("ce", "ce+kd"), **others):
    return pd.DataFrame(
        [
            score(n, variant, 0.5 + place / 10, student_learning_rate=rate, **others)
            for n, rate in enumerate(values, start=1)
            for place, variant in enumerate(variants)
        ]
    )


def test_a_searched_number_is_the_axis_even_where_there_are_comparisons():
    svg = study_picture(rates(), LOSSES)
    shown = texts(svg)
    assert {"0.001", "0.01", "0.1", "student.learning_rate", "test accuracy"} <= set(shown)
    assert [text for text in shown if text in ("ce", "ce+kd")] == ["ce+kd", "ce"]
    assert "minus" not in " ".join(shown)


@pytest.mark.parametrize(
    "scores",
    [
        rates(("0.1",)),
        rates(("adam", "0.1")),
        TEACHERS,
        rates(student_depth="2").assign(**{"student.depth": ["2", "2", "3", "3", "4", "4"]}),
        rates(("0.1", "0.2"), ("ce",)).assign(n=[3, 0]),
    ],
)
def test_one_value_names_and_two_numbers_are_no_axis(scores):
    assert number_of(scores) is None
    assert curves(scores) is None
    assert study_picture(scores, None) is None
    assert study_picture(scores, LOSSES) is not None


def test_the_axis_is_logarithmic_beyond_a_decade():
    assert not on_log_axis(np.array([0.1, 0.3, 1.0]))
    assert not on_log_axis(np.array([0.0, 100.0]))
    assert on_log_axis(np.array([0.01, 0.3]))


def test_other_keys_have_a_line_for_each_value():
    scores = pd.concat([rates(teacher_model="passt"), rates(teacher_model="yamnet")])
    scores = scores.reset_index(drop=True)
    shown = texts(curves(scores))
    lines = [text for text in shown if text.startswith("model=")]
    assert sorted(lines) == [
        f"model={model}, {variant}" for model in ("passt", "yamnet") for variant in ("ce", "ce+kd")
    ]


def test_the_choice_on_validation_is_marked_where_there_is_one():
    assert BEST not in texts(curves(rates()))
    validated = rates().assign(validation=[0.1, 0.2, 0.9, 0.3, 0.1, 0.2])
    assert texts(curves(validated)).count(BEST) == 1


@settings(max_examples=6, deadline=None)
@given(
    st.dictionaries(
        st.floats(1e-6, 1e6, exclude_min=True).map(lambda rate: f"{rate:.4g}"),
        st.tuples(st.floats(0, 1), st.sampled_from([1, 3])),
        min_size=2,
        max_size=12,
    )
)
def test_any_scores_over_a_number_have_a_picture(found):
    scores = pd.DataFrame(
        [
            score(k, variant, test, test, n, student_learning_rate=rate)
            for k, (rate, (test, n)) in enumerate(found.items(), start=1)
            for variant in ("ce", "kd")
        ]
    )
    assert number_of(scores) == "student.learning_rate"
    assert texts(curves(scores)).count(BEST) == 1


# Tables -------------------------------------------------------------------------------------------


def test_tables_are_drawn_alike_after_they_were_written(tmp_path):
    """Values of the settings stay texts: 1e-3, 010, true."""
    scores = rates(("1e-3", "010", "0.1"), run_compile="true", student_init="")
    for name, table in (("study", scores), ("comparisons", WITHIN)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    again = read(tmp_path / "study.csv")
    keys = [name for name in scores if "." in name]
    assert again[keys].equals(scores[keys])
    both = again, read(tmp_path / "comparisons.csv")
    assert study_picture(*both) == study_picture(scores, WITHIN)
    assert study_picture(None, both[1]) == study_picture(None, WITHIN)
    assert study_markdown(*both) == study_markdown(scores, WITHIN)


def test_the_comparisons_as_markdown():
    lines = study_markdown(TEACHERS, WITHIN).splitlines()
    assert lines[0].startswith("Test scores minus those of a reference")
    assert lines[0].endswith("; n = 6:")
    rest = "| 0.5 | 0.5 | 0.5 | 3 |"
    assert lines[4:] == [
        f"| model=yamnet, ce+kd - model=yamnet, ce | +0.2000 | +0.1900 to +0.2100 {rest}",
        f"| model=passt, ce+kd - model=passt, ce | +0.1000 | +0.0900 to +0.1100 {rest}",
    ]


def test_the_scores_as_markdown():
    scores = rates(("0.1", "0.2"), ("ce",)).assign(validation=[0.7, 0.6], validation_std=0.1)
    lines = study_markdown(scores.assign(test_std=[0.02, math.nan]), compared()).splitlines()
    assert lines == [
        "accuracy, mean ± standard deviation over n seeds and folds; *: best validation score:",
        "",
        "| trial | validation | test | n |",
        "| --- | ---: | ---: | ---: |",
        "| learning_rate=0.1 * | 0.7000 ± 0.1000 | 0.5000 ± 0.0200 | 3 |",
        "| learning_rate=0.2 | 0.6000 ± 0.1000 | 0.5000 | 3 |",
    ]
