import pytest
import torch

from losses.embed import EmbeddingRegression


def embed(student, teacher, **settings):
    loss = EmbeddingRegression(**settings)
    loss.build({"student_embedding": (student,), "teacher_embedding": (teacher,)})
    return loss


@pytest.mark.parametrize(("kind", "by_hand"), [("mse", (9 + 1 + 0 + 4) / 4), ("cosine", 0.6)])
def test_equal_sizes_by_hand(kind, by_hand):
    """Squares 9, 1, 0 and 4. Cosines 4/5, and 0 of (1, 0) and (0, 2)."""
    student, teacher = (
        torch.tensor([[3.0, 4.0], [1.0, 0.0]]),
        torch.tensor([[0.0, 5.0], [1.0, 2.0]]),
    )
    if kind == "cosine":
        teacher = torch.tensor([[0.0, 5.0], [0.0, 2.0]])
    loss = embed(2, 2, kind=kind)
    assert not list(loss.parameters())
    assert loss(student, teacher).item() == pytest.approx(by_hand)


def test_other_sizes_have_a_linear_adapter():
    loss = embed(3, 2)
    student, teacher = torch.randn(4, 3), torch.randn(4, 2)
    predicted = student @ loss.adapter.weight.T + loss.adapter.bias
    torch.testing.assert_close(loss(student, teacher), (predicted - teacher).square().mean())
