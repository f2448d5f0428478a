"""A logit file keeps each row with its clip; an exchanged row is an error."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save

from config import UserError
from training.logits.table import ENTRY, Logits, load

IDS = ["b.wav", "ä, 2.wav", "a.wav"]
VALUES = np.array([[1.0, -2.0], [3.5, 0.0], [0.25, 9.0]], np.float32)


@pytest.fixture
def path(tmp_path) -> Path:
    Logits(
        where=tmp_path,
        ids=pd.Index(IDS),
        classes=("x", "y"),
        values=VALUES,
        trained=np.array([True, False, True]),
        record={"model": "passt"},
        made_from={"weights": "12ab"},
    ).write(tmp_path / "deep" / "logits.safetensors")
    return tmp_path / "deep" / "logits.safetensors"


def change(path, **changed):
    """The same file with other tensors; None takes one away."""
    header = {ENTRY: load_header(path)}
    tensors = {name: t for name, t in (load_file(path) | changed).items() if t is not None}
    path.write_bytes(save(tensors, header))


def load_header(path):
    return json.dumps(load(path)[1])


def test_clips_and_classes_are_taken_by_name(path):
    logits = Logits.read(path)
    assert logits.of(["a.wav", "b.wav"], ["y", "x"]).tolist() == [[9.0, 0.25], [-2.0, 1.0]]
    assert logits.missing(["c.wav", "b.wav"]).tolist() == ["c.wav"]
    assert logits.ids[logits.trained].tolist() == ["b.wav", "a.wav"]
    assert (logits.record, logits.made_from) == ({"model": "passt"}, {"weights": "12ab"})


def test_clips_that_are_missing_are_counted(path):
    with pytest.raises(UserError, match=r"logits.safetensors: lacks the clip 'c.wav' and 1 more$"):
        Logits.read(path).of(["c.wav", "b.wav", "d.wav"], ["x", "y"])


def bytes_of(ids):
    return np.frombuffer("\n".join(ids).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"clips": bytes_of([IDS[0], IDS[2], IDS[1]])},
            "the checksum of the clip 'a.wav' and 1 more is wrong",
        ),
        ({"logits": VALUES[[0, 2, 1]]}, "checksum of the clip 'ä, 2.wav' and 1 more is wrong"),
        (
            {"logits": VALUES + [[0, 0], [0, 0], [0, 1]]},
            "the checksum of the clip 'a.wav' is wrong",
        ),
        (
            {"clips": bytes_of(["a.wav", *IDS[1:]])},
            "lists the clip 'a.wav' twice, in the rows 1, 3",
        ),
        ({"clips": bytes_of(IDS[:2])}, "3 x 2 logits of 2 clips and 2 classes"),
        ({"logits": VALUES[:, :1]}, "3 x 1 logits of 3 clips and 2 classes"),
    ],
)
def test_changed_rows_are_named(path, changed, message):
    change(
        path, **{name: np.asarray(t, load_file(path)[name].dtype) for name, t in changed.items()}
    )
    with pytest.raises(UserError, match=message):
        Logits.read(path)


def test_a_file_without_the_clips_of_training_says_so(path):
    change(path, trained=None)
    assert Logits.read(path).trained is None


def test_another_file_is_no_logit_file(path, tmp_path):
    with pytest.raises(UserError, match="no such file of logits"):
        Logits.read(tmp_path / "none.safetensors")
    path.write_bytes(save({"logits": VALUES}))
    with pytest.raises(
        UserError, match=r"its header does not describe logits; expected a file that `py"
    ):
        Logits.read(path)
    path.write_bytes(b"\x08\0\0\0")
    with pytest.raises(UserError, match="cannot be read as logits"):
        Logits.read(path)
