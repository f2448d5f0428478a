import json
import math

import numpy as np
import pytest
import soundfile

from config import UserError
from deploy import Student
from deploy.description import Description
from deploy.windows import AudioSpec
from tests.deploy.stand_in import BIAS, DESCRIPTION, WEIGHT, expected_probabilities, make_student


def test_a_student_predicts_one_window(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx"))
    assert student.audio_spec == AudioSpec(8000, 1)
    probabilities, mel, _ = student.predict(np.full((1, 4000), -0.25, np.float32))
    np.testing.assert_allclose(probabilities, expected_probabilities(0.25), atol=1e-6)
    np.testing.assert_array_equal(mel, np.full((1, 1000, 4), 0.25, np.float32))


def test_single_label_probabilities_sum_to_one(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx", task="single_label", mel=False))
    probabilities, mel, _ = student.predict(np.full((1, 4000), 0.25, np.float32))
    logits = np.array(WEIGHT) * 0.25 + BIAS  # 1 and -1
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-6)
    assert mel is None


def test_about_lists_the_description(tmp_path):
    path = make_student(tmp_path / "a.onnx", any_length=False)
    assert Student(path).about() == "\n".join(
        [
            str(path),
            "  name    stand-in seed 0",
            f"  model   level, float32, {path.stat().st_size:,} bytes",
            "  cost    4 parameters, 8 MACs per clip",
            "  input   0.5 s (only this length) at 8000 Hz, mono; 4 mel bands every 0.0005 s",
            "  classes any of loud, quiet",
            "  scores  accuracy 0.7500 (test)",
            "  tags    from 0.5, not calibrated",
            "  data    levels; made here",
            "  commit  0123abc",
        ]
    )


def test_about_without_scores(tmp_path):
    path = make_student(tmp_path / "a.onnx", scores={"accuracy": None})
    assert "  scores  none\n" in Student(path).about()


def test_class_names_with_commas_and_quotes(tmp_path):
    names = ("Child speech, kid speaking", 'a "quoted" sound')
    assert Student(make_student(tmp_path / "a.onnx", classes=names)).description.classes == names


def broken(path):
    content = make_student(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def text(path):
    path.write_text("not a network")
    return path


def other_graph(path):
    import onnx

    model = onnx.load(make_student(path))
    model.graph.input[0].name = model.graph.node[0].input[0] = "sound"
    onnx.save(model, path)
    return path


def newer_opset(path):
    import onnx

    model = onnx.load(make_student(path))
    model.opset_import[0].version = 99
    onnx.save(model, path)
    return path


BAD = {
    "no such file": lambda path: path,
    "not readable as an ONNX model .*parsing failed": broken,
    "not readable as an ONNX model": text,
    "not readable as an ONNX model .ONNX Runtime .* Opset 99": newer_opset,
    "has no description; expected a student": lambda path: make_student(path, described=False),
    "has format 2, the newest supported is 1; update Soundstill": lambda path: make_student(
        path, format=2
    ),
    "lacks 'hop_seconds'; export the student again": lambda path: make_student(
        path, hop_seconds=None
    ),
    "has format 3, the newest": lambda path: make_student(path, format=3, hop_seconds=None),
    r"cannot be read \(.*\); export the student again": lambda path: make_student(
        path, format="one"
    ),
    "does not take a waveform and give probabilities": other_graph,
}


HOSTILE = {
    "classes": [
        [],
        "loud",
        [1, 2],
        ["loud", "loud"],
        ["loud", "qui\net"],
        {"loud": 1},
        None,
    ],
    "task": ["regression", ["multi_label"], {}, 1],
    "sample_rate": [0, -1, 8000.5, "8000", True, 10**12, math.nan, None],
    "channels": [0, 10**6, "1", True],
    "clip_seconds": [0, -1.0, math.nan, math.inf, 1e308, "0.5", [0.5]],
    "hop_seconds": [-1, math.nan, "1"],
    "least_samples": [0, 0.5, "1", math.nan],
    "any_length": ["no", 2, None],
    "front_end": [[], {}, {"num_bands": "4"}, "mel"],
    "parameters": [-1, 1.5, "4", 10**400],
    "macs": [-1, "8"],
    "scores": [[], {"accuracy": "0.5"}, {"\x1b[2J": 0.5}],
    "name": ["\x1b[2J\x1b[H", 3, "two\nlines"],
    "licence": [["free"], "a\0b"],
    "format": [10**400, 1e999],
    "thresholds": [[0.5], [0.5, 2], ["a", 0.5], 0.5, [0.5, True]],
}


@pytest.mark.parametrize("field", HOSTILE)
def test_a_hostile_description_is_one_clear_line(field):
    for value in HOSTILE[field]:
        with pytest.raises(ValueError, match=field) as caught:
            Description.of(json.dumps(DESCRIPTION | {field: value}))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200


def test_a_class_per_probability_is_required(tmp_path):
    path = make_student(tmp_path / "a.onnx", classes=["loud", "quiet", "between"])
    with pytest.raises(UserError, match=r"has 2 probabilities and 3 classes$"):
        Student(path)
    path = make_student(tmp_path / "a.onnx", name="\x1b[2J")
    with pytest.raises(UserError, match=r"a\.onnx: its description has name = "):
        Student(path)


def test_a_description_that_is_nested_too_deeply_is_refused():
    with pytest.raises(ValueError, match="cannot be read"):
        Description.of("[" * 100_000)
    with pytest.raises(ValueError, match="cannot be read"):
        Description.of('{"format": ' + "1" * 5000 + "}")


@pytest.mark.parametrize("reason", BAD)
def test_a_file_that_is_not_a_student_is_refused_with_the_reason(tmp_path, reason):
    path = BAD[reason](tmp_path / "a.onnx")
    with pytest.raises(UserError, match=reason) as caught:
        Student(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_window_of_an_unsupported_length_is_refused(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx"))
    with pytest.raises(UserError, match=r"cannot process a window of 0\.000625 s"):
        student.predict(np.zeros((1, 5), np.float32))  # its mel requires a multiple of four samples


def test_a_window_shorter_than_the_least_is_refused(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx", least_samples=800))
    assert student.predict(np.zeros((1, 800), np.float32)).probabilities.shape == (2,)
    with pytest.raises(UserError, match=r"found a window of 0\.0995 s, expected at least 0\.1 s"):
        student.predict(np.zeros((1, 796), np.float32))


def test_probabilities_that_are_not_finite_are_refused(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx", weight=(np.nan, 1.0)))
    with pytest.raises(UserError, match="its probabilities are not finite"):
        student.predict(np.ones((1, 4000), np.float32))


def test_unknown_entries_are_ignored(tmp_path):
    path = make_student(tmp_path / "a.onnx", colour="green")
    assert Student(path).description.name == "stand-in seed 0"


def test_a_recording_and_its_samples_have_the_same_tags(tmp_path):
    student = Student(str(make_student(tmp_path / "a.onnx", embedding=True)))
    levels = np.repeat(np.float32([0.4, 0.1]), 4000)
    soundfile.write(tmp_path / "street.wav", levels, 8000, subtype="FLOAT")
    for found in (student.tag(str(tmp_path / "street.wav")), student.tag(levels, 8000)):
        expected = [expected_probabilities(level) for level in (0.4, 0.1)]
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
        assert (found.starts.tolist(), found.ends.tolist()) == ([0, 0.5], [0.5, 1])
        assert found.classes == ("loud", "quiet")
        assert found.tags == [["loud"], ["quiet"]]
        np.testing.assert_allclose(found.embeddings, [[0.4], [0.1]], rtol=1e-5)
        table = found.table()
        assert table.columns.tolist() == ["start", "end", "loud", "quiet"]
        np.testing.assert_array_equal(table[["loud", "quiet"]], found.probabilities)


def test_samples_are_resampled_and_cut_into_windows(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx"))
    stereo = np.full((2, 24_000), 0.25)  # 1.5 s at 16 kHz
    found = student.tag(stereo, 16_000, window=1.0, hop=0.25, threshold=1.0)
    assert found.starts.tolist() == [0, 0.25, 0.5]
    np.testing.assert_allclose(found.probabilities[1], expected_probabilities(0.25), atol=1e-2)
    assert found.tags == [[], [], []]
    assert found.embeddings is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(0, np.float32),), "samples: found float32 of shape .0,., expected floating"),
        ((np.zeros(8, np.int16),), "found int16"),
        ((np.zeros((8, 2)),), "found 8 channels of 2 samples, expected .C, S.: transpose"),
        ((np.full(8, np.nan),), "NaN or infinite"),
        (("absent.wav",), "absent.wav"),
        (("absent.wav", 8000), "sample_rate: describes samples, but absent.wav is a file"),
        ((np.zeros(8), -1), "sample_rate: found -1, expected a number above 0"),
    ],
)
def test_what_cannot_be_tagged_is_one_clear_line(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        Student(make_student(tmp_path / "a.onnx")).tag(*arguments)


def test_stored_thresholds_select_the_tags(tmp_path):
    student = Student(make_student(tmp_path / "a.onnx", thresholds=[0.99, 0.1]))
    samples = np.full(4000, 0.25, np.float32)  # loud 0.73, quiet 0.27
    assert student.tag(samples).tags == [["quiet"]]
    assert student.tag(samples, threshold=0.5).tags == [["loud"]]
    assert student.tag(samples, top=1).tags == [["loud"]]
    assert "  tags    from loud 0.99, quiet 0.10\n" in student.about()


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.5, "0.50"),
        (0.996, "0.996"),
        (0.99996, "0.99996"),
        (0.00042, "0.0004"),
        (0.0, "0.00"),
        (1.0, "1.00"),
    ],
)
def test_about_shows_only_thresholds_of_0_and_1_as_these(threshold, expected, tmp_path):
    student = Student(make_student(tmp_path / "a.onnx", thresholds=[threshold, 0.25]))
    assert f"  tags    from loud {expected}, quiet 0.25\n" in student.about()
