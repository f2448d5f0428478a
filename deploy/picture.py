"""The predictions of students for a recording as self-contained HTML: the mel spectrogram, and
below it the probability of each class over time.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from deploy.description import Description
from deploy.tags import Row, TagSelection, clock

SHOWN = 12  # classes; the page names the total
COLOURS = ("#090c22", "#361967", "#89286e", "#db544a", "#f9a13e", "#fdf3be")  # quiet to loud

STYLE = """
.predictions { --tag: #db544a; --soft: color-mix(in srgb, var(--body-text-color) 68%, transparent);
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 2rem 2.5rem; font-size: .85rem; }
.predictions .student { min-width: 0; container-type: inline-size; }
.predictions h3 { margin: 0; font-size: 1.1rem; overflow-wrap: anywhere; }
.predictions p, .predictions .name, .predictions .peak, .predictions .axis { color: var(--soft); }
.predictions p { margin: .1rem 0 .8rem; }
.predictions .chart { display: grid; grid-template-columns: 10rem 1fr 2.2rem; grid-auto-flow: dense;
  gap: .3rem .7rem; align-items: center; }
.predictions .name { grid-column: 1; text-align: right; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.predictions .strip { grid-column: 2; width: 100%; display: block; border-radius: 4px; }
.predictions .peak { grid-column: 3; text-align: right; font-variant-numeric: tabular-nums; }
.predictions .tagged { font-weight: 600; color: var(--body-text-color); }
.predictions img.strip { height: 7.5rem; margin: 0; }
.predictions svg.strip { height: 1.5rem;
  background: color-mix(in srgb, var(--body-text-color) 7%, transparent); }
.predictions rect { fill: color-mix(in srgb, var(--body-text-color) 34%, transparent); }
.predictions rect.tag { fill: var(--tag); }
.predictions .axis { grid-column: 2; display: flex; justify-content: space-between; }
.predictions details { margin-top: .8rem; }
.predictions summary { cursor: pointer; }
.predictions table { margin-top: .4rem; }
.predictions td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
.predictions td:first-child { white-space: nowrap; font-variant-numeric: tabular-nums; }
@container (max-width: 28rem) {
  .predictions .chart { grid-template-columns: 1fr auto; }
  .predictions .name { text-align: left; margin-top: .3rem; }
  .predictions .peak { grid-column: 2; }
  .predictions .strip, .predictions .axis { grid-column: 1 / -1; }
}
"""


@dataclass(slots=True)
class RecordingPrediction:
    """The predictions of one student for a recording, window by window."""

    description: Description
    selection: TagSelection
    window: float  # s
    rows: list[Row] = field(default_factory=list)
    mels: list[np.ndarray] = field(default_factory=list)  # (T, F), one per row

    @property
    def ends(self) -> list[float]:
        """The end of each row's share of the time: the start of the next one, or the end."""
        return [*(row.start for row in self.rows[1:]), self.rows[-1].end]

    @property
    def peaks(self) -> np.ndarray:
        return np.max([row.probabilities for row in self.rows], axis=0)

    @property
    def mel(self) -> np.ndarray:
        """(T, F) of the recording; each window contributes its share of the time."""
        shares = [
            (end - row.start) / self.window for row, end in zip(self.rows, self.ends, strict=True)
        ]
        return np.concatenate(
            [m[: max(1, round(share * len(m)))] for m, share in zip(self.mels, shares, strict=True)]
        )


def predictions_html(predictions: Sequence[RecordingPrediction]) -> str:
    """Side by side; all list the classes by the largest probability that any of them found."""
    largest: dict[str, float] = {}
    for prediction in predictions:
        for name, peak in zip(prediction.selection.classes, prediction.peaks, strict=True):
            largest[name] = max(peak, largest.get(name, 0.0))
    order = sorted(largest, key=lambda name: -largest[name])
    sections = "".join(section(prediction, order) for prediction in predictions)
    return f'<style>{STYLE}</style><div class="predictions">{sections}</div>'


def section(prediction: RecordingPrediction, order: Sequence[str]) -> str:
    described, classes = prediction.description, prediction.selection.classes
    names = [name for name in order if name in classes]
    lines = "".join(line(prediction, classes.index(name)) for name in names[:SHOWN])
    more = f" · the {SHOWN} most probable of {len(names)} classes" if len(names) > SHOWN else ""
    return (
        f'<section class="student"><h3>{escape(described.name)}</h3>'
        f"<p>{escape(described.model)}, {escape(described.precision)} · "
        f"{described.parameters:,} parameters{more}</p>"
        f'<div class="chart">{mel_line(prediction)}{lines}'
        f'<div class="axis"><span>0 s</span><span>{prediction.ends[-1]:.4g} s</span></div></div>'
        f"{by_window(prediction)}</section>"
    )


def mel_line(prediction: RecordingPrediction) -> str:
    if not prediction.mels:
        return ""
    picture = base64.b64encode(png(prediction.mel)).decode()
    return (
        '<span class="name">mel spectrogram</span><span class="peak"></span>'
        '<img class="strip" alt="mel spectrogram, the input of the model" '
        f'src="data:image/png;base64,{picture}">'
    )


def line(prediction: RecordingPrediction, k: int) -> str:
    """Class k: one bar per window, its height the probability; tags are coloured."""
    name, rows = prediction.selection.classes[k], prediction.rows
    tagged = [name in dict(prediction.selection.tags(row.probabilities)) for row in rows]
    bars = "".join(
        f'<rect{" class=tag" * is_tag} x="{row.start:.3f}" width="{end - row.start:.3f}" '
        f'y="{1 - row.probabilities[k]:.3f}" height="{row.probabilities[k]:.3f}">'
        f"<title>{clock(row.start)} {row.probabilities[k]:.2f}</title></rect>"
        for row, end, is_tag in zip(rows, prediction.ends, tagged, strict=True)
    )
    css_class = " tagged" * any(tagged)
    return (
        f'<span class="name{css_class}" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="peak{css_class}">{prediction.peaks[k]:.2f}</span>'
        f'<svg class="strip" viewBox="0 0 {prediction.ends[-1]:.3f} 1" preserveAspectRatio="none">'
        f"{bars}</svg>"
    )


def by_window(prediction: RecordingPrediction) -> str:
    lines = []
    for row in prediction.rows:
        tags = ", ".join(
            f"{name} {p:.2f}" for name, p in prediction.selection.tags(row.probabilities)
        )
        times = f"{clock(row.start)} to {clock(row.end)}"
        lines.append(f"<tr><td>{times}</td><td>{escape(tags or '-')}</td></tr>")
    table = f"<table>{''.join(lines)}</table>"
    return f"<details><summary>Window by window</summary>{table}</details>"


def png(mel: np.ndarray) -> bytes:
    """A mel (T, F) as an image: time to the right, frequency upwards, one pixel per frame and band.

    The colours range from its 1st to its 99th percentile.
    """
    from PIL import Image  # a dependency of Gradio

    low, high = np.percentile(mel, (1, 99))
    loudness = np.clip((mel - low) / max(high - low, 1e-9), 0, 1)
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS])
    steps = np.linspace(0, 1, len(colours))
    pixels = np.stack([np.interp(loudness.T[::-1], steps, c) for c in colours.T], axis=-1)
    file = io.BytesIO()
    Image.fromarray(np.round(pixels).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
