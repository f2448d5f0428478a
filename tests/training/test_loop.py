"""The loop, stopped at any epoch and started again, ends with the same weights, bit for bit."""

import numpy as np
import pytest
import torch

from config import Augment, Student, UserError
from data.augment import Augmentation
from data.loading.batches import Batches
from losses import LOSSES
from models import MODELS
from training.loggers.chosen import Loggers
from training.loop import fit
from training.optimisers import OPTIMISERS
from training.run_folder import TrainingFolder
from training.steps import OnlineTeacher, Step

CPU = torch.device("cpu")


class Stopped(Exception):
    pass


def small_model(view, seed):
    torch.manual_seed(seed)
    return MODELS["dcase_small"](
        num_classes=2, input_shape=view.shape, width_mult=0.25, batch_norm=True, dropout=0.2
    )


def train(views, targets, path, *, stop_after=None, epochs=4, validate=True, crop=0.0, **settings):
    role = Student(epochs=epochs, learning_rate=1e-2, batch_size=5, **settings)
    model, teacher = small_model(views["student"], 0), small_model(views["teacher"], 1)
    losses = {
        "ce": LOSSES["ce"](),
        "kd": LOSSES["kd"](task="single_label", temperature=2.0),
        "sp": LOSSES["sp"](),
        "centre": LOSSES["centre"](),
        "fitnet": LOSSES["fitnet"](),
    }
    augment = Augment(
        mixup_alpha=0.3, roll_seconds=0.05, gain_db=3, time_mask_seconds=0.03, crop_seconds=crop
    )
    batches = Batches(views, targets, np.arange(20), 5, 7, Augmentation(augment, 0.16, 8000))
    seen = []

    def score(model):
        seen.append(1)
        if stop_after is not None and len(seen) > stop_after:
            raise Stopped
        model.eval()
        with torch.no_grad():
            logits = model(views["student"][torch.arange(20, 24)]).logits
        return float((logits.argmax(1) == targets[20:].argmax(1)).float().mean())

    coefficients = {"sp": 10.0, "centre": 0.1, "fitnet": 0.01}
    step = Step(model, "student", losses, coefficients, [OnlineTeacher(teacher)])
    step.build(model, batches, np.arange(20), seed=7)
    fitted = fit(
        model,
        step,
        batches,
        role,
        TrainingFolder(path, {"student.epochs": str(epochs)}),
        Loggers(["none"], path, "run/student", {}),
        seed=7,
        device=CPU,
        precision="float32",
        validate=score if validate else None,
        predict=lambda model: model.eval()(views["student"][torch.arange(4)]).logits.detach(),
        title="test",
    )
    return model, fitted


@pytest.mark.parametrize(
    ("optimiser", "crop"), [("adam", 0.1), *((name, 0.0) for name in sorted(OPTIMISERS))]
)
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_training_ends_with_the_same_weights(
    views, targets, tmp_path, optimiser, crop, stop_after
):
    settings = {"optimiser": optimiser, "crop": crop, "schedule": "plateau", "patience": 1}
    full, fitted = train(views, targets, tmp_path / "full", **settings)
    with pytest.raises(Stopped):
        train(views, targets, tmp_path / "stopped", stop_after=stop_after, **settings)
    resumed, again = train(views, targets, tmp_path / "stopped", **settings)
    for name, tensor in full.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    columns = ["epoch", "learning_rate", "loss", "ce", "kd", "sp", "centre", "fitnet", "score"]
    assert fitted.history[columns].equals(again.history[columns])


@pytest.mark.parametrize("every", [1, 2])
def test_means_over_epochs_survive_an_interruption(views, targets, tmp_path, every):
    settings = {"swa_start_epoch": 1, "swa_every_epochs": every, "ensemble_start_epoch": 3}
    full, (_, predictions, _) = train(views, targets, tmp_path / "full", **settings)
    with pytest.raises(Stopped):
        train(views, targets, tmp_path / "stopped", stop_after=3, **settings)
    resumed, (_, predictions_again, _) = train(views, targets, tmp_path / "stopped", **settings)
    assert torch.equal(predictions, predictions_again)
    for name, tensor in full.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def fit_labels(model, batches, role, path, **callbacks):
    return fit(
        model,
        Step(model, "student", {"ce": LOSSES["ce"]()}, {}),
        batches,
        role,
        TrainingFolder(path, {}),
        Loggers(["none"], path, "run/student", {}),
        seed=0,
        device=CPU,
        precision="float32",
        title="test",
        **callbacks,
    )


