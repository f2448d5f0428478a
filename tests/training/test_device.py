"""A compiled training equals the eager one, and resumes like it."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch

from config import ConfigError, Student
from data.loading.batches import Batches, ClipFeatures, DeviceTargets
from losses import LOSSES
from models import MODELS
from tests.training.conftest import two_classes
from training.device import choose_device, compiler, feature_memory_gb
from training.loggers.chosen import Loggers
from training.loop import fit
from training.run_folder import TrainingFolder
from training.steps import OnlineTeacher, Step

KIND = {"task": "single_label", "temperature": 2.0}


class Stopped(Exception):
    pass


def train(folder, mode, device="cpu", stop_after=None):
    """Two epochs of a CNN-LSTM that is distilled from an online CNN-LSTM; its weights."""
    device = choose_device(device)
    compiled, seen = compiler(mode, device), []
    caches = {"teacher": two_classes(16), "student": two_classes(8)}
    views = {role: ClipFeatures(c, c.table.ids, device, 1.0) for role, c in caches.items()}
    models = {}
    for role, view in views.items():
        torch.manual_seed(len(role))
        models[role] = MODELS["cnn_lstm"](num_classes=2, input_shape=view.shape).to(device)
    model, losses = models["student"], {"ce": LOSSES["ce"](), "kd": LOSSES["kd"](**KIND)}

    def score(validated):
        assert validated is model, "the model itself is validated and stored"
        seen.append(1)
        if len(seen) == stop_after:
            raise Stopped
        return float(len(seen))

    fit(
        model,
        Step(compiled(model), "student", losses, {}, [OnlineTeacher(compiled(models["teacher"]))]),
        Batches(views, DeviceTargets(caches["student"].table.targets, device), np.arange(20), 8, 0),
        Student(epochs=3, learning_rate=1e-3, batch_size=8),  # batches of 8, 8 and 4
        TrainingFolder(folder, {}),
        Loggers(["none"], folder, "run/student", {}),
        seed=0,
        device=device,
        precision="float32",
        validate=score,
        title="test",
    )
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}


MODES = [
    pytest.param("default", "cpu", id="cpu"),
    *(
        pytest.param(
            mode,
            "cuda",
            id=f"cuda {mode}",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
            ],
        )
        for mode in ("default", "reduce-overhead")
    ),
]


@pytest.mark.parametrize(("mode", "device"), MODES)
def test_a_compiled_training_equals_the_eager_one_and_resumes_to_the_same_bits(
    tmp_path, mode, device
):
    eager, compiled = train(tmp_path / "a", "no", device), train(tmp_path / "b", mode, device)
    assert eager.keys() == compiled.keys()
    for name, tensor in eager.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-4, atol=1e-5)
    with pytest.raises(Stopped):
        train(tmp_path / "c", mode, device, stop_after=2)
    resumed = train(tmp_path / "c", mode, device)
    assert all(torch.equal(resumed[name], tensor) for name, tensor in compiled.items())


def test_the_kernels_are_really_compiled():
    model = MODELS["cnn_lstm"](num_classes=2, input_shape=(1, 16, 8))
    torch._dynamo.utils.counters.clear()
    compiler("default", torch.device("cpu"))(model)(torch.randn(2, 1, 16, 8))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch._dynamo.utils.counters.clear()
    compiler("no", torch.device("cpu"))(model)(torch.randn(2, 1, 16, 8))
    assert not torch._dynamo.utils.counters["stats"]


@pytest.mark.parametrize(("device", "package"), [("cpu", "C\\+\\+ compiler"), ("cuda", "triton")])
def test_a_missing_compiler_is_an_error_before_any_training(monkeypatch, device, package):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"compile: found 'default', which requires .*{package}"):
        compiler("default", torch.device(device))


def test_features_fill_half_of_the_free_memory_of_a_gpu_by_default(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100e9, 140e9))
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert feature_memory_gb(None, cuda) == 50
    assert feature_memory_gb(None, cpu) == 4
    assert [feature_memory_gb(0.0, device) for device in (cuda, cpu)] == [0, 0]
