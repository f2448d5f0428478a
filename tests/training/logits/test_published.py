"""Arrays of others and the lists that name their rows and columns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from config import UserError
from training.logits.__main__ import main
from training.logits.published import names_in, read_published
from training.logits.table import Logits

VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)
META = "filename\tscene_label\naudio/b.wav\tbus\naudio/a.wav\ttram\naudio/c.wav\tbus\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("array.npy", VALUES)
    Path("clips.txt").write_text("b.wav\na.wav\nc.wav\n")
    Path("classes.txt").write_text("tram\nbus\n")


def read(array="array.npy", clips="clips.txt", classes="classes.txt", strip=""):
    return read_published(Path(array), Path(clips), Path(classes), strip)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_tensor_is_read_by_its_lists(dtype):
    torch.save(torch.as_tensor(VALUES).to(dtype), "array.pt")
    logits = read("array.pt")
    assert logits.of(["a.wav", "c.wav"], ["bus", "tram"]).tolist() == [[3.0, 2.0], [5.0, 4.0]]
    assert logits.trained is None
    assert logits.made_from.keys() == {"array.pt", "clips.txt", "classes.txt"}


def test_a_list_may_be_the_table_of_a_data_set():
    Path("meta.csv").write_text(META)
    assert names_in(Path("meta.csv")) == ["audio/b.wav", "audio/a.wav", "audio/c.wav"]
    assert read(clips="meta.csv", strip="audio/").of(["a.wav"], ["bus", "tram"]).tolist() == [
        [3, 2]
    ]
    Path("meta.csv").write_text('filename,labels\n"b, 1.wav",x\n')
    assert names_in(Path("meta.csv")) == ["b, 1.wav"]


class Code:
    """Written by pickle, it would make a file when it is read."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def pickled():
    torch.save(Code(), "array.pt")


def objects():
    np.save("array.npy", np.array([[Code()]]), allow_pickle=True)


@pytest.mark.parametrize(("write", "file"), [(pickled, "array.pt"), (objects, "array.npy")])
def test_a_pickle_is_never_executed(write, file):
    write()
    with pytest.raises(UserError, match=f"{file}: cannot be read as logits"):
        read(file)
    assert not Path("executed").exists()


def lists(clips="b.wav\na.wav\nc.wav\n", classes="tram\nbus\n", values=VALUES):
    np.save("array.npy", values)
    Path("clips.txt").write_text(clips)
    Path("classes.txt").write_text(classes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"clips": "b.wav\na.wav\n"}, "array.npy has 3 rows, but clips.txt lists 2 clips"),
        (
            {"clips": "b.wav\na.wav\nb.wav"},
            "clips.txt: lists the clip 'b.wav' twice, in the rows 1, 3",
        ),
        ({"clips": "b.wav\n\nc.wav\n"}, "clips.txt: line 2 is empty, expected one name per line"),
        (
            {"classes": "tram\nbus\nmetro"},
            "array.npy has 2 columns, but classes.txt lists 3 classes",
        ),
        ({"classes": "tram\ntram"}, "classes.txt: lists a class twice"),
        (
            {"values": VALUES + [[0], [np.inf], [0]]},
            "array.npy: the logits of the clip 'a.wav' are not fin",
        ),
        ({"values": VALUES[0]}, "array.npy: expected one array of clips x classes, found"),
        (
            {"values": VALUES.astype(int)},
            "array.npy: expected one array of clips x classes, found some",
        ),
    ],
)
def test_arrays_and_lists_that_do_not_fit_are_named(changed, message):
    lists(**changed)
    with pytest.raises(UserError, match=message):
        read()


def test_a_name_without_the_prefix_is_named():
    with pytest.raises(UserError, match="clips.txt: the clip 'b.wav' does not begin with 'audio/'"):
        read(strip="audio/")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("array.npy a.safetensors", 2, "both are required for the published array array.npy"),
        ("none.npy a.safetensors", 2, "both are required for the published array none.npy"),
        (
            "array.npy a.npy --clips clips.txt --classes classes.txt",
            2,
            "out: found a.npy, expected a .sa",
        ),
        (
            "none.npy a.safetensors --clips clips.txt --classes classes.txt",
            1,
            "none.npy: no such fi",
        ),
        ("array.npy a.safetensors --clips no.txt --classes classes.txt", 1, "No such file"),
        (". a.safetensors", 1, ".: contains no finished training"),
        (". a.safetensors --clips clips.txt", 2, "belong to a published array, but . is a run"),
    ],
)
def test_errors_of_the_command_are_named(capsys, arguments, status, message):
    assert main(arguments.split()) == status
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_the_command_writes_the_logits_that_it_read(capsys):
    line = "array.npy a.safetensors --clips clips.txt --classes classes.txt"
    assert main(line.split()) == 0
    assert capsys.readouterr().out == "a.safetensors: 3 clips\n"
    found = Logits.read(Path("a.safetensors"))
    assert found.of(["c.wav", "b.wav"], ["tram", "bus"]).tolist() == [[4.0, 5.0], [0.0, 1.0]]