@pytest.mark.parametrize(("start", "every", "averaged"), [(3, 1, (3, 4)), (1, 2, (1, 3))])
def test_the_mean_of_some_epochs_is_kept(views, targets, tmp_path, start, every, averaged):
    """The mean of their weights and of the predictions of epochs 3 and 4, by hand."""
    states, predictions = [], []
    role = Student(
        epochs=4,
        learning_rate=1e-2,
        batch_size=8,
        swa_start_epoch=start,
        swa_every_epochs=every,
        ensemble_start_epoch=3,
    )
    model = small_model(views["student"], 0)
    batches = Batches({"student": views["student"]}, targets, np.arange(20), 8, 0)

    def score(model):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return 1 / len(states)  # the first is the best, and is not kept

    @torch.no_grad()
    def predict(model):
        predictions.append(model.eval()(views["student"][torch.arange(20, 24)]).logits)
        return predictions[-1]

    fitted = fit_labels(model, batches, role, tmp_path, validate=score, predict=predict)
    assert len(predictions) == 2
    torch.testing.assert_close(fitted.epoch_mean, (predictions[0] + predictions[1]) / 2)
    kept = model.state_dict()
    for name in kept:
        if "running" not in name and "num_batches" not in name:
            mean = sum(states[epoch - 1][name] for epoch in averaged) / 2
            torch.testing.assert_close(kept[name], mean, msg=name)
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        seen = [first(batch.inputs["student"]) for batch in batches.epoch(4)]
    assert [len(part) for part in seen] == [8, 8, 4]
    torch.testing.assert_close(norm.running_mean, torch.cat(seen).mean((0, 2, 3)))
    variances = torch.stack([part.var((0, 2, 3)) for part in seen])
    shares = torch.tensor([[0.4], [0.4], [0.2]])
    torch.testing.assert_close(norm.running_var, (shares * variances).sum(0))
    assert norm.momentum == 0.1


def test_a_slow_backbone_takes_its_share_of_each_step(views, targets, tmp_path):
    """SGD of one batch: every step is its rate times the same gradient."""
    batches = Batches({"student": views["student"]}, targets, np.arange(20), 20, 0)
    steps = {}
    for backbone_lr_scale in (1.0, 0.01):
        model = small_model(views["student"], 0)
        before = {name: p.clone() for name, p in model.named_parameters()}
        role = Student(
            epochs=1, learning_rate=1e-2, optimiser="sgd", backbone_lr_scale=backbone_lr_scale
        )
        fit_labels(model, batches, role, tmp_path / str(backbone_lr_scale), validate=None)
        steps[backbone_lr_scale] = {n: p.detach() - before[n] for n, p in model.named_parameters()}
    for name, step in steps[0.01].items():
        share = 1.0 if name.startswith("classifier.") else 0.01
        torch.testing.assert_close(step, share * steps[1.0][name], rtol=0.02, atol=1e-7, msg=name)


def test_amsgrad_remembers_the_largest_gradient_of_the_past():
    """One weight, gradients 4 and 0, rate 1: by hand after Reddi et al., ICLR 2018."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = OPTIMISERS["amsgrad"]([weight], lr=1.0, weight_decay=0.0)
    for gradient in (4.0, 0.0):
        weight.grad = torch.tensor([gradient])
        optimiser.step()
    first, second = 0.1 * 4, 0.001 * 16  # means of gradients and of squares; the latter stays
    step = (0.9 * first / (1 - 0.9**2)) / (second / (1 - 0.999**2)) ** 0.5
    assert weight.item() == pytest.approx(-1 - step, rel=1e-5)


def test_the_best_epoch_is_kept(views, targets, tmp_path):
    scores = iter([0.2, 0.9, 0.9, 0.1])
    states = []
    role = Student(epochs=4, learning_rate=1e-2, batch_size=8)
    model = small_model(views["student"], 0)

    def score(model):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(scores)

    batches = Batches({"student": views["student"]}, targets, np.arange(20), 8, 0)
    fit_labels(model, batches, role, tmp_path, validate=score)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, states[1][name]), name


def test_the_model_learns_and_the_last_epoch_is_kept_without_validation(views, targets, tmp_path):
    model, (history, *_) = train(views, targets, tmp_path, epochs=16, validate=False)
    assert history["ce"].iloc[-1] < 0.5 * history["ce"].iloc[0]
    with torch.no_grad():
        logits = model(views["student"][torch.arange(20, 24)]).logits
    assert torch.equal(logits.argmax(1), targets[20:].argmax(1))


def test_other_settings_are_not_resumed(views, targets, tmp_path):
    train(views, targets, tmp_path, epochs=1)
    with pytest.raises(UserError, match=r"student.epochs: 1 -> 2.*--overwrite"):
        train(views, targets, tmp_path, epochs=2)


def test_a_diverging_training_stops_with_a_message(views, targets, tmp_path):
    views["student"].mean = torch.tensor([float("nan")])
    with pytest.raises(UserError, match="LEARNING_RATE"):
        train(views, targets, tmp_path)
