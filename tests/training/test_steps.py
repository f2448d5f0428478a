import numpy as np
import pytest
import torch

from config import Config, ConfigError, Student, load
from data.loading.batches import Batches
from losses import LOSSES
from losses.mix import names_of
from models import MODELS
from training.steps import OnlineTeacher, Step, build_losses, distillation_term


@pytest.fixture
def config(tmp_path) -> Config:
    path = tmp_path / "config.ini"
    path.write_text("[distillation]\nSOFTMAX_TEMPERATURE = 3\nTEMPERATURE_ON = teacher\n")
    return load(path)


def model_for(view, seed):
    torch.manual_seed(seed)
    return MODELS["dcase_small"](num_classes=2, input_shape=view.shape, width_mult=0.25)


def first_batch(views, targets):
    return next(Batches(views, targets, np.arange(16), 8, 0).epoch(0))


def test_a_variant_names_its_losses(config):
    assert names_of("bce+KD + sp") == ("bce", "kd", "sp")
    role = Student(label_smoothing=0.1, centre_lr=0.25)
    losses = build_losses("ce+kd+centre", "single_label", role, config)
    assert losses["centre"].centre_lr == 0.25
    assert losses["ce"].label_smoothing == 0.1
    assert (losses["kd"].teacher_temperature, losses["kd"].student_temperature) == (3.0, 1.0)


@pytest.mark.parametrize(
    ("variant", "task", "message"),
    [
        ("bce+kq", "multi_label", "nearest: kd"),
        ("ce", "multi_label", "multi-label"),
        ("bce+kd", "single_label", "single-label"),
        ("bce+centre", "multi_label", "'centre', but the data set is multi-label"),
    ],
)
def test_losses_that_do_not_fit_are_rejected(config, variant, task, message):
    with pytest.raises(ConfigError, match=message):
        build_losses(variant, task, Student(), config)


def test_standardised_logits_require_a_single_label_task(tmp_path):
    path = tmp_path / "config.ini"
    path.write_text("[distillation]\nSTANDARDISE_LOGITS = yes\n")
    settings = load(path)
    assert build_losses("kd", "single_label", Student(), settings)["kd"].standardise_logits
    with pytest.raises(ConfigError, match="standardise_logits: found yes, but the data set is mu"):
        build_losses("bce+kd", "multi_label", Student(), settings)
    assert build_losses("bce", "multi_label", Student(), settings)


def test_the_loss_is_the_weighted_sum_of_its_terms(views, targets):
    student, teacher = model_for(views["student"], 0), model_for(views["teacher"], 1)
    losses = {"ce": LOSSES["ce"](), "sp": LOSSES["sp"]()}
    step = Step(student, "student", losses, {"ce": 1.5, "sp": 10.0}, [OnlineTeacher(teacher)])
    terms = step(first_batch(views, targets))
    assert terms["loss"].item() == pytest.approx(
        1.5 * terms["ce"].item() + 10 * terms["sp"].item(), rel=1e-6
    )


def test_the_terms_of_several_teachers_are_summed(views, targets):
    student = model_for(views["student"], 0)
    teachers = [OnlineTeacher(model_for(views["teacher"], seed)) for seed in (1, 2)]
    kd = {"kd": LOSSES["kd"](task="single_label", temperature=2.0)}
    batch = first_batch(views, targets)
    alone = [Step(student, "student", kd, {}, [t])(batch)["kd"].item() for t in teachers]
    both = Step(student, "student", kd, {}, teachers)(batch)["kd"].item()
    assert both == pytest.approx(sum(alone), rel=1e-6)
    assert alone[0] != alone[1]


def test_kd_of_weighted_teachers_is_the_cross_entropy_of_their_soft_labels(views, targets):
    """Jung et al. add up soft-label cross-entropies at a temperature: another constant, but the
    same gradient.
    """
    student, temperature, weights = model_for(views["student"], 0), 2.0, (0.5, 2.0)
    models = [model_for(views["teacher"], seed).eval() for seed in (1, 2)]
    kd = {"kd": LOSSES["kd"](task="single_label", temperature=temperature)}
    batch = first_batch(views, targets)
    step = Step(student, "student", kd, {}, [OnlineTeacher(t) for t in models], weights)
    step(batch)["kd"].backward()
    found = [p.grad.clone() for p in student.parameters()]
    student.zero_grad()
    log_p = (student(batch.inputs["student"]).logits / temperature).log_softmax(1)
    soft = [(t(batch.inputs["teacher"]).logits / temperature).softmax(1).detach() for t in models]
    entropies = [-(label * log_p).sum(1).mean() for label in soft]
    sum(w * term for w, term in zip(weights, entropies, strict=True)).backward()
    for gradient, parameter in zip(found, student.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-7)


