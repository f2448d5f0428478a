"""Soft targets of training clips, where held-out ones choose the epoch."""

from scipy.sparse import csr_array

from data.tables.targets import Targets
from tests.training.tiny_runs import settings, write_caches
from training.builders import new_model
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_batches
from training.predict import validator
from training.role import TEACHER


def test_clips_with_soft_targets_are_trained_on_and_choose_the_epoch_by_the_largest(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_caches()
    opened = Experiment.open(settings("soft", "data.hold_out=0.5"), "teacher", "student")
    soft = opened.table.targets[:]
    soft[4:] = [[0.45, 0.35], [0.3, 0.4]] * 2  # none is 0.5 or more
    opened.table.targets = Targets(csr_array(soft))
    fold = open_fold(opened, 1)
    assert len(fold.split.validation) == 2
    (batch,) = build_batches(fold, TEACHER, 0, ("teacher",)).epoch(0)
    assert len(batch.rows) == 2
    score = validator(fold, TEACHER, lambda: None)(new_model(fold, TEACHER, 0))
    assert 0 <= score <= 1
