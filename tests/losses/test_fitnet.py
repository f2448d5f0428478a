import pytest
import torch

from config import UserError
from losses.fitnet import FitNet


def fitnet(student, teacher):
    loss = FitNet()
    loss.build({"student_map": student, "teacher_map": teacher})
    return loss.double()


def test_half_the_mean_square_by_hand():
    loss = fitnet((1, 1, 2), (2, 1, 1))
    with torch.no_grad():
        loss.adapter.weight.copy_(torch.tensor([[2.0], [1.0]]))
        loss.adapter.bias.copy_(torch.tensor([0.0, -1.0]))
    student = torch.tensor([[[[1.0, 3.0]]]]).double()  # averaged over the coarser grid: 2
    teacher = torch.tensor([[[[5.0]], [[3.0]]]]).double()  # predicted: 4 and 1
    assert loss(student, teacher).item() == pytest.approx((1 + 4) / 2 / 2)


def test_it_equals_the_sum_over_cells_of_another_implementation():
    loss = fitnet((3, 4, 6), (5, 2, 6))
    student, teacher = torch.randn(2, 3, 4, 6).double(), torch.randn(2, 5, 2, 6).double()
    weight, bias = loss.adapter.weight, loss.adapter.bias
    total = 0.0
    for clip in range(2):
        for t in range(2):
            for f in range(6):
                cell = (student[clip, :, 2 * t, f] + student[clip, :, 2 * t + 1, f]) / 2
                total += (teacher[clip, :, t, f] - weight @ cell - bias).square().sum()
    torch.testing.assert_close(loss(student, teacher), total / (2 * teacher.numel()))


def test_a_grid_beside_tokens_is_refused():
    with pytest.raises(UserError, match="fitnet: student and teacher have maps of 3x4x6 and 9x16"):
        fitnet((3, 4, 6), (9, 16))
    tokens = fitnet((8, 4), (9, 16))
    assert tokens(torch.randn(2, 8, 4).double(), torch.randn(2, 9, 16).double()) > 0
