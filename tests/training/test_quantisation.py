"""float16 and int8 students, by the scripts."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import soundfile

import export_student
import make_mel
import train_student
from config import UserError, load, run_script, script_parser
from data.checksums import sha256_of
from models.stored import read_model
from report.run import System
from report.table import table_rows
from tests.scripts import workplace
from training.run_folder import write_results
from training.stages import train_students, train_teachers

SECTION = "[quantisation]\nPRECISIONS = float16, int8\nEPOCHS = 2\nFREEZE_EPOCHS = 1\n"
FOLDER = "ce+kd/seed_0/fold_0"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An untrained teacher, a student of it, and this student in fewer bits."""
    folder = workplace(tmp_path_factory.mktemp("quantised"), extra=SECTION)
    text = (folder / "config.ini").read_text()
    text = text.replace("ce, ce+kd, ce+kd+sp", "ce+kd")
    text = re.sub(r"(\[teacher\][^\[]*?\nEPOCHS) = \d+", r"\1 = 0", text)
    (folder / "config.ini").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_main(patch, make_mel)
        train_teachers(load(Path("config.ini")))
        train_students(load(Path("config.ini")))
        write_results("config")
    return folder


@pytest.fixture
def call(place, monkeypatch, capsys):
    """Run a script in this process: its exit status and its output."""
    monkeypatch.chdir(place)

    def run(script, *arguments):
        status = run_main(monkeypatch, script, *arguments)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out + printed.err

    return run


def run_main(patch, script, *arguments):
    patch.setattr(sys, "argv", [f"{script.__name__}.py", *arguments])
    parser = export_student.parser() if script is export_student else script_parser("")
    parser.set_defaults(download=False, dry_run=False, overwrite=False, study=False)
    with pytest.raises(SystemExit) as end:
        run_script(script.main, parser)
    return end.value.code


def predictions_of(place, role):
    folder = place / f"runs/config/{role}" / FOLDER
    return pd.read_csv(folder / "predictions.csv", index_col=0)


def test_each_precision_is_a_row_of_the_table(place):
    results = pd.read_csv(place / "runs/config/results.csv")
    systems = ["student", "student@float16", "student@int8"]
    found = results[results["metric"] == "accuracy"].set_index("role")
    assert set(systems) < set(found.index)
    assert found.loc[systems, "epochs"].tolist() == [3, 0, 2]
    size = found.loc[systems, "weight_bytes"].tolist()
    assert size[1] < 0.6 * size[0]
    assert size[2] < 0.3 * size[0]
    assert found.loc[systems, "macs"].nunique() == 1
    rows = [row[0].partition(" ")[0] for row in table_rows(results, "accuracy")]
    assert rows == ["system", "teacher", *systems]
    assert System("student@int8", "ce+kd", "dcase_small", 1).label == "ce+kd@int8"


def test_predictions_in_fewer_bits_are_nearly_equal(place):
    full, half, eight = (predictions_of(place, f"student{at}") for at in ("", "@float16", "@int8"))
    assert 0 < np.abs(half - full).to_numpy().max() < 1e-3
    assert 0 < np.abs(eight - full).to_numpy().max() < 0.05


def test_int8_is_trained_with_the_losses_of_its_variant(place):
    history = pd.read_csv(place / "runs/config/student@int8" / FOLDER / "history.csv")
    assert {"ce", "kd"} < set(history)
    assert history["learning_rate"].tolist() == [5e-5, 5e-5]


def test_the_stored_model_is_the_one_that_was_evaluated(place):
    folder = place / "runs/config/student@int8" / FOLDER
    model, described = read_model(folder / "weights.safetensors")
    assert described.precision == "int8"
    weights = model.state_dict()
    assert {name.rpartition(".")[2] for name in weights} == {"weight", "bias", "low", "high"}
    assert all(weights[name] > 0 for name in weights if name.endswith("high"))


def test_a_second_start_changes_nothing_and_other_settings_are_detected(place, monkeypatch):
    monkeypatch.chdir(place)
    paths = sorted(Path("runs").glob("**/metrics.json"))
    before = [path.read_bytes() for path in paths]
    train_students(load(Path("config.ini")))
    assert [path.read_bytes() for path in paths] == before
    with pytest.raises(UserError, match="student@int8.epochs: 2 -> 1"):
        train_students(load(Path("config.ini"), ["quantisation.epochs=1"]))


def test_a_student_that_was_trained_again_is_detected(place):
    runs = place / "runs/config"
    metrics = json.loads((runs / "student@float16" / FOLDER / "metrics.json").read_text())
    found = metrics["settings"]["init weights"]
    assert found == sha256_of(runs / "student" / FOLDER / "weights.safetensors")


def test_the_exported_file_predicts_like_the_trained_model(place, call):
    status, printed = call(export_student, "--precision", "int8")
    assert status == 0
    assert "int8 compared with the student trained in int8: largest logit difference " in printed
    predictions = predictions_of(place, "student@int8")
    sounds = [soundfile.read(place / "recordings" / name)[0] for name in predictions.index]
    file = place / "runs/config/student" / FOLDER / "int8.onnx"
    (found,) = onnxruntime.InferenceSession(file).run(
        ["probabilities"], {"waveform": np.float32(sounds)[:, None]}
    )
    # Training read the mel from its cache, where it is rounded to float16.
    np.testing.assert_allclose(found, predictions, atol=2e-3)


def test_int8_that_is_not_trained_yet_is_named(place, call, tmp_path):
    trained = place / "runs/config/student@int8"
    shutil.move(trained, tmp_path)
    try:
        status, printed = call(export_student, "--precision", "int8")
    finally:
        shutil.move(tmp_path / trained.name, trained)
    assert status == 1
    assert "student@int8/ce+kd/seed_0/fold_0: no finished training; run train_student.py" in printed


WRONG = [
    (("--set", "quantisation.precisions=int4"), "quantisation.precisions=int4: found 'int4'"),
    (
        ("--set", "quantisation.freeze_epochs=3"),
        "freeze_epochs: found 3, expected at most epochs, 2",
    ),
    (("--set", "quantisation.precisions=float16"), "found 2, but PRECISIONS lacks int8"),
]


def test_a_student_that_cannot_be_quantised_is_not_trained(place, call):
    text = (place / "config.ini").read_text()
    own = "[student]\nMODEL = dcase_small\nWIDTH_MULT = 0.25"
    (place / "other.ini").write_text(text.replace(own, "[student]\nMODEL = cnn_lstm"))
    status, printed = call(train_student, "--config", "other.ini")
    assert status == 2
    assert "int8: CnnLstm cannot be quantised: it contains a recurrence" in printed
    assert not (place / "runs/other").exists()


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_settings_are_errors_before_any_training(call, arguments, message):
    status, printed = call(train_student, *arguments)
    assert status == 2
    assert message in printed
