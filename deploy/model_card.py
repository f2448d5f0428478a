"""MODEL_CARD.md: what a user of exported files has to know, from the records of their export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metrics.bootstrap import LEVEL, RESAMPLES, Interval

LIMITS = {
    "single_label": "Every clip gets one of the classes, also a clip that has none of them.",
    "multi_label": "Classes are tagged independently of each other; other sounds get no tag.",
}


def model_card(
    about: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    intervals: Mapping[str, Interval],
    remarks: Sequence[str],
) -> str:
    """`about` and `rows` as in budget.json, `intervals` of the main metric by precision.

    `sampled` of `about`: "clips" or "groups of clips", of the intervals; `mean` and `std`: of the
    features.
    """
    measured = {name: ", ".join(f"{x:g}" for x in about[name]) for name in ("mean", "std")}
    least = about["least_samples"] / about["sample_rate"]
    length = f"any length from {least:g} s on" if about["any_length"] else "only this length"
    lines = [
        f"# {about['name']}",
        "",
        f"{about['model']}: {about['parameters']:,} parameters, {about['macs']:,} MACs per clip, "
        f"{about['task']}. Exported at commit {about['commit']}, ONNX opset {about['opset']}.",
        "",
        f"Classes: {', '.join(about['classes'])}.",
        "",
        "## Data",
        "",
        f"Data set: {about['dataset']}. Licence of the recordings: {about['licence']}.",
        "",
        "## Scores",
        "",
        *scores(about, rows, intervals),
        "",
        "## Input and front end",
        "",
        f"Waveforms of {about['clip_seconds']:g} s ({length}) at {about['sample_rate']} Hz, "
        f"{about['channels']} channel(s). The front end is part of the files:",
        "",
        *(f"- {name}: {value}" for name, value in (about["front_end"] | measured).items()),
        "",
        "## Limits",
        "",
        f"- {LIMITS[about['task']]}",
        "- The scores are of one training, on recordings of its data set only.",
        *(f"- {remark}" for remark in remarks),
        "",
    ]
    return "\n".join(lines)


def scores(
    about: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    intervals: Mapping[str, Interval],
) -> list[str]:
    """A table of the main metric."""
    if not about["clips"]:
        return [f"None: the recordings or labels of {about['split']} were missing at the export."]
    table = [f"| precision | {about['metric']} | {LEVEL:.0%} interval |", "| --- | ---: | ---: |"]
    for row in rows:
        name, score = row["precision"], f"{row['score']:.4f}" if "score" in row else "undefined"
        low_high = "{:.4f} to {:.4f}".format(*intervals[name]) if name in intervals else "-"
        table.append(f"| {name} | {score} | {low_high} |")
    evaluated = f"{about['clips']} clips of {about['split']}"
    if intervals:
        evaluated += f"; percentile bootstrap over {about['sampled']}, {RESAMPLES} samples"
    return [f"{evaluated}:", "", *table]
