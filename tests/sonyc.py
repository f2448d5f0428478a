"""The tags of SONYC-UST, and its real annotations where the project's shared folder is."""

from pathlib import Path

import pytest

COARSE = (
    "1_engine",
    "2_machinery-impact",
    "3_non-machinery-impact",
    "4_powered-saw",
    "5_alert-signal",
    "6_music",
    "7_human-voice",
    "8_dog",
)
FINE = (
    "1-1_small-sounding-engine",
    "1-2_medium-sounding-engine",
    "1-3_large-sounding-engine",
    "1-X_engine-of-uncertain-size",
    "2-1_rock-drill",
    "2-2_jackhammer",
    "2-3_hoe-ram",
    "2-4_pile-driver",
    "2-X_other-unknown-impact-machinery",
    "3-1_non-machinery-impact",
    "4-1_chainsaw",
    "4-2_small-medium-rotating-saw",
    "4-3_large-rotating-saw",
    "4-X_other-unknown-powered-saw",
    "5-1_car-horn",
    "5-2_car-alarm",
    "5-3_siren",
    "5-4_reverse-beeper",
    "5-X_other-unknown-alert-signal",
    "6-1_stationary-music",
    "6-2_mobile-music",
    "6-3_ice-cream-truck",
    "6-X_music-from-uncertain-source",
    "7-1_person-or-small-group-talking",
    "7-2_person-or-small-group-shouting",
    "7-3_large-crowd",
    "7-4_amplified-speech",
    "7-X_other-unknown-human-voice",
    "8-1_dog-barking-whining",
)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT.parent / "shared" / "data" / "sonyc_ust"
ANNOTATIONS = FOLDER / "annotations-dev.csv"
TAXONOMY = FOLDER / "dcase-ust-taxonomy.yaml"

needs_annotations = pytest.mark.skipif(
    not ANNOTATIONS.exists(), reason="../shared/data/sonyc_ust (the real annotations) is absent"
)
