"""Modules of a user's folder, imported beside the project's modules of the same name."""

import dataclasses
import pickle
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import config
import models
from config import ConfigError
from models import find_model
from models.own import Adapted, code_fingerprint
from models.user_modules import files_of, import_file

ROOT = Path(__file__).resolve().parents[2]

REPOSITORY = {  # the names of our packages, partly without __init__.py, as published code has them
    "teacher.py": """
        import config
        import models.nets.net
        import models.nets.net as net
        from models.own import Adapted
        from models.nets.net import Net


        def build(*, num_classes, input_shape):
            assert models.nets.net is net and net.Net is Net
            return Adapted(Net(config.WIDTH, num_classes), layout="btf", logits=0)
        """,
    "config.py": "WIDTH = 6\nIMPORTS = []\n",
    "helpers/numbers.py": "from config import IMPORTS\nIMPORTS.append(__name__)\nSLOPE = 2.0\n",
    "models/nets/__init__.py": "",
    "models/nets/net.py": '''
        from __future__ import annotations

        import os.path
        from dataclasses import dataclass

        from torch import nn

        from helpers.numbers import SLOPE
        from .layers import Layer
        from .. import activation


        @dataclass
        class Settings:
            slope: float = SLOPE


        class Net(nn.Module):
            """Imports in forward."""

            def __init__(self, width, classes):
                super().__init__()
                self.settings = Settings()
                self.layer, self.head = Layer(width), nn.Linear(width, classes)

            def forward(self, x):
                from losses import scale
                import data.shift

                x = activation.activate(self.layer(x).mean(1)) * self.settings.slope
                return self.head(scale(x) + data.shift.SHIFT), os.path.sep
        ''',
    "models/nets/layers.py": """
        from torch import nn


        class Layer(nn.LazyLinear):
            pass
        """,
    "models/activation.py": "from torch import relu as activate\n",
    "losses.py": "def scale(x):\n    return 3 * x\n",
    "data/shift.py": "SHIFT = 1.0\n",
}


def write_repository(folder, **changed):
    for name, text in (REPOSITORY | changed).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return f"{folder / 'teacher.py'}:build"


def built(name):
    model = find_model("[teacher] model", name)(num_classes=3, input_shape=(1, 5, 4))
    model(torch.zeros(2, 1, 5, 4))
    return model


@pytest.fixture
def model(tmp_path):
    return built(write_repository(tmp_path))


def test_their_packages_and_ours_of_the_same_name_are_both_imported(model):
    ours = {name: module for name, module in sys.modules.items() if name.startswith("models")}
    x = torch.randn(2, 1, 5, 4)
    net = model.module
    expected = net.head(3 * 2 * torch.relu(net.layer(x[:, 0]).mean(1)) + 1)
    assert torch.equal(model(x).logits, expected)
    assert isinstance(model, Adapted)
    assert sys.modules["models"] is models
    assert sys.modules["config"] is config
    assert not hasattr(config, "WIDTH")
    assert ours == {n: module for n, module in sys.modules.items() if n.startswith("models")}


def test_nothing_is_added_to_the_path_of_python(tmp_path):
    before = list(sys.path)
    built(write_repository(tmp_path))
    assert sys.path == before
    assert not list(tmp_path.rglob("*.pyc"))  # these would be read when their code runs by itself


def test_two_folders_with_the_same_names_live_side_by_side(tmp_path):
    other = {"config.py": "WIDTH = 8\nIMPORTS = []", "losses.py": "def scale(x):\n    return -x"}
    first = built(write_repository(tmp_path / "a"))
    second = built(write_repository(tmp_path / "b", **other))
    assert (first.module.head.in_features, second.module.head.in_features) == (6, 8)
    assert type(first.module) is not type(second.module)
    second.load_state_dict({k: torch.ones_like(v) for k, v in second.state_dict().items()})
    assert second(torch.ones(1, 1, 5, 4)).logits.tolist() == [[8 * (-2 * 5 + 1) + 1] * 3]


