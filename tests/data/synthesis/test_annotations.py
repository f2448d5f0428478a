from dataclasses import replace

import numpy as np
import pytest

from data.synthesis.annotations import (
    CONFUSIONS,
    row,
    sample_volunteers,
    verified_answer,
    volunteer_answer,
)
from data.synthesis.sources import SOURCES
from data.synthesis.street import Event
from data.synthesis.taxonomy import COLUMNS, FINE

RNG = np.random.default_rng
CAREFUL = replace(
    sample_volunteers(RNG(0))[0],
    distraction=0.0,
    threshold_db=0.0,
    confusion=0.0,
    imagination=0.0,
    doubt=0.0,
)


def test_every_source_is_confused_with_known_ones():
    assert set(CONFUSIONS) == set(SOURCES)
    assert {kind for kinds in CONFUSIONS.values() for kind in kinds} <= set(FINE)


def test_volunteers_differ_in_their_faults():
    pool = sample_volunteers(RNG(0))
    assert [volunteer.number for volunteer in pool] == list(range(1, len(pool) + 1))
    for fault in ("distraction", "threshold_db", "confusion", "imagination", "doubt"):
        assert np.std([getattr(volunteer, fault) for volunteer in pool]) > 0.02


def hits(volunteer, above: float) -> float:
    answers = (volunteer_answer(RNG(s), volunteer, [Event("5-3", 9.0, above)]) for s in range(300))
    return float(np.mean(["5-3" in answer for answer in answers]))


def test_quiet_sources_are_missed_more_often():
    assert hits(CAREFUL, 20.0) == 1.0
    assert hits(CAREFUL, 0.0) == pytest.approx(0.5, abs=0.1)
    assert hits(CAREFUL, -10.0) < 0.1
    assert hits(replace(CAREFUL, distraction=0.4), 20.0) == pytest.approx(0.6, abs=0.1)


def test_a_mix_up_names_a_similar_source_and_a_doubt_the_x():
    event = [Event("2-4", 9.0, 25.0)]
    mixed = volunteer_answer(RNG(0), replace(CAREFUL, confusion=1.0), event)
    assert set(mixed) <= set(CONFUSIONS["2-4"])
    assert set(volunteer_answer(RNG(0), replace(CAREFUL, doubt=1.0), event)) == {"2-X"}
    assert set(
        volunteer_answer(RNG(0), replace(CAREFUL, doubt=1.0), [Event("8-1", 9.0, 25.0)])
    ) == {"8-1"}


def test_imagined_sources_come_at_their_rate():
    dreamer = replace(CAREFUL, imagination=0.3)
    answers = [volunteer_answer(RNG(seed), dreamer, []) for seed in range(400)]
    assert np.mean([len(answer) for answer in answers]) == pytest.approx(0.3, abs=0.07)


def test_near_and_far_follow_the_distance():
    def near(metres: float) -> float:
        event = [Event("5-3", metres, 25.0)]
        return np.mean(
            [volunteer_answer(RNG(s), CAREFUL, event)["5-3"] == "near" for s in range(200)]
        )

    assert near(5.0) > 0.75
    assert near(70.0) < 0.05


def test_a_verified_row_has_all_sources_and_leaves_only_faint_kinds_open():
    clear, faint = Event("4-1", 9.0, 12.0), Event("7-2", 60.0, 1.0)
    answers = [verified_answer(RNG(seed), [clear, faint]) for seed in range(40)]
    assert {frozenset(answer) for answer in answers} == {
        frozenset(("4-1", "7-2")),
        frozenset(("4-1", "7-X")),
    }


def test_a_row_is_written_as_in_the_real_file():
    cells = dict(zip(COLUMNS, row("train", 7, "07_000012.wav", 33, {"3-1": "near"}), strict=True))
    assert cells["sensor_id"] == "7"
    assert cells["annotator_id"] == "33"
    assert cells["3-1_non-machinery-impact_presence"] == "1.0"
    assert cells["3-1_non-machinery-impact_proximity"] == "near"
    assert cells["3_non-machinery-impact_presence"] == "1.0"
    assert cells["1_engine_presence"] == "0"
    assert cells["1-1_small-sounding-engine_presence"] == "0.0"
    assert cells["1-1_small-sounding-engine_proximity"] == "-1"
