"""Errors: precision-recall curves or confusion matrices, and what distillation changed."""

from __future__ import annotations

from config import Task
from report.run import Run
from report.section import Pictures, Section, Table, Text
from report.sections.confusion import changed_confusions, matrices
from report.sections.pairs import chosen_pairs
from report.sections.ranking import precision_recall

TITLES: dict[Task, str] = {
    "multi_label": "Precision and recall of each tag",
    "single_label": "Confusion matrices",
}


def section(run: Run) -> Section:
    seed = run.seeds[0]
    predictions = {system: run.predictions(system, seed) for system in run.compared}
    draw = precision_recall if run.task == "multi_label" else matrices
    clips = len(next(iter(predictions.values())).rows)
    folds = f", all {len(run.folds)} folds" if len(run.folds) > 1 else ""
    blocks: list[Text | Pictures | Table] = [
        Text(f"{clips} test clips, seed {seed}{folds}."),
        draw(run, predictions),
    ]
    if systems := run.baseline_and_distilled:
        before, after = (
            [run.predictions(system, seed) for seed in run.seeds] for system in systems
        )
        names = systems[0].label, systems[1].label
        table = changed_confusions(run, before, after, names)
        blocks.append(table or Text("Distillation changed no confusion."))
    if pairs := chosen_pairs(run):
        blocks.append(pairs)
    return Section(TITLES[run.task], blocks)
