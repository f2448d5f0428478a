import pandas as pd
import pytest
import torch
from safetensors import safe_open

from config import UserError
from data.atomic_write import unfinished
from training.run_folder import TrainingFolder, write_results

METRICS = {
    "role": "student",
    "variant": "bce",
    "model": "dcase_small",
    "dataset": "street_sounds",
    "seed": 0,
    "fold": 0,
    "split": "test",
    "figures": {"micro_auprc": 0.5, "macro_auprc": 0.25},
    "parameters": 10,
    "macs": 20,
    "weight_bytes": 40,
    "epochs": 3,
    "seconds": 1.5,
    "epoch_chosen_on": "validate",
}


def finish(folder, **changed):
    folder.finish(
        {"w": torch.arange(3.0)},
        {"soundstill": "{}"},
        pd.DataFrame({"epoch": [1]}),
        pd.DataFrame({"audio_filename": ["a.wav"]}),
        METRICS | changed,
    )


def test_a_finished_training_is_found_again(tmp_path):
    folder = TrainingFolder(tmp_path / "seed_0", {"student.epochs": "3"})
    assert folder.finished() is None
    folder.write_checkpoint({"epoch": 1})
    assert folder.read_checkpoint() == {"epoch": 1}
    finish(folder)
    assert folder.finished()["figures"]["micro_auprc"] == 0.5
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "history.csv",
        "metrics.json",
        "predictions.csv",
        "weights.safetensors",
    ]
    with safe_open(folder.path / "weights.safetensors", "pt") as file:
        assert file.metadata() == {"soundstill": "{}"}
        assert file.get_tensor("w").tolist() == [0, 1, 2]


@pytest.mark.parametrize("state", ["checkpoint", "finished"])
def test_other_settings_are_named(tmp_path, state):
    folder = TrainingFolder(tmp_path, {"student.epochs": "3", "seed": "0"})
    folder.write_checkpoint({"epoch": 1})
    if state == "finished":
        finish(folder)
    other = TrainingFolder(tmp_path, {"student.epochs": "4", "seed": "0", "new": "x"})
    with pytest.raises(UserError, match=r"new: unset -> x; student.epochs: 3 -> 4"):
        other.finished() if state == "finished" else other.read_checkpoint()
    other.remove()
    assert other.read_checkpoint() is None


def test_half_written_files_of_a_killed_training_go(tmp_path):
    folder = TrainingFolder(tmp_path / "a", {})
    folder.path.mkdir()
    unfinished(folder.path / "checkpoint.pt", pid=7).write_bytes(b"ha")
    finish(folder)
    assert not list(folder.path.glob(".*"))


def test_results_have_a_row_a_figure(tmp_path, monkeypatch):
    monkeypatch.setattr("training.run_folder.RUNS", tmp_path)
    for seed in (0, 1):
        finish(TrainingFolder(tmp_path / "demo/student/bce" / f"seed_{seed}", {}), seed=seed)
    results = write_results("demo")
    assert len(results) == 4
    written = pd.read_csv(tmp_path / "demo/results.csv")
    assert written["value"].tolist() == results["value"].tolist()
    assert set(written["seed"]) == {0, 1}
    assert written.columns[:4].tolist() == ["role", "variant", "model", "dataset"]
