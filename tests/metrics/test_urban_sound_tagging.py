"""The official metric from files: the command line, and the real annotations."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from config import UserError
from metrics.precision_recall import score
from metrics.urban_sound_tagging import main, score_files
from tests.metrics import brute_force
from tests.sonyc import ANNOTATIONS, COARSE, FINE, ROOT, TAXONOMY, needs_annotations

TAXONOMY_TEXT = """
coarse: {1: engine, 2: dog}
fine:
  1: {1: small, 2: large, X: uncertain}
  2: {1: barking}
"""
COARSE_TAGS = ("1_engine", "2_dog")
FINE_TAGS = ("1-1_small", "1-2_large", "1-X_uncertain", "2-1_barking")
TAGS = (*FINE_TAGS, *COARSE_TAGS)
# clip: (truth, scores), both in the order of TAGS
CLIPS = {
    "b.wav": ((0, 0, 1, 0, 1, 0), (0.1, 0.7, 0.2, 0.3, 0.8, 0.3)),
    "a.wav": ((1, 0, 0, 1, 1, 1), (0.9, 0.6, 0.0, 0.5, 0.9, 0.5)),
    "c.wav": ((0, 0, 0, 0, 0, 0), (0.3, 0.2, 0.6, 0.1, 0.4, 0.1)),
}


@pytest.fixture
def files(tmp_path):
    """Predictions in another order than the annotations, which have other annotators and splits."""
    predictions, annotations = tmp_path / "predictions.csv", tmp_path / "annotations.csv"
    with predictions.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["audio_filename", "remark", *TAGS])
        table.writerows([clip, "x", *scores] for clip, (_, scores) in sorted(CLIPS.items()))
    with annotations.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["split", "sensor_id", "audio_filename", "annotator_id", "1-1_small_proximity"]
            + [f"{tag}_presence" for tag in TAGS]
        )
        for clip, (truth, _) in CLIPS.items():
            table.writerow(["validate", 0, clip, 7, "near", *([1] * len(TAGS))])
            table.writerow(["validate", 0, clip, -1, "far", *([-1] * len(TAGS))])
            table.writerow(["validate", 0, clip, 0, -1, *truth])
        table.writerow(["train", 1, "d.wav", 5, "far", *([1] * len(TAGS))])
        table.writerow(["test", 1, "e.wav", 0, -1, *([1.0] * len(TAGS))])
    (tmp_path / "taxonomy.yaml").write_text(TAXONOMY_TEXT)
    return predictions, annotations, tmp_path / "taxonomy.yaml"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def of_level(level):
    tags = COARSE_TAGS if level == "coarse" else FINE_TAGS
    columns = [TAGS.index(tag) for tag in tags]
    truth, scores = (np.array([clip[part] for clip in CLIPS.values()]) for part in (0, 1))
    return scores[:, columns], truth[:, columns], tags


@pytest.mark.parametrize("tie_order", ["numpy", "stable"])
@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_the_command_prints_one_json_object(files, level, tie_order):
    done = subprocess.run(
        [sys.executable, "-m", "metrics.urban_sound_tagging", *files, "--level", level]
        + ["--tie-order", tie_order],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    expected = score(*of_level(level), tie_order)
    assert json.loads(done.stdout) == {
        "level": level,
        "split": "validate",
        "tie_order": tie_order,
        "micro_auprc": expected.micro_auprc,
        "macro_auprc": expected.macro_auprc,
        "micro_f1": expected.micro_f1,
        "classwise": dict(zip(COARSE_TAGS, expected.classwise.values(), strict=True)),
    }


@pytest.mark.parametrize("tie_order", ["numpy", "stable"])
@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_what_the_command_prints(files, level, tie_order, capsys):
    """In the process, unlike the test above."""
    assert main([*map(str, files), "--level", level, "--tie-order", tie_order]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = score(*of_level(level), tie_order)
    assert list(printed) == ["level", "split", "tie_order", *expected._fields]
    assert [printed[name] for name in expected._fields[:3]] == list(expected[:3])
    assert printed["classwise"] == dict(zip(COARSE_TAGS, expected.classwise.values(), strict=True))


def test_the_tie_order_is_checked(files):
    with pytest.raises(UserError, match="expected the tie order numpy or stable, found 'legacy'"):
        score_files(*files, "fine", tie_order="legacy")


def test_clip_names_are_texts(files):
    before = score_files(*files, "fine")
    for file in files[:2]:
        for number, clip in enumerate(CLIPS):
            change(file, clip, f"00{number}")
    assert score_files(*files, "fine") == before


def test_three_of_many_missing_clips_are_named(files):
    predictions, annotations, _ = files
    header, *rows = annotations.read_text().splitlines()
    verified = [row for row in rows if row.startswith("validate") and ",0,-1," in row]
    for count, shown in ((3, "(z0, z1, z2) of"), (4, "(z0, z1, z2 ...) of")):
        more = [verified[0].replace("b.wav", f"z{n}") for n in range(count)]
        annotations.write_text("\n".join([header, *rows, *more]) + "\n")
        with pytest.raises(UserError) as caught:
            score_files(*files, "fine")
        assert f"{predictions}: lacks {count} clips {shown}" in str(caught.value)


def test_all_missing_columns_are_named(files):
    change(files[0], "1-1_small,1-2_large", "1-1_s,1-2_l")
    with pytest.raises(UserError, match="predictions.csv: no column 1-1_small, 1-2_large$"):
        score_files(*files, "fine")


def test_an_undefined_value_is_null(files, capsys):
    change(files[1], "a.wav,0,-1,1,0,0,1,1,1", "a.wav,0,-1,1,0,0,0,1,0")
    assert main([*map(str, files), "--level", "coarse"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["classwise"]["2_dog"] is None
    assert printed["macro_auprc"] == printed["classwise"]["1_engine"]


def test_another_split(files):
    files[0].write_text("audio_filename,1_engine,2_dog\ne.wav,0.7,0.2\n")
    assert score_files(*files, "coarse", "test").micro_f1 == pytest.approx(2 / 3)


def test_an_x_without_column_is_never_predicted(files):
    expected = score_files(*files, "fine")
    change(files[0], "1-X_uncertain", "another")
    scores, truth, tags = of_level("fine")
    scores[:, 2] = 0
    without = score_files(*files, "fine")
    assert without[:3] == score(scores, truth, tags)[:3]
    assert without != expected


ERRORS = {
    "a score that is missing": (0, "0.9,0.6", "0.9,", "clip a.wav, class 1-2_large: .* found nan"),
    "a score above 1": (0, "0.9,0.6", "0.9,1.6", "clip a.wav, class 1-2_large: .* found 1.6"),
    "a score below 0": (0, "0.9,0.6", "0.9,-6", "clip a.wav, class 1-2_large: .* found -6"),
    "a word as score": (0, "0.9,0.6", "0.9,high", "predictions.csv, column 1-2_large: .*high"),
    "a tag without scores": (0, "1-2_large", "1-2_big", "predictions.csv: no column 1-2_large"),
    "no clip names": (0, "audio_filename", "file", "predictions.csv: no column audio_filename"),
    "a clip twice": (0, "b.wav", "a.wav", "predictions.csv: clip a.wav is listed twice"),
    "another clip": (
        0,
        "b.wav",
        "z.wav",
        r"predictions.csv: lacks 1 clips \(b.wav\) of .*validate",
    ),
    "a verified clip twice": (1, "b.wav,0", "a.wav,0", "annotations.csv: clip a.wav .* twice"),
    "a clip not verified": (1, "b.wav,0", "b.wav,9", r"has 1 clips \(b.wav\) that are not in"),
    "none verified": (1, "wav,0,", "wav,3,", "'validate' has no row of annotator 0; .*: none"),
    "no such split": (1, "validate", "valid", "'validate' has no row .* that have: test, valid"),
    "an undecided label": (1, "a.wav,0,-1,1,0", "a.wav,0,-1,1,-1", "class 1-2_large: .* found -1"),
    "a tag without labels": (1, "2-1_barking_p", "2-1_p", "no column 2-1_barking_presence"),
    "no coarse tags": (2, "coarse:", "rough:", "taxonomy.yaml: expected coarse and fine tags"),
    "not YAML": (2, "coarse: {", "coarse: [", "taxonomy.yaml: expected coarse and fine tags"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_that_the_user_can_fix(files, name, capsys):
    which, old, new, message = ERRORS[name]
    change(files[which], old, new)
    with pytest.raises(UserError, match=message):
        score_files(*files, "fine")
    assert main([*map(str, files), "--level", "fine"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m metrics.urban_sound_tagging: ")
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("content", [b"", b"\n\n", b'audio_filename\n"a', b"\xff\xfe\x00,1"])
def test_a_file_that_is_not_a_table_is_an_error(files, which, content):
    files[which].write_bytes(content)
    with pytest.raises(UserError, match=files[which].name):
        score_files(*files, "coarse")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_missing_file_is_an_error(files, which, capsys):
    files[which].unlink()
    assert main([*map(str, files), "--level", "coarse"]) == 1
    assert files[which].name in capsys.readouterr().err


def test_a_wrong_command_line(files, capsys):
    for arguments in ([], ["--level", "medium"], ["--level", "fine", "--tie-order", "legacy"]):
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, files), *arguments])
        assert stopped.value.code == 2
    assert "--tie-order" in capsys.readouterr().err


# The real annotations ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def truth():
    table = pd.read_csv(ANNOTATIONS, low_memory=False)
    return table[(table["annotator_id"] == 0) & (table["split"] == "validate")]


def predictions_of(truth, tags, scores, folder):
    path = folder / "predictions.csv"
    table = pd.DataFrame(scores, columns=tags)
    table.insert(0, "audio_filename", truth["audio_filename"].to_numpy())
    table.sample(frac=1, random_state=0).to_csv(path, index=False)
    return path


def labels_of(truth, tags):
    return truth[[f"{tag}_presence" for tag in tags]].to_numpy(float)


@needs_annotations
def test_known_values_of_the_validation_split(truth, tmp_path):
    labels = labels_of(truth, COARSE)
    assert labels.shape == (443, 8)
    prevalence = (223 + 88 + 73 + 23 + 86 + 25 + 199 + 6) / (443 * 8)

    constant = predictions_of(truth, COARSE, np.full(labels.shape, 0.5), tmp_path)
    for tie_order in ("numpy", "stable"):
        figures = score_files(constant, ANNOTATIONS, TAXONOMY, "coarse", tie_order=tie_order)
        assert figures.micro_auprc == pytest.approx(prevalence / 2, abs=1e-12)
        assert figures.micro_auprc == pytest.approx(0.102, abs=5e-4)
        assert figures.classwise["8_dog"] == pytest.approx(6 / 443 / 2, abs=1e-12)

    perfect = predictions_of(truth, COARSE, np.where(labels, 0.9, 0.1), tmp_path)
    figures = score_files(perfect, ANNOTATIONS, TAXONOMY, "coarse", tie_order="stable")
    assert figures.micro_auprc == pytest.approx(0.102, abs=5e-4)
    assert figures.macro_auprc == pytest.approx(0.5, abs=1e-12)
    assert figures.micro_f1 == 1

    silent = predictions_of(truth, COARSE, np.full(labels.shape, 0.009), tmp_path)
    figures = score_files(silent, ANNOTATIONS, TAXONOMY, "coarse")
    assert figures[:3] == (0, 0, 0)


@needs_annotations
@pytest.mark.parametrize(("level", "tags"), [("coarse", COARSE), ("fine", FINE)])
def test_it_agrees_with_plain_loops_on_the_validation_split(truth, level, tags, tmp_path):
    labels = labels_of(truth, tags)
    random = np.random.default_rng(0)
    logits = random.normal(size=labels.shape) + 2 * labels - 1.5
    scores = np.round(1 / (1 + np.exp(-logits)), 2)
    path = predictions_of(truth, tags, scores, tmp_path)
    figures = score_files(path, ANNOTATIONS, TAXONOMY, level)
    categories = getattr(brute_force, level)(scores, labels, tags)
    micro, macro, f1, classwise = brute_force.official(categories, "numpy")
    assert figures[:3] == pytest.approx((micro, macro, f1), abs=1e-12)
    assert list(figures.classwise) == list(COARSE)
    np.testing.assert_allclose(
        list(figures.classwise.values()), list(classwise.values()), rtol=0, atol=1e-12
    )
