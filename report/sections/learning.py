"""Learning curves: every loss term and the validation score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from report.drawing import colour, dash, picture
from report.run import Run, System
from report.section import Absent, Pictures, Section, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOT_TERMS = {"epoch", "learning_rate", "seconds"}
TITLES = {"loss": "loss: the weighted sum", "score": "validation score"}


def section(run: Run) -> Section:
    histories = {system: run.histories(system) for system in run.systems}
    columns = [str(name) for found in histories.values() for part in found for name in part]
    terms = [name for name in dict.fromkeys(columns) if name not in NOT_TERMS]
    terms.sort(key=lambda name: (name == "loss", name == "score"))  # these two last
    drawn = [term for term in terms if any(map(len, curves(histories, term).values()))]
    if not drawn:
        raise Absent(f"no history.csv below {run.folder}")
    pictures = []
    for term in drawn:
        draw = partial(draw_curves, found=curves(histories, term))
        pictures.append(picture(f"learning-{term}", draw, title=TITLES.get(term, term)))
    caption = (
        "Mean of each training loss, before its coefficient, over the epochs: thin lines are seeds "
        "and folds, thick ones their mean."
    )
    blocks: list[Pictures | Text] = [Pictures(pictures, caption, run.systems)]
    if "score" not in drawn:
        blocks.append(Text("There are no validation clips: the last epoch was kept."))
    return Section("Learning curves", blocks)


def curves(
    histories: Mapping[System, Sequence[pd.DataFrame]], term: str
) -> dict[System, list[np.ndarray]]:
    """The (epochs,) values of each training of a system that has this term."""
    return {
        system: [
            part[term].to_numpy()
            for part in found
            if term in part and part[term].notna().all() and len(part)
        ]
        for system, found in histories.items()
    }


def draw_curves(axes: Axes, found: dict[System, list[np.ndarray]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for system, values in found.items():
        shade = colour(system.look)
        for one in values if len(values) > 1 else ():
            axes.plot(np.arange(1, len(one) + 1), one, color=shade, lw=0.6, alpha=0.35)
        if values:
            mean = np.mean([one[: min(map(len, values))] for one in values], axis=0)
            axes.plot(np.arange(1, len(mean) + 1), mean, color=shade, ls=dash(system))
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
