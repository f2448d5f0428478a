"""The taxonomy and the annotation columns of SONYC-UST v1, in the official order."""

from __future__ import annotations

COARSE = {
    "1": "engine",
    "2": "machinery-impact",
    "3": "non-machinery-impact",
    "4": "powered-saw",
    "5": "alert-signal",
    "6": "music",
    "7": "human-voice",
    "8": "dog",
}
FINE = {
    "1-1": "small-sounding-engine",
    "1-2": "medium-sounding-engine",
    "1-3": "large-sounding-engine",
    "1-X": "engine-of-uncertain-size",
    "2-1": "rock-drill",
    "2-2": "jackhammer",
    "2-3": "hoe-ram",
    "2-4": "pile-driver",
    "2-X": "other-unknown-impact-machinery",
    "3-1": "non-machinery-impact",
    "4-1": "chainsaw",
    "4-2": "small-medium-rotating-saw",
    "4-3": "large-rotating-saw",
    "4-X": "other-unknown-powered-saw",
    "5-1": "car-horn",
    "5-2": "car-alarm",
    "5-3": "siren",
    "5-4": "reverse-beeper",
    "5-X": "other-unknown-alert-signal",
    "6-1": "stationary-music",
    "6-2": "mobile-music",
    "6-3": "ice-cream-truck",
    "6-X": "music-from-uncertain-source",
    "7-1": "person-or-small-group-talking",
    "7-2": "person-or-small-group-shouting",
    "7-3": "large-crowd",
    "7-4": "amplified-speech",
    "7-X": "other-unknown-human-voice",
    "8-1": "dog-barking-whining",
}
COLUMNS = (
    "split",
    "sensor_id",
    "audio_filename",
    "annotator_id",
    *(f"{code}_{name}_presence" for code, name in FINE.items()),
    *(f"{code}_{name}_proximity" for code, name in FINE.items()),
    *(f"{code}_{name}_presence" for code, name in COARSE.items()),
)


def taxonomy_yaml() -> str:
    """The text of dcase-ust-taxonomy.yaml."""
    lines = ["fine:"]
    for coarse in COARSE:
        lines.append(f"    {coarse}:")
        lines += [f"        {code[2:]}: {FINE[code]}" for code in FINE if code[0] == coarse]
    lines += ["", "coarse:", *(f"    {code}: {name}" for code, name in COARSE.items())]
    return "\n".join(lines) + "\n"
