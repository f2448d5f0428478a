"""export_student.py as a user runs it."""

import importlib.util
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import soundfile
import yaml

import deploy.browser_page
import export_student
from config import load, run_script
from deploy import Student
from tests.resealed import reseal
from tests.scripts import RATE, run, workplace

FOLDER = Path("runs/config/student/ce/seed_0/fold_0")
PRECISIONS = ("float32", "float16", "int8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A trained and exported student, and the output of the script."""
    folder = workplace(tmp_path_factory.mktemp("exported"))
    run(folder, "make_mel.py")
    run(folder, "train_student.py", "--set", "distillation.variants=ce")
    (folder / "printed").write_text(run(folder, "export_student.py", "--variant", "ce"))
    return folder


@pytest.fixture
def export(place, monkeypatch, capsys):
    """Runs the script in this process -> (exit status, output)."""
    monkeypatch.chdir(place)

    def script(*arguments):
        monkeypatch.setattr(sys, "argv", ["export_student.py", *arguments])
        with pytest.raises(SystemExit) as end:
            run_script(export_student.main, export_student.parser())
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return end.value.code, printed.out + printed.err

    return script


def test_predictions_equal_those_of_the_training(place):
    predictions = pd.read_csv(place / FOLDER / "predictions.csv", index_col=0)
    sounds = [soundfile.read(place / "recordings" / name)[0] for name in predictions.index]
    waveforms = np.float32(sounds)[:, None]
    for precision, bound in zip(PRECISIONS, (2e-3, 5e-3, 5e-2), strict=True):
        student = onnxruntime.InferenceSession(place / FOLDER / f"{precision}.onnx")
        (found,) = student.run(["probabilities"], {"waveform": waveforms})
        # The training reads mels from the cache, which rounds them to float16.
        np.testing.assert_allclose(found, predictions, atol=bound)


def test_each_file_has_a_description(place):
    metrics = json.loads((place / FOLDER / "metrics.json").read_text())
    for precision in PRECISIONS:
        model = onnx.load(place / FOLDER / f"{precision}.onnx")
        (entry,) = model.metadata_props
        assert entry.key == "soundstill"
        found = json.loads(entry.value)
        expected = {
            "format": 1,
            "name": "config ce seed 0",
            "model": "dcase_small",
            "task": "single_label",
            "classes": ["high", "low"],
            "sample_rate": RATE,
            "channels": 1,
            "clip_seconds": 0.5,
            "samples": RATE // 2,
            "any_length": True,
            "precision": precision,
            "hop_seconds": 0.01,
            "dataset": "csv_folder",
            "licence": "the user's own recordings",
            "opset": 18,
            "parameters": metrics["parameters"],
            "macs": metrics["macs"],
            "split": "test",
        }
        assert {key: found[key] for key in expected} == expected
        others = {"front_end", "commit", "scores", "thresholds", "least_samples"}
        assert found.keys() - expected.keys() == others
        assert 1 <= found["least_samples"] <= 0.03 * RATE
        assert found["thresholds"] is None, "only tags have thresholds"
        assert found["front_end"]["num_bands"] == 12
        assert found["scores"]["accuracy"] == metrics["figures"]["accuracy"]
        assert [axis.dim_param for axis in shape_of(model.graph.input[0])][::2] == [
            "batch",
            "samples",
        ]
        assert [output.name for output in model.graph.output] == [
            *("probabilities", "logits", "embedding", "mel")
        ]


def shape_of(value):
    return value.type.tensor_type.shape.dim


def test_the_browser_page_has_the_students_of_the_chosen_precisions(export, place, monkeypatch):
    monkeypatch.setattr(deploy.browser_page, "RUNTIME", place)
    status, printed = export("--variant", "ce", "--format", "browser", "--precision", "int8")
    assert (status, "run `npm install --prefix" in printed) == (1, True)
    assert not (place / FOLDER / "browser").exists()
    for name in deploy.browser_page.RUNTIME_FILES:
        (place / name).write_text(name)
    status, printed = export("--variant", "ce", "--format", "browser", "--precision", "int8")
    assert status == 0
    assert f"python -m http.server --bind 127.0.0.1 --directory {FOLDER}/browser" in printed
    assert (place / FOLDER / "browser/students.json").read_text() == '["int8.onnx"]'
    onnxruntime.InferenceSession(place / FOLDER / "browser/int8.onnx")


def test_the_budget_is_printed_and_written(place):
    printed = (place / "printed").read_text()
    written = json.loads((place / FOLDER / "budget.json").read_text())
    assert (written["metric"], written["clips"]) == ("accuracy", 12)
    rows = {row["precision"]: row for row in written["budget"]}
    assert list(rows) == ["PyTorch", *PRECISIONS]
    for precision in PRECISIONS:
        row = rows[precision]
        assert row["file_bytes"] == (place / FOLDER / f"{precision}.onnx").stat().st_size
        assert row["real_time_factor"] == pytest.approx(row["milliseconds"] / 500)
        eager = rows["PyTorch"]["milliseconds"]
        assert row["times_eager"] == pytest.approx(eager / row["milliseconds"])
        assert row["score"] + row["score_lost"] == pytest.approx(rows["PyTorch"]["score"])
        assert re.search(rf"^{precision} +[\d.]+ kB .* {row['score']:.4f} ", printed, re.M)
        assert str(FOLDER / f"{precision}.onnx") in printed
    assert rows["float32"]["largest_logit_difference"] <= 1e-4
    assert rows["int8"]["weight_bytes"] < rows["float16"]["weight_bytes"]
    assert "config ce seed 0: dcase_small, " in printed
    assert "12 clips of test" in printed


def test_the_model_card_has_the_scores_of_the_budget(place):
    card = (place / FOLDER / "MODEL_CARD.md").read_text()
    rows = json.loads((place / FOLDER / "budget.json").read_text())["budget"]
    for row in rows:
        (low, high) = re.search(
            rf"^\| {row['precision']} \| {row['score']:.4f} \| ([\d.]+) to ([\d.]+) \|$", card, re.M
        ).groups()
        assert float(low) <= row["score"] <= float(high)
    assert card.startswith("# config ce seed 0\n\ndcase_small: ")
    assert "Licence of the recordings: the user's own recordings." in card
    assert "12 clips of test; percentile bootstrap over groups of clips, 200 samples:" in card
    assert "- num_bands: 12\n" in card
    assert re.search(r"^- mean: -?\d[\d.e-]*\n- std: \d[\d.e-]*$", card, re.M)


WRONG = [
    (("--seed", "7"), "--seed: found 7, the configuration has 0"),
    (("--fold", "2"), "--fold: found 2, the data set has no folds"),
    (("--variant", "kd"), "--variant: found kd, the configuration has ce, ce+kd, ce+kd+sp"),
    (("--precision", "int4"), "--precision: found 'int4'; nearest: int8"),
    (("--precision", ","), "--precision: found none, expected some of float32, float16, int8"),
    (("--role", "teacher", "--variant", "ce"), "--variant: a teacher has none"),
    (("--format", "executorch", "--precision", "int8"), "executorch supports only float32"),
    (("--format", "c", "--precision", "float16"), "c supports only float32 and int8"),
    (("--format", "tflite", "--precision", "float16"), "tflite supports only float32 and int8"),
    *(
        (("--format", name, "--precision", "float32,float16,int8"), f"{name} supports only float32")
        for name in ("executorch", "tflite", "c")
    ),
    (("--format", "coreml"), "invalid choice"),
    (("--format", "c", "--push", "owner/street"), "--push: uploads ONNX files, found --format c"),
    (("--push", "street"), "--push: found 'street', expected OWNER/NAME"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_argument_is_named(export, arguments, message):
    status, printed = export(*arguments)
    assert status == 2
    assert message in printed


@pytest.mark.parametrize(
    ("format", "expected"),
    [("onnx", PRECISIONS), ("browser", PRECISIONS), ("tflite", ("float32",)), ("c", ("float32",))],
)
def test_the_default_precisions_are_those_of_the_format(format, expected):
    arguments = export_student.parser().parse_args(["--format", format])
    assert export_student.chosen_precisions(arguments) == expected


def test_a_missing_training_is_named(export):
    status, printed = export("--variant", "ce+kd+sp")
    assert status == 1
    assert "ce+kd+sp/seed_0/fold_0: no finished training; run train_student.py first" in printed
    status, printed = export("--role", "teacher")
    assert status == 1
    assert "teacher/seed_0/fold_0: no finished training; run train_teacher.py first" in printed


def test_the_default_is_the_variant_with_the_best_validation_score(place, monkeypatch, tmp_path):
    """The one that the page of the run shows first."""
    student = tmp_path / "runs/config/student"
    for variant, score in (("ce", 0.5), ("ce+kd", 0.9), ("ce+kd+sp", 0.7)):
        folder = shutil.copytree(place / FOLDER, student / variant / "seed_0/fold_0")
        history = pd.read_csv(folder / "history.csv")
        history.assign(score=score).to_csv(folder / "history.csv", index=False)
        reseal(folder)
    monkeypatch.chdir(tmp_path)
    config = load(place / "config.ini")
    assert export_student.chosen_variant(None, config) == "ce+kd"
    assert export_student.chosen_variant("ce", config) == "ce"
    shutil.rmtree(student)
    assert export_student.chosen_variant(None, config) == "ce+kd+sp", "the last of VARIANTS"


def test_changed_settings_of_the_front_end_are_named(export):
    status, printed = export("--variant", "ce", "--set", "mel.normalise=bands")
    assert status == 1
    assert "(normalise: global -> bands)" in printed
    assert "--config runs/config/config.ini" in printed


def test_weights_that_were_changed_are_refused(place, export):
    weights = place / FOLDER / "weights.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
        status, printed = export("--variant", "ce")
    finally:
        weights.write_bytes(content)
    assert status == 1
    assert "weights.safetensors: changed or damaged, its checksum is wrong; remove " in printed


def test_without_recordings_it_compares_on_noise_and_computes_no_score(place, export, tmp_path):
    shutil.move(place / "recordings", tmp_path)
    try:
        status, printed = export("--variant", "ce", "--precision", "float32")
    finally:
        shutil.move(tmp_path / "recordings", place)
    assert status == 0
    assert "The recordings of test are missing: compared on noise, no score computed." in printed
    assert "accuracy" not in printed


def test_a_file_that_differs_from_pytorch_is_not_written(export, monkeypatch, place):
    before = {path: path.read_bytes() for path in (place / FOLDER).glob("*.onnx")}
    monkeypatch.setattr("deploy.export.TOLERANCE", 0.0)
    status, printed = export("--variant", "ce", "--precision", "float32")
    assert status == 1
    assert "the exported model differs from PyTorch: a logit by " in printed
    assert {path: path.read_bytes() for path in (place / FOLDER).glob("*.onnx")} == before


def test_the_c_package_has_its_figures_in_its_readme(export, place):
    status, printed = export("--variant", "ce", "--format", "c", "--precision", "float32,int8")
    assert status == 0
    flash = {}
    for precision in ("float32", "int8"):
        folder = FOLDER / f"c_{precision}"
        ram, flash[precision] = re.search(
            rf"^{folder}: RAM ([\d.]+) KiB, flash ([\d.]+) KiB ", printed, re.M
        ).groups()
        readme = (place / folder / "README.md").read_text()
        assert readme.startswith("# config ce seed 0\n")
        assert f"| RAM | {ram} KiB: " in readme
        assert f"| flash | {flash[precision]} KiB " in readme
        assert "the user's own recordings" in readme
        assert '"high"' in (place / folder / "model.c").read_text()
        assert {"main.c", "Makefile", "sizes.h"} <= {p.name for p in (place / folder).iterdir()}
    assert float(flash["int8"]) < float(flash["float32"])


def test_an_upload_to_the_hub_is_downloaded_and_tags_as_the_local_file(export, place, hub):
    status, printed = export("--variant", "ce", "--push", "owner/street")
    assert status == 0
    assert f"\nuploaded to {hub.address}/owner/street\n" in printed
    received = hub.repositories["owner/street"]
    names = [*(f"{name}.onnx" for name in PRECISIONS), "budget.json"]
    assert set(received) == {*names, "README.md"}
    assert all(received[name] == (place / FOLDER / name).read_bytes() for name in names)
    _, metadata, card = received["README.md"].decode().split("---\n")
    assert card == "\n" + (place / FOLDER / "MODEL_CARD.md").read_text()
    (result,) = yaml.safe_load(metadata)["model-index"][0]["results"]
    rows = json.loads(received["budget.json"])["budget"][1:]
    assert [metric["value"] for metric in result["metrics"]] == [row["score"] for row in rows]
    recording = place / "recordings/test_00.wav"
    found = Student("hf://owner/street/int8.onnx").tag(recording)
    expected = Student(place / FOLDER / "int8.onnx").tag(recording)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_an_upload_without_permission_leaves_the_export(export, place, hub):
    hub.failure = 403
    written = (place / FOLDER / "int8.onnx").stat().st_mtime_ns
    status, printed = export("--variant", "ce", "--precision", "int8", "--push", "owner/street")
    assert (status, "owner/street: the token has no permission for this" in printed) == (1, True)
    assert (place / FOLDER / "int8.onnx").stat().st_mtime_ns > written


@pytest.mark.skipif(bool(importlib.util.find_spec("executorch")), reason="executorch is installed")
def test_a_missing_executorch_is_named(export):
    status, printed = export("--variant", "ce", "--format", "executorch")
    assert status == 1
    assert "python -m pip install executorch" in printed


@pytest.mark.skipif(bool(importlib.util.find_spec("litert_torch")), reason="it is installed")
def test_a_missing_litert_torch_is_named(export):
    status, printed = export("--variant", "ce", "--format", "tflite")
    assert status == 1
    assert "python -m pip install -r requirements-tflite.txt" in printed


@pytest.mark.skipif(
    not importlib.util.find_spec("litert_torch"),
    reason="requires litert-torch: pip install -r requirements-tflite.txt",
)
def test_litert_files_have_labels_and_a_description(export, place):
    status, printed = export("--variant", "ce", "--format", "tflite", "--precision", "float32,int8")
    assert status == 0
    metrics = json.loads((place / FOLDER / "metrics.json").read_text())
    for precision in ("float32", "int8"):
        path = FOLDER / f"{precision}.tflite"
        assert re.search(rf"^{precision} +[\d.]+ kB ", printed, re.M)
        assert str(path) in printed
        with zipfile.ZipFile(place / path) as archive:
            assert archive.read("labels.txt") == b"high\nlow\n"
            found = json.loads(archive.read("soundstill.json"))
        assert (found["precision"], found["any_length"]) == (precision, False)
        assert found["input_shape"] == [1, 48, 12]
        assert len(found["mean"]) == len(found["std"]) == 1
        if precision == "float32":
            assert found["scores"]["accuracy"] == metrics["figures"]["accuracy"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [([], (0.4, 0.5)), (range(12), (0.5, 0.5)), (range(20), None)],
    ids=["held out", "in part test clips", "all test clips"],
)
def test_thresholds_are_calibrated_on_labelled_validation_clips(monkeypatch, test, expected):
    rows = np.arange(20)
    scores = np.stack([np.repeat([0.3, 0.5], 10), np.linspace(0, 1, 20)], axis=1)
    targets = np.stack([rows >= 10, rows >= 18], axis=1).astype(float)
    monkeypatch.setattr("training.predict.predict", lambda fold, role, model, rows: scores[rows])
    fold = SimpleNamespace(
        table=SimpleNamespace(task="multi_label", targets=targets),
        split=SimpleNamespace(validation=rows, test=np.array(test, int)),
        labelled=lambda rows: rows,
    )
    assert export_student.calibrated_thresholds(fold, "student", None) == expected
    fold.table.task = "single_label"
    assert export_student.calibrated_thresholds(fold, "student", None) is None


def test_stored_thresholds_give_the_tags_of_the_calibration(monkeypatch):
    """Scores near 1, between which four digits cannot tell."""
    scores = np.float32([0.99990, 0.99994, 0.99995] * 10 + [0.99997, 0.99998] * 5)[:, None]
    truth = (scores > 0.99996).astype(float)
    monkeypatch.setattr("training.predict.predict", lambda fold, role, model, rows: scores[rows])
    fold = SimpleNamespace(
        table=SimpleNamespace(task="multi_label", targets=truth),
        split=SimpleNamespace(validation=np.arange(40), test=np.array([], int)),
        labelled=lambda rows: rows,
    )
    thresholds = export_student.calibrated_thresholds(fold, "student", None)
    stored = json.loads(json.dumps(thresholds))
    np.testing.assert_array_equal(scores >= stored, truth)
