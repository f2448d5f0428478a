import pytest
import torch

from losses.centre import CentreLoss

EMBEDDINGS = torch.tensor([[2.0, 0.0], [4.0, 2.0], [0.0, 6.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def centre_loss(classes=3, size=2, **settings):
    loss = CentreLoss(**settings)
    loss.build({"labels": (classes,), "student_embedding": (size,)})
    return loss


def test_half_the_mean_squared_distance_and_the_step_of_the_centres_by_hand():
    loss = centre_loss(centre_lr=0.5)
    # From zero: squares of 4, 20 and 36. Class 0 steps 0.5 * (6, 2) / 3, class 1 0.5 * (0, 6) / 2.
    assert loss(EMBEDDINGS, LABELS).item() == pytest.approx((4 + 20 + 36) / 2 / 3)
    centres = torch.tensor([[1.0, 1 / 3], [0.0, 1.5], [0.0, 0.0]])
    torch.testing.assert_close(loss.centres, centres)
    # Again: (1, -1/3), (3, 5/3) and (0, 4.5) from the centres.
    squares = (1 + 1 / 9) + (9 + 25 / 9) + 20.25
    assert loss(EMBEDDINGS, LABELS).item() == pytest.approx(squares / 2 / 3)
    # Class 0 is (2 - 6, 2/3 - 2) behind, over 1 + 2 clips; class 1 is -4.5 behind, over 2.
    wanted = torch.tensor([[1 + 2 / 3, 1 / 3 + 2 / 9], [0.0, 1.5 + 1.125], [0.0, 0.0]])
    torch.testing.assert_close(loss.centres, wanted)


def test_the_gradient_is_that_of_the_embeddings_only():
    loss = centre_loss()
    loss(EMBEDDINGS, LABELS)
    centres = loss.centres.clone()
    embeddings = EMBEDDINGS.clone().requires_grad_()
    loss(embeddings, LABELS).backward()
    torch.testing.assert_close(embeddings.grad, (EMBEDDINGS - centres[[0, 0, 1]]) / 3)
    assert not loss.centres.requires_grad
    assert not list(loss.parameters())


def test_soft_labels_weight_the_classes():
    loss = centre_loss(2, 1, centre_lr=1.0)
    mixed = torch.tensor([[0.75, 0.25]])
    assert loss(torch.tensor([[4.0]]), mixed).item() == pytest.approx(16 / 2)
    torch.testing.assert_close(loss.centres, torch.tensor([[3 / 1.75], [1 / 1.25]]))


def test_a_rate_of_zero_and_evaluation_keep_the_centres():
    still = centre_loss(centre_lr=0.0)
    still(EMBEDDINGS, LABELS)
    assert torch.equal(still.centres, torch.zeros(3, 2))
    loss = centre_loss()
    loss(EMBEDDINGS, LABELS)
    before = loss.eval().centres
    loss(EMBEDDINGS, LABELS)
    assert torch.equal(loss.centres, before)
    evaluated = centre_loss().eval()
    evaluated(EMBEDDINGS, LABELS)
    assert torch.equal(evaluated.centres, torch.zeros(3, 2))


def test_the_default_rate_is_half():
    loss, half = centre_loss(), centre_loss(centre_lr=0.5)
    for one in (loss, half):
        one(EMBEDDINGS, LABELS)
    assert torch.equal(loss.centres, half.centres)


def test_the_centres_converge_to_the_means_of_their_classes():
    loss = centre_loss()
    for _ in range(60):
        loss(EMBEDDINGS, LABELS)
    means = torch.tensor([[3.0, 1.0], [0.0, 6.0], [0.0, 0.0]])
    torch.testing.assert_close(loss.centres, means, rtol=1e-4, atol=1e-4)


def test_the_state_dict_restores_the_centres():
    loss, twin = centre_loss(), centre_loss()
    loss(EMBEDDINGS, LABELS)
    twin.load_state_dict(loss.state_dict())
    for _ in range(2):
        assert torch.equal(twin(EMBEDDINGS, LABELS), loss(EMBEDDINGS, LABELS))
