"""A user's own module as a model."""

import textwrap

import pytest
import torch
from torch import nn

from config import ConfigError, UserError
from models import find_model
from models.cost import cost
from models.own import Adapted


class UserModel(nn.Module):
    """Takes (B, F, T), returns a dictionary."""

    def __init__(self, bands=20, classes=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(bands, 4, 3), nn.ReLU())
        self.pooled = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        assert x.ndim == 3
        return {"scores": self.head(self.pooled(self.encoder(x)).flatten(1)), "more": None}


def adapted(**settings):
    torch.manual_seed(0)
    return Adapted(UserModel(), **{"layout": "bft", "logits": "scores"} | settings)


def test_its_outputs_are_those_of_its_submodules():
    model, mels = adapted(embedding="pooled", map="encoder.0"), torch.randn(2, 1, 70, 20)
    output, module = model(mels), model.module
    swapped = mels[:, 0].transpose(1, 2)
    assert torch.equal(output.logits, module(swapped)["scores"])
    assert torch.equal(output.maps[-1], module.encoder[0](swapped))
    assert torch.equal(output.embedding, module.pooled(module.encoder(swapped)))
    assert not any(module._forward_hooks for module in model.modules())


def test_the_defaults_of_embedding_and_map():
    output = adapted()(torch.randn(2, 1, 70, 20))
    assert output.embedding is output.logits
    assert output.maps == (output.logits,)
    output = adapted(embedding="encoder")(torch.randn(2, 1, 70, 20))
    assert output.maps == (output.embedding,)


@pytest.mark.parametrize(
    ("layout", "shape", "expected"),
    [
        ("bctf", (2, 3, 5, 4), (2, 3, 5, 4)),
        ("bcft", (2, 3, 5, 4), (2, 3, 4, 5)),
        ("btf", (2, 1, 5, 4), (2, 5, 4)),
        ("bft", (2, 1, 5, 4), (2, 4, 5)),
        ("bcs", (2, 3, 50), (2, 3, 50)),
        ("bs", (2, 1, 50), (2, 50)),
    ],
)
def test_the_input_has_the_layout_of_the_module(layout, shape, expected):
    output = Adapted(nn.Identity(), layout=layout)(torch.randn(shape))
    assert output.logits.shape == expected


@pytest.mark.parametrize("place", [1, "tags"])
def test_logits_from_a_tuple_and_from_an_object(place):
    class Said(tuple):
        @property
        def tags(self):
            return self[1]

    class Module(nn.Module):
        def forward(self, x):
            return Said((None, x))

    assert Adapted(Module(), logits=place)(torch.ones(1, 1, 2, 2)).logits.sum() == 4


def test_its_cost_and_its_gradients():
    model = adapted(embedding="pooled")
    assert cost(model, (1, 70, 20)).parameters == 20 * 4 * 3 + 4 + 4 * 3 + 3
    model(torch.randn(2, 1, 70, 20)).embedding.sum().backward()
    assert model.module.encoder[0].weight.grad is not None


def test_its_classes_are_a_list_or_the_lines_of_a_file(tmp_path):
    names = ("car, idling", "dog", "b\u00e4r")
    file = tmp_path / "classes.txt"
    file.write_text("car, idling\ndog\r\n  b\u00e4r\n\n", encoding="utf-8")
    for classes in (list(names), file, str(file)):
        assert adapted(classes=classes, task="multi_label").classes == names
    assert adapted().classes is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": "none.txt"}, "none.txt: No such file"),
        ({"classes": ["a", "b", "a"]}, "classes: found 2 different of 3 class names"),
        ({"classes": []}, "classes: found 0 different of 0 class names"),
        ({"task": "tags"}, "task: found 'tags'.* multi_label"),
    ],
)
def test_wrong_classes_and_tasks_are_an_error(wrong, message):
    with pytest.raises(ConfigError, match=message):
        adapted(**wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"logits": "logit"}, "the module returns NoneType at 'logit', expected a tensor"),
        ({"logits": None}, "the module returns dict at None"),
        ({"layout": "bcs"}, "does not fit features of 4 axes"),
    ],
)
def test_an_output_of_another_type_is_an_error(settings, message):
    with pytest.raises(UserError, match=message):
        adapted(**settings)(torch.randn(2, 1, 70, 20))


def test_stereo_requires_a_layout_with_channels():
    with pytest.raises(UserError, match="a layout of bft requires one channel, found 2"):
        adapted()(torch.randn(2, 2, 70, 20))


def test_an_unknown_path_is_an_error_that_lists_the_paths():
    with pytest.raises(ConfigError, match=r"no submodule 'pool' \(it has: encoder, encoder.0"):
        adapted(embedding="pool")


def test_a_submodule_that_is_not_called_is_an_error():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Identity())

        def forward(self, x):
            for layer in self.features:
                x = layer(x)
            return x

    assert Adapted(Module(), map="features.0")(torch.ones(1, 1, 2, 2)).maps
    with pytest.raises(UserError, match="the module does not call its submodule 'features'"):
        Adapted(Module(), map="features")(torch.ones(1, 1, 2, 2))


# From a file ------------------------------------------------------------------------------------


def write_file(folder, text):
    (folder / "theirs.py").write_text(textwrap.dedent(text))
    return f"{folder / 'theirs.py'}:build"


def test_a_function_of_a_file_can_import_from_its_folder(tmp_path):
    (tmp_path / "neighbour_of_theirs.py").write_text("SIZE = 5\n")
    name = write_file(
        tmp_path,
        """
        from torch import nn
        from neighbour_of_theirs import SIZE
        def build(*, num_classes, input_shape, width: int = 1):
            return nn.Linear(SIZE, width)
        """,
    )
    assert find_model("model", name)(num_classes=2, input_shape=(), width=3).out_features == 3
    assert find_model("model", name) is find_model("model", name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(): ...", "has no function 'build'"),
        ("build = 3", "has no function 'build'"),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("def build(:", "SyntaxError"),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path, text, message):
    with pytest.raises(ConfigError, match=f"theirs.py.* {message}"):
        find_model("[teacher] model", write_file(tmp_path, text))


def test_a_missing_file_is_an_error():
    with pytest.raises(ConfigError, match=r"\[teacher\] model: found 'a.py:b', but there is no"):
        find_model("[teacher] model", "a.py:b")
