"""Saving and loading a model with its description."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from config import Mel, UserError
from models import MODELS
from models.stored import ENTRY, Description, read_description, read_model
from tests.models.test_models import REDUCED, input_shape_of


def described(name: str) -> Description:
    return Description(
        model=name,
        options=REDUCED.get(name, {}),
        input_shape=input_shape_of(name),
        task="multi_label",
        classes=("siren, wailing", 'a "dog"'),
        clip_seconds=1.0,
        front_end=Mel(num_bands=20),
        mean=(0.5,),
        std=(2.0,),
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_stored_model_is_rebuilt(tmp_path, name):
    path, description = tmp_path / "weights.safetensors", described(name)
    torch.manual_seed(0)
    model = description.build()
    save_file(model.state_dict(), path, description.header())
    again, found = read_model(path)
    assert found == description
    clips = torch.randn(2, *input_shape_of(name))
    assert torch.equal(again(clips).logits, model(clips).logits)


def test_weights_without_a_description_are_an_error(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="has no description of its model"):
        read_description(path)


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UserError, match="no such file of weights"):
        read_description(path)
    path.write_bytes(b"half a fi")
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_description(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "perceptron"}, "its model 'perceptron' does not exist"),
        ({"rate": 3}, "another version"),
    ],
)
def test_a_description_of_another_version_is_an_error(tmp_path, change, message):
    path = tmp_path / "weights.safetensors"
    header = json.loads(described("dcase_small").header()[ENTRY])
    save_file({"w": torch.zeros(1)}, path, {ENTRY: json.dumps(header | change)})
    with pytest.raises(UserError, match=message):
        read_description(path)


def test_weights_that_do_not_fit_their_description_are_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"w": torch.zeros(1)}, path, described("dcase_small").header())
    with pytest.raises(UserError, match=r"weights.safetensors: .*w is unexpected"):
        read_model(path)


FOREIGN = """
from pathlib import Path
Path("was_run").touch()
from models.dcase_small import DcaseSmall as build
"""


def test_a_file_that_the_weights_name_is_run_only_on_request(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.safetensors"
    (tmp_path / "foreign.py").write_text(FOREIGN)
    model = described("dcase_small").build()
    description = dataclasses.replace(described("dcase_small"), model="foreign.py:build")
    save_file(model.state_dict(), path, description.header())
    for own in ((), ("dcase_small", "foreign.py:other", "./foreign.py:build")):
        with pytest.raises(UserError, match=r"its model is foreign\.py:build, and a file is run"):
            read_model(path, own)
    assert not (tmp_path / "was_run").exists()
    again, _ = read_model(path, {"foreign.py:build"})
    assert (tmp_path / "was_run").exists()
    assert again.state_dict().keys() == model.state_dict().keys()
