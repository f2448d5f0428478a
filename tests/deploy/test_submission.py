"""The files of a challenge submission, with untrained students."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from data.checksums import sha256_of, write_record
from data.features.front_end import FrontEnd
from deploy.submission import main
from models.cost import cost
from models.stored import read_model
from tests.deploy import trained

NAMES = ("9.wav", "10.wav", "2.wav")


def make_training(folder, split=None, task="single_label"):
    described = trained.described("cp_mobile", task, base_channels=8)
    model = trained.built(described)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "weights.safetensors", described.header())
    settings = {} if split is None else {"data.train_percent": split}
    metrics = {"split": "test", "figures": {"macro_accuracy": 0.5}, "settings": settings}
    checksums = {"weights.safetensors": sha256_of(folder / "weights.safetensors")}
    write_record(folder / "metrics.json", metrics, checksums)
    return folder, model, described


@pytest.fixture
def evaluation(tmp_path):
    """Clips without labels; one is shorter than the student's."""
    folder = tmp_path / "evaluation"
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    rows = "".join(f"audio/{name}\n" for name in NAMES)
    (folder / "evaluation_setup" / "fold1_test.csv").write_text(f"filename\n{rows}")
    for name, sound in zip(NAMES, trained.waveforms(3), strict=True):
        samples = sound[0, : trained.RATE // 2] if name == "2.wav" else sound[0]
        soundfile.write(folder / "audio" / name, samples, trained.RATE, subtype="FLOAT")
    return folder


def test_a_folder_for_each_split(tmp_path, evaluation, capsys):
    small, model, described = make_training(tmp_path / "runs/small/student/ce/seed_0/fold_0", "5")
    full, _, _ = make_training(tmp_path / "runs/all/student/ce/seed_0/fold_0")
    out = tmp_path / "out"
    given = [small, full, "--evaluation", evaluation, "--out", out, "--precision", "float32"]
    assert main(list(map(str, given))) == 0
    assert sorted(path.name for path in out.iterdir()) == ["split_100", "split_5"]

    output = pd.read_csv(out / "split_5/output.csv", sep="\t").set_index("filename")
    assert list(output.columns) == ["scene_label", *described.classes]
    assert sorted(output.index) == sorted(NAMES)
    for name, sound in zip(NAMES, torch.from_numpy(trained.waveforms(3)), strict=True):
        if name == "2.wav":
            sound[:, trained.RATE // 2 :] = 0
        mel = (FrontEnd(described.front_end)(sound[None]) + 2.0) / 1.5
        with torch.no_grad():
            expected = model(mel).logits.softmax(1)[0].numpy()
        row = output.loc[name]
        assert row["scene_label"] == described.classes[expected.argmax()]
        np.testing.assert_allclose(row[list(described.classes)].astype(float), expected, atol=1e-5)

    info = json.loads((out / "split_5/info.json").read_text())
    size = cost(model, described.input_shape)
    assert (info["parameters"], info["macs"]) == (size.parameters, size.macs)
    assert info["parameter_bytes"] == 4 * size.parameters
    assert (info["split"], info["test"]) == ("5", {"macro_accuracy": 0.5})
    assert f"split_5: 3 clips; {size.parameters:,} parameters" in capsys.readouterr().out


def test_predictions_are_those_of_the_rounded_weights(tmp_path, evaluation):
    training, model, described = make_training(tmp_path / "training")
    out = tmp_path / "out"
    assert main([str(training), "--evaluation", str(evaluation), "--out", str(out)]) == 0
    info = json.loads((out / "split_100/info.json").read_text())
    assert info["parameter_bytes"] == 2 * info["parameters"]
    rounded, again = read_model(out / "split_100/weights.safetensors")
    assert again == described
    for ours, theirs in zip(model.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(ours.half().float(), theirs)
    output = pd.read_csv(out / "split_100/output.csv", sep="\t").set_index("filename")
    mel = FrontEnd(described.front_end)(torch.from_numpy(trained.waveforms(3)[:1]))
    with torch.no_grad():
        expected = rounded((mel + 2.0) / 1.5).logits.softmax(1)[0].numpy()
    found = output.loc[NAMES[0], list(described.classes)].to_numpy(float)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_cannot_be_submitted_is_refused(tmp_path, evaluation, capsys):
    training, _, _ = make_training(tmp_path / "one")
    other, _, _ = make_training(tmp_path / "two")
    tags, _, _ = make_training(tmp_path / "tags", task="multi_label")

    def error(*trainings, folder=evaluation):
        given = [*trainings, "--evaluation", folder, "--out", tmp_path / "out"]
        assert main(list(map(str, given))) == 1
        return capsys.readouterr().err

    assert "two: trained on 100 % of the clips, like" in error(training, other)
    assert "nowhere: no finished training; expected runs/NAME/student" in error(
        tmp_path / "nowhere"
    )
    assert "tags: is a multi-label model; expected a single-label student" in error(tags)
    assert "fold1_test.csv: no such file; expected the folder of an un" in error(
        training, folder=tmp_path
    )
    (evaluation / "audio/10.wav").unlink()
    assert "recordings that are missing: 1 of 3\n  10.wav" in error(training)
