"""The confusions of the specialists' pairs, for names that a CSV reader may take for others."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from report.run import Predictions
from report.sections.pairs import chosen_pairs


@pytest.mark.parametrize("classes", [("0", "1", "2"), ("NA", "None", "rain"), ("1", "01", "nan")])
def test_classes_are_found_by_their_names(classes, tmp_path):
    (tmp_path / "pairs.csv").write_text(f"first,second,confused\n{classes[0]},{classes[1]},3\n")
    truth, predicted = np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[1, 0, 0, 2]]
    run = SimpleNamespace(
        folders={("teacher", "ce", 0, 1): Path(tmp_path)},
        table=SimpleNamespace(classes=classes),
        systems=[SimpleNamespace(role="teacher", label="teacher")],
        task="single_label",
        predictions=lambda system, seed, folds: Predictions(np.arange(4), predicted, truth > 0),
    )
    table = chosen_pairs(run)
    assert [cell.text for cell in table.rows[0]] == [f"{classes[0]} / {classes[1]}", "1", "2"]
