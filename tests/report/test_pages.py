import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd
import pytest

from report.matrix import matrix_results
from report.overview import PANELS
from report.pages import MATRIX, PAGES, PICTURE, ROOT, filled, study_pictures
from report.significance import p_in_words, signed_rank
from report.study import write_study
from report.study_systems import TrialResults
from report.table import paired_gains
from tests.report.conftest import RUN


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_parts_of_a_page_are_current(page):
    text = (ROOT / page).read_text()
    assert filled(text) == text, "run: python -m report.pages"


def test_only_the_text_between_the_markers_is_generated():
    page = "<!-- configuration -->\n<!-- end -->\nkept\n<!-- end -->"
    assert filled(page).endswith("\n\n<!-- end -->\nkept\n<!-- end -->")


def test_a_stale_part_is_replaced():
    page = "before\n<!-- configuration -->\nSTALE\n<!-- end -->\nafter"
    fresh = filled(page)
    assert "STALE" not in fresh
    assert "STFT_HOP_LENGTH_SECONDS" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("\nafter")
    assert filled(fresh) == fresh


def test_the_picture_of_the_matrix_shows_its_results():
    picture = MATRIX.with_suffix(".svg").read_text()
    for gain in matrix_results(pd.read_csv(MATRIX)).gains:
        label = f"{gain.gain:+.3f} ± {gain.gain_std:.3f}"
        assert label in picture, "run: python -m report.pages"


def test_the_picture_shows_the_results():
    elements = list(ElementTree.parse(PICTURE).iter())
    ids = [element.get("id") for element in elements if element.get("id")]
    assert len(ids) == len(set(ids)) > 0
    texts = [element.text for element in elements if element.text]
    for _, file in PANELS:
        for _, own in accuracies(file.removesuffix(".csv")).items():
            label = f"{own['value'].mean():.3f} ± {own['value'].std():.3f}"
            assert any(label in text for text in texts), "run: python -m report.pages"


@pytest.mark.parametrize("page", PAGES)
def test_the_pictures_of_studies_show_their_results(page):
    for path, drawn in study_pictures((ROOT / page).read_text("utf-8")).items():
        shown, current = (re.findall(">([^<]+)</text>", svg) for svg in (path.read_text(), drawn))
        assert shown == current, "run: python -m report.pages"


def test_a_committed_study_has_its_table_and_picture(copy, monkeypatch):
    """The files that a study writes, under other names, are enough for a page."""
    monkeypatch.setattr("report.study_comparisons.RESAMPLES", 20)
    variants = tuple(path.name for path in (RUN / "student").iterdir())
    trial = TrialResults(1, {"student.epochs": "3"}, "finished", "", RUN, variants)
    write_study(Path("runs/study"), [trial], "accuracy", "grid")
    Path("runs/study/comparisons.csv").rename(copy / "losses.csv")
    Path("runs/study/study.csv").rename(copy / "trials.csv")
    monkeypatch.setattr("report.pages.ROOT", copy)

    page = "before\n<!-- study losses.csv trials.csv -->\nSTALE\n<!-- end -->\nafter"
    fresh = filled(page)
    assert filled(fresh) == fresh
    assert "STALE" not in fresh
    assert fresh.count("\n| ce+kd") == 2
    expected = Path("runs/study/study.svg").read_text("utf-8")
    assert study_pictures(fresh) == {copy / "losses.svg": expected}

    alone = filled("<!-- study losses.csv -->\n<!-- end -->")
    assert alone.count("\n| ce+kd") == 2
    assert list(study_pictures(alone)) == [copy / "losses.svg"]
    scores = filled("<!-- study trials.csv -->\n<!-- end -->")
    assert scores.count("\n| ce") == 3
    assert study_pictures(scores) == {}, "there is one trial"


def accuracies(name, model=""):
    """role and variant -> the scores of a committed CSV, by seed and fold."""
    results = pd.read_csv(ROOT / f"recipes/results/{name}.csv")
    results = results[~results["model"].str.endswith("of 3 blocks")]
    if model:
        results = results[results["model"] == model]
    return dict(iter(results[results["metric"] == "accuracy"].groupby(["role", "variant"])))


def test_the_words_of_the_readme_about_results_are_those_of_its_figures():
    few, full = accuracies("yamnet_small_esc10_few"), accuracies("yamnet_small_esc10")
    unlabelled = accuracies("unlabelled")["student", "kd"]["value"].mean()
    few_gains, gains = (
        paired_gains(of["student", "ce"], of["student", "ce+kd"]) for of in (few, full)
    )
    ce, kd = (f"{100 * few['student', one]['value'].mean():.1f} %" for one in ("ce", "ce+kd"))
    all_ce, all_kd = (
        f"{100 * full['student', one]['value'].mean():.2f} %" for one in ("ce", "ce+kd")
    )
    teacher = f"{100 * full['teacher', 'ce']['value'].mean():.1f} %"
    words = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"68.9 k parameters, reach {ce} accuracy; distilled from the whole network" in words
    assert f"have no labels, they reach {kd}." in words
    assert f"gains {100 * few_gains.mean():.1f} points of accuracy on average" in words
    assert f"over {len(few_gains)} pairs: p = {signed_rank(few_gains).p:.5f}" in words
    assert f"it reaches {all_ce}, distilled {all_kd}" in words
    assert f"(p = {signed_rank(gains).p:.3f}), the teacher {teacher}" in words
    assert f"in training it reaches {100 * unlabelled:.1f} %" in words
    mobile = [accuracies(name) for name in ("yamnet_esc10_few", "yamnet_esc10")]
    mobile_gain, none = (paired_gains(of["student", "ce"], of["student", "kd"]) for of in mobile)
    assert f"gains {100 * mobile_gain.mean():.1f} points with 40 labels" in words
    assert none.mean() <= 0
    gained = []
    for epochs in (103, 206):
        longer = accuracies("yamnet_esc10_longer", f"cp_mobile of {epochs} epochs")
        gains = paired_gains(longer["student", "ce"], longer["student", "kd"])
        p = p_in_words(signed_rank(gains).p)
        gained.append((f"{100 * gains.mean():.1f}", f"{epochs} ({p})"))
    (first, in_103), (second, in_206) = gained
    text = f"nothing in 30 epochs, {first} points in {in_103} and {second} in {in_206}."
    assert f"with 320 it gains {text}" in words