def test_no_gradient_reaches_a_teacher(views, targets):
    student, teacher = model_for(views["student"], 0), model_for(views["teacher"], 1)
    losses = {"kd": LOSSES["kd"](task="single_label"), "sp": LOSSES["sp"]()}
    Step(student, "student", losses, {}, [OnlineTeacher(teacher)])(first_batch(views, targets))[
        "loss"
    ].backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert student.conv1[0].weight.grad.abs().sum() > 0


def test_distillation_without_a_teacher_is_an_error(views):
    with pytest.raises(ValueError, match="without a teacher"):
        Step(model_for(views["student"], 0), "student", {"sp": LOSSES["sp"]()}, {})


def test_losses_compute_in_float32_whatever_the_model_computes_in(views, targets):
    student, teacher = model_for(views["student"], 0), model_for(views["teacher"], 1).eval()
    batch, sp = first_batch(views, targets), LOSSES["sp"]()
    step = Step(student, "student", {"sp": sp}, {}, [OnlineTeacher(teacher)])
    with torch.autocast("cpu", torch.bfloat16):
        found = step(batch)["sp"]
        maps = [
            m(batch.inputs[r]).maps[-1] for m, r in ((student, "student"), (teacher, "teacher"))
        ]
    assert maps[0].dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(sp(*(m.float() for m in maps)).item(), rel=1e-6)


class LookUp:
    """A teacher of single clips: its outputs do not depend on the inputs of the batch."""

    input_roles = ()

    def __init__(self, **tables):
        self.tables = tables

    def outputs(self, batch):
        return {name: table[batch.rows] for name, table in self.tables.items()}


def test_targets_of_a_teacher_of_single_clips_are_mixed_as_the_clips_are(views, targets):
    student = model_for(views["student"], 0)
    maps, logits = torch.randn(16, 3, 4), torch.randn(16, 2)
    losses = {"sp": LOSSES["sp"](), "kd": LOSSES["kd"](task="single_label")}
    step = Step(student, "student", losses, {}, [LookUp(map=maps, logits=logits)])
    batch = first_batch(views, targets)
    alone = step(batch)
    batch.mix = torch.eye(8).roll(1, dims=0)  # each clip is its predecessor
    inputs = batch.inputs["student"]
    mixed = step(batch)
    batch.mix, batch.inputs, order = None, {"student": inputs}, torch.arange(8).roll(1)
    step.teachers = [LookUp(map=maps[batch.rows[order]], logits=logits[batch.rows[order]])]
    batch.rows = torch.arange(8)
    expected = step(batch)
    for name in losses:
        torch.testing.assert_close(mixed[name], expected[name])
        assert mixed[name] != alone[name]


def test_the_gram_matrix_of_single_clips_is_mixed_as_their_maps_are():
    loss, maps, student = LOSSES["sp"](), torch.randn(6, 5), torch.randn(6, 3, 2)
    mix = torch.softmax(torch.randn(6, 6), dim=1)
    expected = distillation_term(loss, student, {"map": maps}, 6, mix)
    found = distillation_term(loss, student, {"map_gram": maps @ maps.T}, 6, mix)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(expected, loss(student, mix @ maps))


def test_targets_of_a_teacher_of_the_same_inputs_are_not_mixed(views, targets):
    student, teacher = model_for(views["student"], 0), model_for(views["teacher"], 1)
    losses = {"kd": LOSSES["kd"](task="single_label")}
    step = Step(student, "student", losses, {}, [OnlineTeacher(teacher)])
    batch = first_batch(views, targets)
    alone = step(batch)["kd"]
    batch.mix = torch.eye(8).roll(1, dims=0)
    assert step(batch)["kd"] == alone
