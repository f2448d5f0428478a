"""What a student heard and said of a recording, as a piece of HTML that needs nothing from outside:
its mel, and below it on the same axis of time how probable each tag was.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from deploy.student import Description
from deploy.tags import Naming, Row, clock

SHOWN = 12  # classes; the page says how many more there are
COLOURS = ("#090c22", "#361967", "#89286e", "#db544a", "#f9a13e", "#fdf3be")  # quiet to loud

STYLE = """
.heard { --tag: #db544a; --soft: color-mix(in srgb, var(--body-text-color) 68%, transparent);
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 2rem 2.5rem; font-size: .85rem; }
.heard .student { min-width: 0; container-type: inline-size; }
.heard h3 { margin: 0; font-size: 1.1rem; overflow-wrap: anywhere; }
.heard p, .heard .name, .heard .peak, .heard .axis { color: var(--soft); }
.heard p { margin: .1rem 0 .8rem; }
.heard .chart { display: grid; grid-template-columns: 10rem 1fr 2.2rem; grid-auto-flow: dense;
  gap: .3rem .7rem; align-items: center; }
.heard .name { grid-column: 1; text-align: right; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.heard .strip { grid-column: 2; width: 100%; display: block; border-radius: 4px; }
.heard .peak { grid-column: 3; text-align: right; font-variant-numeric: tabular-nums; }
.heard .tagged { font-weight: 600; color: var(--body-text-color); }
.heard img.strip { height: 7.5rem; margin: 0; }
.heard svg.strip { height: 1.5rem;
  background: color-mix(in srgb, var(--body-text-color) 7%, transparent); }
.heard rect { fill: color-mix(in srgb, var(--body-text-color) 34%, transparent); }
.heard rect.tag { fill: var(--tag); }
.heard .axis { grid-column: 2; display: flex; justify-content: space-between; }
.heard details { margin-top: .8rem; }
.heard summary { cursor: pointer; }
.heard table { margin-top: .4rem; }
.heard td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
.heard td:first-child { white-space: nowrap; font-variant-numeric: tabular-nums; }
@container (max-width: 28rem) {
  .heard .chart { grid-template-columns: 1fr auto; }
  .heard .name { text-align: left; margin-top: .3rem; }
  .heard .peak { grid-column: 2; }
  .heard .strip, .heard .axis { grid-column: 1 / -1; }
}
"""


@dataclass(slots=True)
class Listening:
    """What one student heard of a recording."""

    description: Description
    naming: Naming
    window: float  # s
    rows: list[Row] = field(default_factory=list)
    mels: list[np.ndarray] = field(default_factory=list)  # (T, F), one a row

    @property
    def ends(self) -> list[float]:
        """Of each row's time alone: where the next one starts, or the recording ends."""
        return [*(row.start for row in self.rows[1:]), self.rows[-1].end]

    @property
    def peaks(self) -> np.ndarray:
        return np.max([row.probabilities for row in self.rows], axis=0)

    @property
    def mel(self) -> np.ndarray:
        """(T, F) of the whole, each time from the window whose own it is."""
        shares = [
            (end - row.start) / self.window for row, end in zip(self.rows, self.ends, strict=True)
        ]
        return np.concatenate(
            [m[: max(1, round(share * len(m)))] for m, share in zip(self.mels, shares, strict=True)]
        )


def heard(listenings: Sequence[Listening]) -> str:
    """Side by side, their classes in one order: what any of them found likeliest stands first."""
    likeliest: dict[str, float] = {}
    for listening in listenings:
        for name, peak in zip(listening.naming.classes, listening.peaks, strict=True):
            likeliest[name] = max(peak, likeliest.get(name, 0.0))
    order = sorted(likeliest, key=lambda name: -likeliest[name])
    sections = "".join(section(listening, order) for listening in listenings)
    return f'<style>{STYLE}</style><div class="heard">{sections}</div>'


def section(listening: Listening, order: Sequence[str]) -> str:
    described, classes = listening.description, listening.naming.classes
    names = [name for name in order if name in classes]
    lines = "".join(line(listening, classes.index(name)) for name in names[:SHOWN])
    more = f" · the likeliest {SHOWN} of {len(names)} classes" if len(names) > SHOWN else ""
    return (
        f'<section class="student"><h3>{escape(described.name)}</h3>'
        f"<p>{escape(described.model)}, {escape(described.precision)} · "
        f"{described.parameters:,} parameters{more}</p>"
        f'<div class="chart">{mel_line(listening)}{lines}'
        f'<div class="axis"><span>0 s</span><span>{listening.ends[-1]:.4g} s</span></div></div>'
        f"{by_window(listening)}</section>"
    )


def mel_line(listening: Listening) -> str:
    if not listening.mels:
        return ""
    picture = base64.b64encode(png(listening.mel)).decode()
    return (
        '<span class="name">what it hears</span><span class="peak"></span>'
        '<img class="strip" alt="the mel spectrogram that the model hears" '
        f'src="data:image/png;base64,{picture}">'
    )


def line(listening: Listening, k: int) -> str:
    """Class k: a bar a window, as high as its probability; those that are tags in colour."""
    name, rows = listening.naming.classes[k], listening.rows
    tagged = [name in dict(listening.naming.tags(row.probabilities)) for row in rows]
    bars = "".join(
        f'<rect{" class=tag" * is_tag} x="{row.start:.3f}" width="{end - row.start:.3f}" '
        f'y="{1 - row.probabilities[k]:.3f}" height="{row.probabilities[k]:.3f}">'
        f"<title>{clock(row.start)} {row.probabilities[k]:.2f}</title></rect>"
        for row, end, is_tag in zip(rows, listening.ends, tagged, strict=True)
    )
    said = " tagged" * any(tagged)
    return (
        f'<span class="name{said}" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="peak{said}">{listening.peaks[k]:.2f}</span>'
        f'<svg class="strip" viewBox="0 0 {listening.ends[-1]:.3f} 1" preserveAspectRatio="none">'
        f"{bars}</svg>"
    )


def by_window(listening: Listening) -> str:
    lines = []
    for row in listening.rows:
        tags = ", ".join(f"{name} {p:.2f}" for name, p in listening.naming.tags(row.probabilities))
        times = f"{clock(row.start)} to {clock(row.end)}"
        lines.append(f"<tr><td>{times}</td><td>{escape(tags or '-')}</td></tr>")
    table = f"<table>{''.join(lines)}</table>"
    return f"<details><summary>Window by window</summary>{table}</details>"


def png(mel: np.ndarray) -> bytes:
    """A mel (T, F) as a picture: time to the right, frequency upwards, a pixel a frame and band.

    The colours reach from its 1st to its 99th percentile.
    """
    from PIL import Image  # comes with Gradio

    low, high = np.percentile(mel, (1, 99))
    loudness = np.clip((mel - low) / max(high - low, 1e-9), 0, 1)
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS])
    steps = np.linspace(0, 1, len(colours))
    pixels = np.stack([np.interp(loudness.T[::-1], steps, c) for c in colours.T], axis=-1)
    file = io.BytesIO()
    Image.fromarray(np.round(pixels).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
