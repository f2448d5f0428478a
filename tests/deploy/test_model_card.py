from deploy.model_card import model_card
from metrics.bootstrap import Interval
from tests.deploy.stand_in import DESCRIPTION

ABOUT = DESCRIPTION | {"metric": "micro_auprc", "clips": 7, "sampled": "groups of clips"}
ABOUT |= {"mean": (-1.5, 2.0), "std": (1.0, 0.25)}
ROWS = [{"precision": "float32", "score": 0.75}, {"precision": "int8"}]


def test_a_card_lists_scores_and_limits():
    card = model_card(ABOUT, ROWS, {"float32": Interval(0.5, 1.0)}, ["A remark."])
    assert card.splitlines()[0] == "# stand-in seed 0"
    assert "Waveforms of 0.5 s (any length from 0.0005 s on) at 8000 Hz" in card
    assert "\n- mean: -1.5, 2\n- std: 1, 0.25\n" in card
    assert "Data set: levels. Licence of the recordings: made here." in card
    assert "| float32 | 0.7500 | 0.5000 to 1.0000 |\n| int8 | undefined | - |" in card
    assert "7 clips of test; percentile bootstrap over groups of clips, 200 samples:" in card
    assert "Classes are tagged independently" in card
    assert card.endswith("- A remark.\n")


def test_without_recordings_a_card_has_no_scores():
    card = model_card(ABOUT | {"clips": 0}, [{"precision": "float32"}], {}, [])
    assert "None: the recordings or labels of test were missing at the export." in card
    assert "|" not in card
