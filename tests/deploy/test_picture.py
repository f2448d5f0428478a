import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from deploy.picture import SHOWN, RecordingPrediction, png, predictions_html
from deploy.student import Student
from deploy.tags import Row, TagSelection
from tests.deploy.stand_in import make_student


def prediction(folder, probabilities, classes=("loud", "quiet"), mels=None, step=1.0):
    path = make_student(folder / "a.onnx", name="<b>a</b>")
    rows = [Row("a.wav", k * step, k * step + 2, np.array(p)) for k, p in enumerate(probabilities)]
    description = replace(Student(path).description, classes=tuple(classes))
    return RecordingPrediction(
        description, TagSelection(tuple(classes), 0.5, len(classes)), 2.0, rows, mels or []
    )


def test_overlapping_windows_share_the_time_axis(tmp_path):
    mels = [np.full((10, 4), k) for k in range(3)]
    found = prediction(tmp_path, [(0.1, 0.9)] * 3, mels=mels)
    assert found.ends == [1, 2, 4]
    np.testing.assert_array_equal(found.mel[:, 0], [0] * 5 + [1] * 5 + [2] * 10)


def test_the_mel_has_time_to_the_right_and_frequency_upwards():
    mel = np.zeros((6, 3))
    mel[4, 2] = 1.0  # late and high
    pixels = np.asarray(Image.open(io.BytesIO(png(mel))).convert("L")).astype(int)
    assert pixels.shape == (3, 6)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (0, 4)


def test_bar_heights_are_probabilities_and_tags_are_marked(tmp_path):
    found = predictions_html([prediction(tmp_path, [(0.25, 0.75), (0.5, 0.125)])])
    first, second = re.findall(r"<svg.*?</svg>", found)  # quiet is the most probable
    assert 'class=tag x="0.000" width="1.000" y="0.250" height="0.750"' in first
    assert '<rect x="1.000" width="2.000" y="0.875" height="0.125"' in first
    assert 'class=tag x="1.000" width="2.000" y="0.500" height="0.500"' in second
    assert "<td>00:01.00 to 00:03.00</td><td>loud 0.50</td>" in found


def test_names_are_escaped(tmp_path):
    found = predictions_html([prediction(tmp_path, [(0.9, 0.1)], classes=('<i>"x"</i>', "b"))])
    assert "<i>" not in found
    assert "<b>" not in found
    assert "&lt;b&gt;a&lt;/b&gt;" in found


def test_of_many_classes_the_most_probable_are_shown(tmp_path):
    names = [f"class_{k:02}" for k in range(20)]
    probabilities = np.linspace(0.1, 0.4, 20)
    found = predictions_html([prediction(tmp_path, [probabilities], classes=names)])
    shown = re.findall(r'title="(class_\d+)"', found)
    assert shown == names[::-1][:SHOWN]
    assert f"the {SHOWN} most probable of 20 classes" in found
