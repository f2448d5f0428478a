"""Where the systems err: a curve a tag, or a confusion matrix; and what distillation mended."""

from __future__ import annotations

from metrics.inputs import Task
from report.run import Run
from report.section import Section, Text
from report.sections.confusion import matrices, mended
from report.sections.pairs import chosen_pairs
from report.sections.ranking import precision_recall

TITLES: dict[Task, str] = {
    "multi_label": "Precision and recall of each tag",
    "single_label": "Confusion matrices",
}


def section(run: Run) -> Section:
    seed = run.seeds[0]
    judged = {system: run.judged(system, seed) for system in run.compared}
    draw = precision_recall if run.task == "multi_label" else matrices
    clips = len(next(iter(judged.values())).rows)
    folds = f", its {len(run.folds)} folds together" if len(run.folds) > 1 else ""
    blocks = [Text(f"Of {clips} reported clips, seed {seed}{folds}."), draw(run, judged)]
    if run.baseline and run.best != run.baseline:
        before, after = (
            [run.judged(system, seed) for seed in run.seeds] for system in (run.baseline, run.best)
        )
        table = mended(run, before, after, (run.baseline.label, run.best.label))
        blocks.append(table or Text("Distillation mended no confusion, and made none."))
    if pairs := chosen_pairs(run):
        blocks.append(pairs)
    return Section(TITLES[run.task], blocks)
