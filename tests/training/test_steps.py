from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from config import Config, ConfigError, Distillation, Specialists, Student, load
from data.loading.batches import Batches
from losses import LOSSES
from losses.loss import Loss
from losses.mix import names_of
from losses.sp import gram
from models import MODELS
from training.steps import OnlineTeacher, Step, build_losses, teacher_output
from training.teachers import RandomTeacher, build_teachers


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
    expected = sp(maps[0].float(), gram(maps[1].float()))
    assert maps[0].dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


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
    maps, mix = torch.randn(6, 5), torch.softmax(torch.randn(6, 6), dim=1)
    expected = teacher_output({"map": maps}, "map_gram", 6, mix)
    found = teacher_output({"map_gram": maps @ maps.T}, "map_gram", 6, mix)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(expected, gram(mix @ maps))


def test_targets_of_a_teacher_of_the_same_inputs_are_not_mixed(views, targets):
    student, teacher = model_for(views["student"], 0), model_for(views["teacher"], 1)
    losses = {"kd": LOSSES["kd"](task="single_label")}
    step = Step(student, "student", losses, {}, [OnlineTeacher(teacher)])
    batch = first_batch(views, targets)
    alone = step(batch)["kd"]
    batch.mix = torch.eye(8).roll(1, dims=0)
    assert step(batch)["kd"] == alone


# Losses with parameters -----------------------------------------------------------------------


class Hint(Loss):
    """An adapter for each map, and a memory of the clips that it was given."""

    def build(self, shapes):
        self.shapes = shapes
        pairs = zip(shapes["student_maps"], shapes["teacher_maps"], strict=True)
        self.adapters = torch.nn.ModuleList(torch.nn.Linear(s[0], t[0]) for s, t in pairs)
        self.register_buffer("calls", torch.zeros(shapes["clips"]))

    def forward(self, student_maps, teacher_maps, clips):
        self.calls = self.calls.index_add(0, clips, torch.ones(len(clips)))
        terms = [
            (adapter(mine.mean((2, 3))) - others.mean((2, 3))).square().mean()
            for adapter, mine, others in zip(self.adapters, student_maps, teacher_maps, strict=True)
        ]
        return torch.stack(terms).sum()


def hint_step(views, teachers=2):
    student = model_for(views["student"], 0)
    models = [OnlineTeacher(model_for(views["teacher"], seed)) for seed in range(1, 1 + teachers)]
    return Step(student, "student", {"hint": Hint()}, {}, models), student


def test_a_loss_takes_all_maps_and_the_numbers_of_the_training_clips(views, targets):
    step, student = hint_step(views)
    rows = np.array([3, 17, 4, 20, 11, 2])
    batches = Batches(views, targets, rows, 4, 0)
    step.build(student, batches, rows, seed=0)
    student.train()
    (loss, other) = step.losses["hint"]
    assert loss.shapes["clips"] == 6
    maps = student(views["student"][torch.arange(2)]).maps
    assert loss.shapes["student_maps"] == tuple(tuple(one.shape[1:]) for one in maps)
    for batch in batches.epoch(0):
        step(batch)["loss"].backward()
    assert loss.calls.tolist() == other.calls.tolist() == [1.0] * 6
    first, second = loss.adapters[0].weight, other.adapters[0].weight
    assert not torch.equal(first, second), "each teacher has its own adapters"
    assert first.grad.abs().sum() > 0 < second.grad.abs().sum()
    assert len(step.parameters()) == 4 * len(loss.adapters)
    assert all(not name.startswith("hint") for name in student.state_dict())


def test_parameters_of_losses_depend_on_the_seed_only(views, targets):
    found = []
    for seed in (0, 0, 1):
        step, student = hint_step(views, teachers=1)
        torch.manual_seed(len(found))
        state = torch.get_rng_state()
        step.build(student, Batches(views, targets, np.arange(16), 4, 0), np.arange(16), seed)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(step.losses["hint"][0].adapters[0].weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_keys_of_a_loss_override_the_shared_ones(tmp_path):
    path = tmp_path / "config.ini"
    path.write_text("[distillation]\nSOFTMAX_TEMPERATURE = 3\n[loss.kd]\nTEMPERATURE = 5\n")
    assert build_losses("kd", "single_label", Student(), load(path))["kd"].teacher_temperature == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[loss.kd]\nTEMPERATUR = 5",
            r"\[loss.kd\] temperatur: no such key; nearest: temperature",
        ),
        ("[loss.kd]\nTEMPERATURE = warm", r"\[loss.kd\] temperature: found 'warm', expected a num"),
        (
            "[loss.kd]\nTEMPERATURE = 0",
            r"\[loss.kd\] temperature: found 0, expected a number above",
        ),
        ("[loss.kd]\nTASK = multi_label", r"\[loss.kd\] task: no such key"),
        (
            "[loss.ce]\nLABEL_SMOOTHING = 0.1",
            r"label_smoothing: no such key here, but in .teach",
        ),
        ("[loss.kq]\nTEMPERATURE = 5", r"found 'kq'; nearest: kd"),
    ],
)
def test_wrong_keys_of_a_loss_are_refused(tmp_path, text, message):
    path = tmp_path / "config.ini"
    path.write_text(text)
    settings, name = load(path), text[6:8]
    with pytest.raises(ConfigError, match=message):
        build_losses(name, "single_label", Student(), settings)


def test_one_teacher_is_sampled_for_each_batch_by_its_weight(views, targets):
    teachers = [OnlineTeacher(model_for(views["teacher"], seed)) for seed in (1, 2, 3)]
    random = RandomTeacher(teachers, [1.0, 3.0, 0.0])
    assert random.input_roles == ("teacher",)
    counts = [0, 0, 0]
    batches = Batches({"teacher": views["teacher"]}, targets, np.arange(24), 2, 0)
    for batch in (batch for epoch in range(20) for batch in batches.epoch(epoch)):
        found = random.outputs(batch)["logits"]
        assert torch.equal(found, random.outputs(batch)["logits"]), "of the batch alone"
        same = [torch.equal(found, one.outputs(batch)["logits"]) for one in teachers]
        assert sum(same) == 1
        counts[same.index(True)] += 1
    assert 30 < counts[0] < 90, counts
    assert counts[2] == 0


def test_kd_random_has_one_of_all_teachers(config, monkeypatch):
    config = replace(config, specialists=Specialists(pairs=1), distillation=Distillation())
    fold = SimpleNamespace(config=config, experiment=SimpleNamespace(dataset=None))
    monkeypatch.setattr("training.teachers.build_teacher", lambda *arguments: LookUp())
    (only,) = build_teachers(fold, 0, "ce+kd@random", None, None).items()
    assert isinstance(only[0], RandomTeacher)
    assert (only[1], only[0].weights.tolist()) == (1.0, [1.0, 1.0])