def test_a_module_is_imported_once(tmp_path):
    name = write_repository(tmp_path)
    (tmp_path / "student.py").write_text("from teacher import build, config\n")
    assert find_model("", name) is find_model("", name)
    assert find_model("", f"{tmp_path / 'student.py'}:build") is find_model("", name)
    imports = sys.modules[find_model("", name).__module__].config.IMPORTS
    assert [name.partition(".")[2] for name in imports] == ["helpers.numbers"]


def test_a_file_that_failed_is_imported_again(tmp_path):
    name = write_repository(tmp_path, **{"teacher.py": "import not_there"})
    with pytest.raises(ConfigError, match="not_there"):
        find_model("", name)
    write_repository(tmp_path)
    assert built(name)


def test_their_classes_can_be_pickled_and_compiled(model):
    settings = model.module.settings
    assert dataclasses.is_dataclass(settings)
    assert pickle.loads(pickle.dumps(settings)) == settings
    x = torch.randn(2, 1, 5, 4)
    expected = model(x).logits
    copy = pickle.loads(pickle.dumps(model.module))
    assert torch.equal(copy(x[:, 0])[0], expected)
    compiled = torch.compile(copy, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x[:, 0])[0], expected)


def test_a_folder_of_the_same_name_without_code_hides_nothing(tmp_path):
    for name in ("torch", "models", "data/audio"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "teacher.py").write_text(
        "import torch, models, data.datasets\ndef build(): return torch.nn, models, data\n"
    )
    found = find_model("", f"{tmp_path / 'teacher.py'}:build")()
    assert found == (torch.nn, models, sys.modules["data"])


def test_a_file_beside_our_packages_imports_ours():
    """A second copy of `models.output.Output` would be another type."""
    assert import_file(ROOT / "tag_audio.py").UserError is config.UserError


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("models/nets/layers.py", "\nimport not_there", r"not_there' \(.*layers.py, line 2\)"),
        ("models/nets/layers.py", "from models.gone import x", r"'models.gone'"),
        ("models/nets/layers.py", "\n\n1 / 0", r"ZeroDivisionError: .* \(.*layers.py, line 3\)"),
        ("models/nets/layers.py", "x = (", r"SyntaxError: .*\(layers.py, line 1\)"),
        ("losses.py", "", r"cannot import name 'scale'"),
    ],
)
def test_an_error_names_the_line_of_their_code(tmp_path, file, text, message):
    teacher = "from losses import scale\nfrom models.nets.net import Net"
    name = write_repository(tmp_path, **{"teacher.py": teacher, file: text})
    with pytest.raises(ConfigError, match=rf"\[teacher\] model: .*teacher.py: .*{message}") as info:
        find_model("[teacher] model", name)
    assert info.value.__cause__ is not None  # --debug shows it


def test_a_traceback_shows_their_lines(tmp_path):
    layers = """
        from torch import nn
        class Layer(nn.Module):
            def __init__(self, width): super().__init__()
            def forward(self, x): 1 / 0
        """
    build = find_model("", write_repository(tmp_path, **{"models/nets/layers.py": layers}))
    with pytest.raises(ZeroDivisionError) as info:
        build(num_classes=2, input_shape=())(torch.zeros(1, 1, 5, 4))
    assert Path(info.traceback[-1].path).name == "layers.py"
    assert "1 / 0" in str(info.traceback[-1].statement)


def test_the_fingerprint_of_a_model_is_that_of_all_its_code(tmp_path):
    write_repository(tmp_path)
    (tmp_path / "script.py").write_text("print(1)")  # nothing imports it
    name, found = f"{tmp_path}/teacher.py:build", set()
    found.add(code_fingerprint(name))
    (tmp_path / "script.py").write_text("print(2)")
    (tmp_path / "config.py").touch()
    assert {code_fingerprint(name)} == found
    files = [name for name in REPOSITORY if name.endswith(".py")]
    for file in files:
        path = tmp_path / file
        path.write_text(path.read_text() + "\n# changed\n")
        found.add(code_fingerprint(name))
    assert len(found) == 1 + len(files)
    assert code_fingerprint("dcase_net") == ""


def test_the_fingerprint_of_a_file_beside_our_packages_leaves_ours_out():
    file = ROOT / "make_mel.py"
    assert files_of(file) == [file]
