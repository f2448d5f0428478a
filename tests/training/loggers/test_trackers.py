"""A training is one run of its tracker, also where several processes trained it."""

import inspect

import pytest

from tests.training.loggers.fakes import FAKES
from tests.training.loggers.installed import INSTALLED
from training.loggers import LOGGERS

NAME = "street/student/ce+kd/seed_0/fold_1"
SETTINGS = {"role": "student", "student.epochs": 4, "student.schedule": "", "student.dropout": 0.2}
SCORES = {"accuracy": 0.75, "accuracy siren (ambulance)": 0.5}


def row(epoch):
    return {"epoch": epoch, "learning_rate": 1e-3, "loss": 1 / epoch, "score": epoch / 8}


@pytest.fixture(params=[*FAKES, *INSTALLED], ids=lambda kind: kind.__name__)
def tracker(request, tmp_path, monkeypatch):
    return request.param(tmp_path, monkeypatch)


@pytest.fixture
def start(tracker, tmp_path):
    """Start or resume a training in the folder `name`."""

    def start(epoch, name="training"):
        return LOGGERS[tracker.NAME](tmp_path / name, NAME, SETTINGS, epoch)

    return start


def expected_settings(tracker):
    as_text = tracker.NAME == "mlflow"
    return {key: str(value) if as_text else value for key, value in SETTINGS.items()}


def test_a_training_is_one_run(tracker, start):
    logger = start(0)
    for epoch in (1, 2, 3):
        logger.add(row(epoch))
    logger.close(SCORES)
    (run,) = tracker.runs()
    assert (run.project, run.title) == ("street", "student/ce+kd/seed_0/fold_1")
    assert run.settings == expected_settings(tracker)
    assert run.rows == [(epoch, row(epoch)) for epoch in (1, 2, 3)]
    in_mlflow = {name.translate({40: "_", 41: "_"}): value for name, value in SCORES.items()}
    assert run.scores == (in_mlflow if tracker.NAME == "mlflow" else SCORES)
    assert run.finished


def test_a_resumed_training_continues_its_run(tracker, start):
    killed = start(0)
    for epoch in (1, 2):
        killed.add(row(epoch))
    tracker.killed(killed)
    resumed = start(2)
    for epoch in (3, 4):
        resumed.add(row(epoch))
    resumed.close(SCORES)
    (run,) = tracker.runs()
    assert run.rows == [(epoch, row(epoch)) for epoch in (1, 2, 3, 4)]
    assert run.finished


def test_an_epoch_that_is_trained_again_is_there_once(tracker, start):
    """In Trackio it is there twice: there is no way to ask for the rows of a run."""
    killed = start(0)
    for epoch in (1, 2, 3):
        killed.add(row(epoch))
    tracker.killed(killed)
    resumed = start(2)  # the third was not saved
    for epoch in (3, 4):
        resumed.add(row(epoch))
    resumed.close({})
    (run,) = tracker.runs()
    once = [(epoch, row(epoch)) for epoch in (1, 2, 3, 4)]
    if tracker.NAME == "trackio":
        assert run.rows.pop(2) == (
            3,
            {name: (value, value) for name, value in once.pop(2)[1].items()},
        )
    assert run.rows == once


def test_a_new_training_of_the_same_name_is_a_new_run(tracker, start):
    """As after --overwrite, which removes the folder of the training."""
    for folder in ("first", "second"):
        logger = start(0, folder)
        logger.add(row(1))
        logger.close({})
    assert [run.rows for run in tracker.runs()] == [[(1, row(1))]] * 2


def test_many_settings_and_scores_are_sent_in_parts(tracker, tmp_path):
    settings = {f"student.key_{n}": n for n in range(250)}
    scores = {f"accuracy class {n}": n / 1024 for n in range(250)}
    logger = LOGGERS[tracker.NAME](tmp_path / "training", NAME, settings, 0)
    logger.close(scores)
    (run,) = tracker.runs()
    assert len(run.settings) == 250
    assert run.scores == scores


@pytest.mark.parametrize("fake", FAKES)
def test_the_fakes_have_the_signatures_of_the_packages(fake, tmp_path):
    package = pytest.importorskip(fake.NAME, reason=f"requires {fake.NAME}")
    with pytest.MonkeyPatch.context() as patch:
        calls = fake(tmp_path, patch).signatures
    for name, call in calls.items():
        real = package
        for part in name.split("."):
            real = getattr(real, part)
        parameters = inspect.signature(call).parameters.values()
        names = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        keywords = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
        bound = inspect.signature(real).bind(*names, **keywords).arguments
        assert bound == {**{n: n for n in names}, **keywords}, name
