import numpy as np
import pytest
import soundfile

import tag_audio
from config import UserError
from deploy.evaluation import annotated_clips, clip_probabilities
from deploy.student import Student
from tests.deploy.stand_in import expected_probabilities, make_student


@pytest.fixture
def place(tmp_path):
    """Three clips of which the student gets one wrong; the first is two windows long."""
    make_student(tmp_path / "a.onnx", task="single_label")
    for name, levels in (("a", [0.4, 0.5]), ("b", [0.1]), ("c", [0.4]), ("d", [0.4])):
        soundfile.write(tmp_path / f"{name}.wav", np.repeat(levels, 4000), 8000, subtype="FLOAT")
    table = "filename,label,split\na.wav,loud,test\nb.wav,quiet,test\nc.wav,quiet,test\n"
    (tmp_path / "clips.csv").write_text(table + "d.wav,loud,train\n")
    return tmp_path


def test_only_test_clips_are_evaluated_with_the_metrics_of_the_project(place, capsys):
    given = [str(place / "a.onnx"), "--evaluate", str(place / "clips.csv")]
    assert tag_audio.run(tag_audio.command_line().parse_intermixed_args(given)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "3 clips of test"
    assert printed[1].split() == ["accuracy", "0.6667"]
    assert [line.split() for line in printed[-3:]] == [
        ["accuracy", "of", "each", "class"],
        ["loud", "1.0000"],
        ["quiet", "0.5000"],
    ]


def test_a_clip_has_the_mean_of_its_windows(place):
    student = Student(make_student(place / "tags.onnx"))
    table = annotated_clips(place / "clips.csv", student)
    found = clip_probabilities([student], table, 0.5, 0.5)
    expected = (expected_probabilities(0.4) + expected_probabilities(0.5)) / 2
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("filename,label,split\na.wav,loud,train\n", "no labelled clip with the split test"),
        ("filename,label,split\na.wav,dog,test\n", "dog"),
        (None, "clips.csv: no such file; expected a table such as recordings/clips.csv$"),
    ],
)
def test_a_table_without_usable_clips_is_refused(place, table, message):
    (place / "clips.csv").unlink()
    if table:
        (place / "clips.csv").write_text(table)
    with pytest.raises(UserError, match=message):
        annotated_clips(place / "clips.csv", Student(place / "a.onnx"))
