"""What is checked before the work, and what is only doubtful."""

from pathlib import Path

import pytest

from config import ConfigError, load
from data.tables.clips import Clip, ClipTable
from tests.training.tiny_runs import settings, write_caches
from training.builders import build_architecture
from training.preparation import check_settings, check_table, doubtful, splits_of
from training.stages import train_students, train_teachers

CONFIG = """
[data]
DATASET = csv_folder
TASK = {task}
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.25
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
"""


def config_of(folder, task, *overrides):
    path = folder / "config.ini"
    path.write_text(CONFIG.format(task=task))
    return load(path, overrides)


def table_of(rows, task, classes=("a", "b")):
    """rows of (split or fold, labels)."""
    clips = [
        Clip(
            id=f"{n:02d}",
            path=Path(f"{n}.wav"),
            labels=dict.fromkeys(labels.split(), 1.0),
            split=part if isinstance(part, str) else "",
            fold=part if isinstance(part, int) else 0,
        )
        for n, (part, labels) in enumerate(rows)
    ]
    return ClipTable.of(clips, classes, task)


TRAIN, TEST = [("train", "a"), ("train", "b")] * 3, [("test", "a"), ("test", "b")]


@pytest.mark.parametrize(
    ("rows", "overrides", "message"),
    [
        (
            [*TRAIN, ("validate", "a b"), ("validate", "a b"), *TEST],
            (),
            r"\[data\] metric: mean_average_precision is undefined on the 2 validation clips "
            r"\(validate\); choose another METRIC, or other clips for that split; without one, tra",
        ),
        (
            [("train", "a b")] * 6 + TEST,
            (),
            r"\(held-out training clips\); set \[data\] HOLD_OUT higher, or 0",
        ),
        (
            [*TRAIN, ("test", "")],
            ("data.protocol=paper",),
            r"\(the test split\); choose another METRIC, or other clips",
        ),
    ],
)
def test_a_metric_that_is_undefined_is_an_error_with_advice_that_helps(
    tmp_path, rows, overrides, message
):
    config = config_of(tmp_path, "multi_label", "data.hold_out=0.3", *overrides)
    dataset, table = check_settings(config), table_of(rows, "multi_label")
    with pytest.raises(ConfigError, match=message):
        check_table(config, dataset, table)
    metric = config_of(tmp_path, "multi_label", "data.metric=tag_calibration_error", *overrides)
    check_table(metric, check_settings(metric), table)


def test_splits_are_checked_before_the_first_fold_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_caches()
    monkeypatch.setattr("training.preparation.check_defined", refuse_the_second)
    for command in (train_teachers, train_students):
        with pytest.raises(ConfigError, match="the second fold"):
            command(settings("run", "distillation.variants=ce"))
    assert not Path("runs").exists()


def refuse_the_second(metric, table, split):
    if split.test_name == "fold 2":
        raise ConfigError("[data] metric", "the second fold")


PLATEAU = (
    r"\[{}\] schedule: found 'plateau', which requires validation scores: set \[data\] HOLD_OUT"
)


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_plateau_requires_validation_scores(tmp_path, monkeypatch, role):
    monkeypatch.chdir(tmp_path)
    write_caches()
    train = {"teacher": train_teachers, "student": train_students}[role]
    with pytest.raises(ConfigError, match=PLATEAU.format(role)):
        train(settings("run", "distillation.variants=ce", f"{role}.schedule=plateau"))
    assert not Path("runs").exists()


def test_a_plateau_is_checked_where_it_is_used(tmp_path):
    """Not without epochs; the student's also where only its int8 weights are trained."""
    table = table_of([*TRAIN, *TEST], "single_label")

    def check(*overrides):
        config = config_of(tmp_path, "single_label", *overrides)
        check_table(config, check_settings(config), table)

    for role in ("teacher", "student"):
        plateau = f"{role}.schedule=plateau"
        check(plateau, "data.protocol=paper")
        check(plateau, "data.hold_out=0", f"{role}.epochs=0")
        with pytest.raises(ConfigError, match=PLATEAU.format(role)):
            check(plateau, "data.hold_out=0")
    check("teacher.schedule=plateau", "data.hold_out=0", "run.teacher_run=other")
    int8 = "quantisation.precisions=int8", "quantisation.epochs=6"
    with pytest.raises(ConfigError, match=PLATEAU.format("student")):
        check(plateau, "data.hold_out=0", "student.epochs=0", *int8)


def test_a_model_that_takes_all_memory_is_an_error(tmp_path):
    config = config_of(tmp_path, "single_label", "student.width_mult=1e8")
    with pytest.raises(ConfigError, match=r"\[student\] model: cannot be built with its options"):
        build_architecture(config, "student", 2, (1, 16, 16))


# Warnings -----------------------------------------------------------------------------------------


def doubts(config, table):
    return list(doubtful(config, check_settings(config), table, splits_of(config, table)))


def test_a_metric_that_is_undefined_on_test_clips_is_doubtful(tmp_path):
    config = config_of(tmp_path, "multi_label", "data.hold_out=0")
    rows = [*((1, name) for name in "ab"), *((2, name) for name in "ab"), (3, "a b")]
    found = doubts(config, table_of(rows, "multi_label"))
    assert found == ["mean_average_precision is undefined on the 1 clips of fold 3"]


def test_a_single_class_is_doubtful(tmp_path):
    table = table_of([("train", "a"), ("test", "a")], "single_label", ("a",))
    config = config_of(tmp_path, "single_label", "data.hold_out=0")
    assert doubts(config, table) == ["the data set has one class alone, 'a'"]
    tags = config_of(tmp_path, "multi_label", "data.hold_out=0")
    assert (
        doubts(tags, table_of([("train", "a"), ("test", "a"), ("test", "")], "multi_label", "a"))
        == []
    )


def test_many_empty_mel_filters_are_doubtful(tmp_path):
    table = table_of([("train", "a"), ("train", "b"), *TEST], "single_label")
    config = config_of(tmp_path, "single_label", "data.hold_out=0", "mel.num_bands_teacher=512")
    assert doubts(config, table) == [
        "152 of the 512 mel bands of the teacher are empty filters; lower NUM_BANDS or raise "
        "FFT_SIZE"
    ]


def test_classes_that_differ_in_case_or_spaces_are_doubtful(tmp_path):
    names = ("Dog", "air conditioner", "air_conditioner", "cat", "dog", "dog bark")
    rows = [("train", "cat"), ("train", "dog"), ("test", "dog")]
    found = doubts(config_of(tmp_path, "single_label"), table_of(rows, "single_label", names))
    assert found[:2] == [
        "the classes 'air conditioner' and 'air_conditioner' differ in case or spaces alone",
        "the classes 'Dog' and 'dog' differ in case or spaces alone",
    ]


def test_classes_without_training_or_test_clips_are_doubtful(tmp_path):
    config = config_of(tmp_path, "single_label", "data.hold_out=0")
    classes = ("a", "b", "c")
    table = table_of([("train", "a"), ("train", "b"), ("test", "c")], "single_label", classes)
    assert doubts(config, table) == [
        "no training clip has the label 'c'",
        "no test clip has the label 'a', 'b'",
    ]
    folds = table_of([(1, "a"), (2, "a"), (2, "b"), (1, "c"), (2, "c")], "single_label", classes)
    assert doubts(config, folds) == [
        "no test clip of fold 1 has the label 'b'",
        "no training clip of fold 2 has the label 'b'",
    ]
    whole = table_of([("train", "a"), ("train", "b"), *TEST], "single_label")
    assert doubts(config, whole) == []
