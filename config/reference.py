"""Every section and key, for people."""

from __future__ import annotations

import typing
from typing import Literal

from config.fields import allowed_range, key_fields, to_text
from config.sections import SECTIONS, Data, Ensembles, Matrix

OF_MODEL = "the options of the model itself"


FURTHER_KEYS = {
    Data: "the options of the data set itself",
    Ensembles: "a system and its members, such as FUSION = teacher, 2 * student/kd; "
    "teacher@seeds is that of every seed, teacher@epochs the mean of ENSEMBLE_START_EPOCH, "
    "logits/a.safetensors a file of logits",
    Matrix: "a model and what it is, such as CNN = MODEL=efficientnet VARIANT=b0",
}


def keys_table() -> str:
    """Every section and key as a Markdown table, for README.md."""
    rows: dict[str, list[str]] = {}  # key, default and meaning -> the sections that have it so
    for name, kind in SECTIONS.items():
        hints = typing.get_type_hints(kind)
        for f in key_fields(kind).values():
            doc = f.metadata["doc"]
            if f.metadata["low"] is not None or f.metadata["high"] is not None:
                doc += f" ({allowed_range(f)})"
            if typing.get_origin(hints[f.name]) is Literal:
                doc += f" (one of {', '.join(typing.get_args(hints[f.name]))})"
            row = f"{f.name.upper()} | {to_text(f.default)} | {doc}"
            rows.setdefault(row, []).append(f"[{name}]")
        if "options" in hints:
            rows.setdefault(f"… | | {FURTHER_KEYS.get(kind, OF_MODEL)}", []).append(f"[{name}]")
    rows["name of a loss | 1 | its weight in the sum, such as KD = 1.5"] = ["[coefficients]"]
    head = "| section | key | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(f"| {' '.join(names)} | {row} |" for row, names in rows.items())
