import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from report.matrix import matrix_results
from report.overview import PANELS
from report.readme import MATRIX, PAGES, PICTURE, ROOT, filled


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_say_what_the_code_and_the_results_say(page):
    text = (ROOT / page).read_text()
    assert filled(text) == text, "run: python -m report.readme"


def test_only_what_is_between_the_marks_is_made_anew():
    page = "<!-- keys -->\n<!-- end -->\nkept\n<!-- end -->"
    assert filled(page).endswith("\n\n<!-- end -->\nkept\n<!-- end -->")


def test_a_stale_part_is_made_anew():
    page = "before\n<!-- keys -->\nSTALE\n<!-- end -->\nafter"
    fresh = filled(page)
    assert "STALE" not in fresh
    assert "STFT_HOP_LENGTH_SECONDS" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("\nafter")
    assert filled(fresh) == fresh


def test_the_picture_of_the_matrix_says_what_its_results_say():
    picture = MATRIX.with_suffix(".svg").read_text()
    for gain in matrix_results(pd.read_csv(MATRIX)).gains.itertuples():
        said = f"{gain.gain:+.3f} ± {gain.gain_std:.3f}"
        assert said in picture, "run: python -m report.readme"


def test_the_picture_says_what_the_results_say():
    texts = [text.text or "" for text in ElementTree.parse(PICTURE).iter() if text.text]
    for file, metric, _ in PANELS:
        results = pd.read_csv(ROOT / file)
        for _, own in results[results["metric"] == metric].groupby(["role", "variant"]):
            said = f"{own['value'].mean():.3f} ± {own['value'].std():.3f}"
            assert any(said in text for text in texts), "run: python -m report.readme"
