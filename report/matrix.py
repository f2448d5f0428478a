"""The gains of a matrix of teachers and students, as tables and a picture.

Source: Gong et al., CMKD, arXiv:2203.06760, figure 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from data.atomic_write import write
from metrics import sign
from models import family
from report.drawing import MUTED, margin_for, picture, standalone
from report.findings import CHAIN, Finding, findings
from report.run import Run
from report.significance import NAME, signed_rank
from report.table import aligned, as_markdown, signed, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("chain", "model", "metric", "seed", "fold", "value", "parameters", "macs", "epochs")
CELL, BLACK = 118, "#111111"  # px; the ink on pale cells, in light and dark mode


class Gain(NamedTuple):
    """The score of a distilled model, that of its teacher, that without one, and the gain.

    Gains are paired by seed and fold, above zero where distillation helps; p is of the signed-rank
    test.
    """

    teacher: str  # itself a chain, where it was distilled too
    student: str
    pairs: int
    teacher_score: float
    alone: float
    distilled: float
    distilled_std: float
    gain: float
    gain_std: float
    p: float


class MatrixResults(NamedTuple):
    """The scores of a matrix, its gains and its findings."""

    metric: str
    scores: dict[str, pd.Series]  # chain -> its scores by seed and fold
    gains: list[Gain]
    findings: list[Finding]


def write_matrix(folder: Path, runs: Mapping[tuple[str, ...], Path], variant: str) -> str:
    """Writes results.csv, matrix.csv, findings.csv and matrix.svg; returns the text to print."""
    results = gather(runs, variant)
    matrix = matrix_results(results)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "results.csv", results.to_csv(index=False))
    write(folder / "matrix.csv", pd.DataFrame(matrix.gains).to_csv(index=False))
    write(folder / "matrix.svg", matrix_picture(matrix))
    found = [{**one._asdict(), "verdict": one.verdict} for one in matrix.findings]
    write(folder / "findings.csv", pd.DataFrame(found).to_csv(index=False))
    gains, statements = aligned(gains_rows(matrix)), aligned(findings_rows(matrix.findings))
    return "\n".join(["", title(matrix), gains, "", statements])


def matrix_markdown(matrix: MatrixResults) -> str:
    gains, statements = as_markdown(gains_rows(matrix)), as_markdown(findings_rows(matrix.findings))
    return f"{title(matrix)}:\n\n{gains}\n\n{statements}"


def matrix_results(results: pd.DataFrame) -> MatrixResults:
    """From the results.csv of write_matrix."""
    metric, scores = results["metric"].iloc[0], scores_of(results)
    higher_is_better = {chain: sign(metric) * part for chain, part in scores.items()}
    found = findings(higher_is_better, families_of(results))
    return MatrixResults(metric, scores, gains_of(scores, metric), found)


def gather(runs: Mapping[tuple[str, ...], Path], variant: str) -> pd.DataFrame:
    """The headline of the last model of each path, one row per seed and fold.

    A path is a model alone, a teacher and its student, or longer.
    """
    found = []
    for path, folder in runs.items():
        rows = Run(folder).headline
        role = rows["role"] == ("student" if len(path) > 1 else "teacher")
        chosen = rows[role & ((rows["variant"] == variant) | (len(path) == 1))]
        found.append(chosen.assign(chain=CHAIN.join(path)))
    return pd.concat(found)[list(COLUMNS)]


def scores_of(results: pd.DataFrame) -> dict[str, pd.Series]:
    """Chain -> its scores by seed and fold."""
    return {
        str(chain): rows.set_index(["seed", "fold"])["value"]
        for chain, rows in results.groupby("chain", sort=False)
    }


def gains_of(scores: Mapping[str, pd.Series], metric: str) -> list[Gain]:
    """One per distilled model."""
    found = []
    for chain, distilled in scores.items():
        teacher, _, student = chain.rpartition(CHAIN)
        if not teacher:
            continue
        gain = sign(metric) * (distilled - scores[student]).dropna()
        found.append(
            Gain(
                teacher=teacher,
                student=student,
                pairs=len(gain),
                teacher_score=scores[teacher].mean(),
                alone=scores[student].mean(),
                distilled=distilled.mean(),
                distilled_std=distilled.std(),
                gain=gain.mean(),
                gain_std=gain.std(),
                p=signed_rank(gain).p,
            )
        )
    return found


def families_of(results: pd.DataFrame) -> dict[str, str]:
    """Model of the matrix -> convolutional or transformer."""
    alone = results[~results["chain"].str.contains(CHAIN)]
    return {name: family(model) for name, model in zip(alone["chain"], alone["model"], strict=True)}


def title(matrix: MatrixResults) -> str:
    pairs = sorted({one.pairs for one in matrix.gains}) or [0]
    n = str(pairs[0]) if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    return (
        f"{matrix.metric}, and the gain of the last over itself alone, paired by seed and fold, "
        f"n = {n}; {NAME}, whose p is too low rather than too high: pairs share clips"
    )


def gains_rows(matrix: MatrixResults) -> list[list[str]]:
    """The models alone, then each chain."""
    gains = {(one.teacher, one.student): one for one in matrix.gains}
    rows = [["model", "score", "gain", "p"]]
    for chain, scores in matrix.scores.items():
        teacher, _, student = chain.rpartition(CHAIN)
        row = [chain, spread(scores), "", ""]
        if teacher:
            gain = gains[teacher, student]
            row[2:] = signed(gain.gain, gain.gain_std), number(gain.p)
        rows.append(row)
    return rows


def findings_rows(found: Sequence[Finding]) -> list[list[str]]:
    head = ["statement", "difference", "p", "verdict"]
    return [head] + [
        [one.statement, signed(one.difference, one.std), number(one.p), one.verdict]
        for one in found
    ]


def matrix_picture(matrix: MatrixResults) -> str:
    """Rows are teachers, columns students, colours gains; each longer chain adds a row."""
    gains = matrix.gains
    teachers = list(dict.fromkeys(one.teacher for one in gains))
    students = list(dict.fromkeys(one.student for one in gains))
    labels = {name: f"{name}  {scores.mean():.3f}" for name, scores in matrix.scores.items()}
    largest = max(1e-9, *(abs(one.gain) for one in gains))
    left, bottom = margin_for([labels[name] for name in teachers], 40), 46
    height = 30 + bottom + len(teachers) * CELL // 2

    def draw(axes: Axes) -> None:
        import matplotlib

        colours = matplotlib.colormaps["PuOr"]
        for row in gains:
            x, y = students.index(row.student), teachers.index(row.teacher)
            shade = colours(0.5 + 0.22 * row.gain / largest)  # pale, so that black stays legible
            axes.add_patch(
                matplotlib.patches.Rectangle((x + 0.02, y + 0.03), 0.96, 0.94, color=shade)
            )
            label = f"{signed(row.gain, row.gain_std, 3)}\n{row.distilled:.3f}"
            label += f", p = {number(row.p)}" if number(row.p) else ""
            axes.text(x + 0.5, y + 0.5, label, ha="center", va="center", color=BLACK, fontsize=10)
        axes.set_xlim(0, len(students))
        axes.set_ylim(len(teachers), 0)
        ticks(axes.set_xticks, [labels[name] for name in students])
        ticks(axes.set_yticks, [labels[name] for name in teachers])
        axes.set_xlabel("student, and its score alone; on the left, its teacher", color=MUTED)
        axes.grid(visible=False)

    panel = picture(
        "matrix",
        draw,
        title=f"gain in {matrix.metric}",
        width=left + 10 + len(students) * CELL,
        height=height,
        left=left,
        bottom=bottom,
    )
    return standalone([panel], height)


def number(p: float) -> str:
    """p; empty where it is NaN."""
    return "" if math.isnan(p) else f"{p:.2g}"


def ticks(set_ticks: Callable[[list[float], list[str]], object], names: list[str]) -> None:
    set_ticks([place + 0.5 for place in range(len(names))], names)
