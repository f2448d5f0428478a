import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from report.matrix import matrix_results
from report.overview import PANELS
from report.pages import MATRIX, PAGES, PICTURE, ROOT, filled
from report.significance import signed_rank
from report.table import paired_gains


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
    texts = [text.text or "" for text in ElementTree.parse(PICTURE).iter() if text.text]
    for file, metric, _ in PANELS:
        results = pd.read_csv(ROOT / file)
        for _, own in results[results["metric"] == metric].groupby(["role", "variant"]):
            label = f"{own['value'].mean():.3f} ± {own['value'].std():.3f}"
            assert any(label in text for text in texts), "run: python -m report.pages"


def test_the_words_below_the_result_of_the_readme_are_those_of_its_figures():
    results = pd.read_csv(ROOT / "recipes/results/esc10.csv")
    students = results[(results["metric"] == "accuracy") & (results["role"] == "student")]
    base, *distilled = (
        students[students["variant"] == variant] for variant in ("ce", "ce+kd", "ce+kd+sp")
    )
    gains = [paired_gains(base, other) for other in distilled]
    gained, p = [f"{100 * one.mean():.2f}" for one in gains], [signed_rank(one).p for one in gains]
    words = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"gains {gained[0]} (`ce+kd`) or {gained[1]} points of accuracy (`ce+kd+sp`)" in words
    assert f"p = {p[0]:.2g} for `ce+kd` and p = {p[1]:.2g} for `ce+kd+sp`" in words
    assert all(one.mean() < one.std() for one in gains)
    teacher = results[(results["metric"] == "accuracy") & (results["role"] == "teacher")]
    below = [100 * (teacher["value"].mean() - one["value"].mean()) for one in distilled]
    assert [f"{one:.0f}" for one in sorted(below)] == ["6", "6"]
