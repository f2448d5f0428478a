"""ENHANCE_LABELS: labels that a teacher's logits add to the training clips of a fold."""

from __future__ import annotations

from pathlib import Path

from config import Config
from data.checksums import sha256_of
from data.tables.clips import ClipTable
from data.tables.label_enhancement import with_enhanced_labels
from data.tables.ontology import relatives
from data.tables.splits import Split
from training.class_order import some_of
from training.distributed import rank
from training.fusion import probabilities_of
from training.logits.checks import check_better_than_chance, check_test_clips_unseen
from training.logits.table import EXPORTED, FILE, Logits
from training.run_folder import find_training

WHERE = "[data] enhance_labels"


def enhanced(config: Config, table: ClipTable, split: Split, fold: int) -> ClipTable:
    """The table with the labels that ENHANCE_LABELS adds.

    Validation and test clips keep theirs. Raises UserError for files that are not there, for logits
    without a training clip or of other classes, and of a teacher that was trained on a test clip.
    """
    ontology = Path(config.data.ontology)
    related = relatives(ontology, table.classes)
    logits = Logits.read(logits_file(config, fold))
    values = logits.of(table.ids[split.train], table.classes)
    check_test_clips_unseen(WHERE, table, split, logits)
    if logits.trained is None:
        check_better_than_chance(WHERE, table, split, logits.where, values)
    probabilities = probabilities_of(values, table.task)
    kind = config.data.enhance_threshold
    found = with_enhanced_labels(table, split.train, probabilities, related, kind)
    if rank() == 0:
        before, after = (len(one.targets.take(split.train).matrix.data) for one in (table, found))
        print(f"{WHERE}: the {before} labels of the training clips become {after}")
        if without := [name for name in table.classes if name not in related]:
            classes = f"{len(without)} of {len(table.classes)} classes"
            print(f"[data] ontology: {ontology} has no node for {classes}: {some_of(without)}")
    return found


def logits_file(config: Config, fold: int) -> Path:
    """The file, or that of this fold and the first seed in a folder. Raises UserError."""
    path = Path(config.data.enhance_labels)
    if path.suffix == FILE:
        return path
    return find_training(path, config.run.seeds[0], fold) / EXPORTED


def enhancement_settings(config: Config, fold: int) -> dict[str, str]:
    """What the added labels depend on besides [data]."""
    if not config.data.enhance_labels:
        return {}
    files = {"enhance labels": logits_file(config, fold), "ontology": Path(config.data.ontology)}
    return {name: sha256_of(file) for name, file in files.items()}
