from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.ce import CrossEntropy
from losses.kd import KnowledgeDistillation

TASKS = ("single_label", "multi_label")
DIVERGENCE = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)  # of (1/2, 1/2) from (3/4, 1/4)


def logits(seed, clips=5, classes=4):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, clips, classes)
    return 4 * torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("squared", [False, True])
def test_tags_by_hand(squared):
    kd = KnowledgeDistillation(task="multi_label", temperature=2, squared_temperature=squared)
    teacher = torch.tensor([[2 * log(3.0), 0.0]])  # sigmoid of a half of it: 3/4, 1/2
    by_hand = DIVERGENCE / 2 * (4 if squared else 1)  # the mean of two classes
    assert kd(torch.zeros(1, 2), teacher).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("squared", [False, True])
def test_single_labels_by_hand(squared):
    kd = KnowledgeDistillation(task="single_label", temperature=2, squared_temperature=squared)
    teacher = torch.tensor([[2 * log(3.0), 0.0], [1.0, 1.0]])  # at 2: (3/4, 1/4) and (1/2, 1/2)
    by_hand = DIVERGENCE / 2 * (4 if squared else 1)  # the mean of two clips
    assert kd(torch.zeros(2, 2), teacher).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("task", TASKS)
def test_a_temperature_on_the_teacher_only_is_zero_at_the_softened_logits(task):
    _, teacher = logits(0)
    kd = KnowledgeDistillation(task=task, temperature=3, temperature_on="teacher")
    assert kd(teacher / 3, teacher) == 0
    assert kd(teacher, teacher) > 0.01


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 10))
def test_tags_have_the_gradient_of_the_published_form(seed, temperature):
    student, teacher = logits(seed)
    student.requires_grad_()
    published = F.binary_cross_entropy_with_logits(
        student / temperature, torch.sigmoid(teacher / temperature)
    )
    ours = KnowledgeDistillation(task="multi_label", temperature=temperature)(student, teacher)
    wanted, found = (torch.autograd.grad(loss, student)[0] for loss in (published, ours))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    p = torch.sigmoid(teacher / temperature)
    entropy = F.binary_cross_entropy(p, p)
    torch.testing.assert_close(ours + entropy, published, rtol=1e-9, atol=1e-12)


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 10), task=st.sampled_from(TASKS))
def test_it_is_never_negative(seed, temperature, task):
    student, teacher = logits(seed)
    assert KnowledgeDistillation(task=task, temperature=temperature)(student, teacher) >= 0


def test_a_high_temperature_squared_compares_the_logits_themselves():
    """At T -> infinity, KL times T^2 is half the variance of s - t over the classes."""
    student, teacher = logits(1)
    kd = KnowledgeDistillation(task="single_label", temperature=1e4, squared_temperature=True)
    limit = (student - teacher).var(dim=1, correction=0).mean() / 2
    torch.testing.assert_close(kd(student, teacher), limit, rtol=1e-3, atol=0)


def test_the_reduction_over_classes_is_a_factor_of_their_number():
    student, teacher = logits(3, classes=4)
    for task, natural in (("single_label", "sum"), ("multi_label", "mean")):
        auto, total, mean = (
            KnowledgeDistillation(task=task, kd_reduction=kind)(student, teacher).item()
            for kind in ("auto", "sum", "mean")
        )
        assert total == pytest.approx(4 * mean)
        assert auto == (total if natural == "sum" else mean)


def test_standardised_logits_by_hand():
    """z of (3, 0, 0) and of (0, 10, 0) are (√2, -1/√2, -1/√2) and its like: at temperature √2 the
    softmax of (1, -1/2, -1/2), whose log-ratio is 3/2 between the places.
    """
    kd = KnowledgeDistillation(task="single_label", temperature=2**0.5, standardise_logits=True)
    high, low = exp(1.5) / (exp(1.5) + 2), 1 / (exp(1.5) + 2)
    student, teacher = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 10.0, 0.0]])
    assert kd(student, teacher).item() == pytest.approx(1.5 * (high - low))
    assert kd(5 * teacher + 2, teacher).item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_through_z_scores_by_hand():
    """dz_j/ds_k = (δ_jk - 1/K - z_j z_k / K) / σ, and dL/dz = softmax(z) - softmax(z_teacher)."""
    student, teacher = (t.clone() for t in logits(4))
    student.requires_grad_()
    kd = KnowledgeDistillation(task="single_label", standardise_logits=True)
    (found,) = torch.autograd.grad(kd(student, teacher), student)
    z, z_teacher = (
        (t - t.mean(1, keepdim=True)) / t.std(1, keepdim=True, correction=0)
        for t in (student.detach(), teacher)
    )
    g = (z.softmax(1) - z_teacher.softmax(1)) / len(z)
    centred = g - g.mean(1, keepdim=True) - z * (g * z).mean(1, keepdim=True)
    sigma = student.detach().std(1, keepdim=True, correction=0)
    torch.testing.assert_close(found, centred / sigma, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e4])
def test_z_scores_of_equal_or_huge_logits_are_finite(scale):
    student, teacher = (t.float() for t in logits(5))
    student = (scale * student).requires_grad_()
    loss = KnowledgeDistillation(task="single_label", standardise_logits=True)(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_equal_logits_have_z_scores_of_zero_and_gradients_of_ordinary_size(value):
    """cp_resnet starts with them; the mean of ten times 0.3 is not 0.3 in float32."""
    student = torch.full((4, 10), value, requires_grad=True)
    teacher = logits(7, clips=4, classes=10)[1].float()
    KnowledgeDistillation(task="single_label", standardise_logits=True)(student, teacher).backward()
    assert 0 < student.grad.abs().max() < 1


def test_the_published_loss_of_low_complexity_scenes():
    """.02 cross-entropy + .98 * 2² * the mean over B x K of p (ln p - ln q), as CE = .02, KD = .98,
    SOFTMAX_TEMPERATURE = 2, SQUARED_TEMPERATURE = yes and KD_REDUCTION = mean.
    """
    student, teacher = logits(6, clips=5, classes=10)
    labels = torch.tensor([0, 9, 3, 3, 7])
    divergence = F.kl_div(
        F.log_softmax(student / 2, 1),
        F.log_softmax(teacher / 2, 1),
        reduction="none",
        log_target=True,
    )
    published = 0.02 * F.cross_entropy(student, labels) + 0.98 * 4 * divergence.mean()
    settings = {"temperature": 2.0, "squared_temperature": True, "kd_reduction": "mean"}
    kd = KnowledgeDistillation(task="single_label", **settings)
    ours = 0.02 * CrossEntropy()(student, F.one_hot(labels, 10).double())
    torch.testing.assert_close(ours + 0.98 * kd(student, teacher), published, rtol=1e-12, atol=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("reduction", ["auto", "sum", "mean"])
def test_mixed_clips_have_the_divergences_from_both_targets_by_their_shares(task, reduction):
    kd = KnowledgeDistillation(task=task, temperature=2, kd_reduction=reduction)
    student, teacher = logits(5)
    shares, partners = [0.5, 0.7, 1.0, 0.9, 0.6], [2, 0, 1, 3, 4]
    mix, by_hand = torch.zeros(5, 5, dtype=torch.float64), 0.0
    for clip, (share, partner) in enumerate(zip(shares, partners, strict=True)):
        mix[clip, clip] += share
        mix[clip, partner] += 1 - share
        own, other = (kd(student[[clip]], teacher[[one]]) for one in (clip, partner))
        by_hand += (share * own + (1 - share) * other) / 5
    torch.testing.assert_close(kd(student, teacher, mix), by_hand)
