import math

import pytest

from config import Student
from training.schedules import learning_rate, plateaus


def rates(schedule, epochs=8, steps=2, scores=(), **settings):
    role = Student(schedule=schedule, epochs=epochs, learning_rate=1.0, **settings)
    return [learning_rate(role, step, steps, scores) for step in range(epochs * steps)]


def test_constant():
    assert set(rates("constant")) == {1.0}


def test_step_multiplies_after_the_named_epochs():
    found = rates("step", epochs=4, steps=1, step_epochs=(1, 3), step_factor=0.2)
    assert found == pytest.approx([1, 0.2, 0.2, 0.04])


def test_the_steps_of_the_published_specialist_system():
    found = rates("step", epochs=70, steps=3, step_epochs=(20, 50), step_factor=0.2)
    assert found[:60] == [1.0] * 60
    assert found[60:150] == pytest.approx([0.2] * 90)
    assert found[150:] == pytest.approx([0.04] * 60)


def test_inverse_time_counts_steps_and_not_epochs():
    found = rates("inverse_time", epochs=2, steps=3, inverse_time_decay=0.5)
    assert found == pytest.approx([1, 2 / 3, 1 / 2, 2 / 5, 1 / 3, 2 / 7])
    assert rates("inverse_time", epochs=1, steps=10_001)[-1] == pytest.approx(1 / 2)


def test_cosine_rises_then_falls_to_zero():
    found = rates("cosine", warm_up_epochs=2)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4] == pytest.approx(1.0)
    assert found[10] == pytest.approx(0.5)  # half way from epoch 2 to epoch 8
    assert found == [*sorted(found[:4]), *sorted(found[4:], reverse=True)]
    assert 0 < found[-1] < 0.05


def test_warm_up_linear_down_ends_at_a_hundredth():
    found = rates("warm_up_linear_down", epochs=100, steps=10, warm_up_epochs=10)
    assert found[0] == pytest.approx(math.exp(-5))
    assert found[100] == 1.0
    assert found[-1] == pytest.approx(0.01, abs=0.002)
    assert max(found) == 1.0


def test_the_published_fine_tuning_of_passt():
    """Three epochs up, and from there in ten epochs down to a hundredth, where it stays."""
    found = rates(
        "warm_up_linear_down", 25, 1, warm_up_epochs=3, ramp_down_start_epoch=3, ramp_down_epochs=10
    )
    assert found[:4] == pytest.approx([math.exp(-5), math.exp(-20 / 9), math.exp(-5 / 9), 1])
    assert found[8] == pytest.approx((1 + 0.01) / 2)
    assert found[13:] == pytest.approx([0.01] * 12)


def test_the_published_students_of_cp_jku():
    """14 epochs up, the highest rate to epoch 50, linearly down to 0.005 of it over 84."""
    settings = {
        "warm_up_epochs": 14,
        "ramp_down_start_epoch": 50,
        "ramp_down_epochs": 84,
        "ramp_down_to": 0.005,
    }
    found = rates("warm_up_linear_down", 150, 1, **settings)
    assert set(found[14:51]) == {1.0}
    assert found[92] == pytest.approx((1 + 0.005) / 2)
    assert found[134:] == pytest.approx([0.005] * 16)


def test_a_plateau_is_patience_epochs_without_a_better_score():
    assert plateaus([0.1, 0.2, 0.2, 0.1], patience=2) == 1
    assert plateaus([0.1, 0.2, 0.2, 0.3, 0.3, 0.3], patience=2) == 1
    assert plateaus([0.5, 0.4, 0.3, 0.2, 0.1], patience=2) == 2
    assert plateaus([], patience=1) == 0
    assert set(rates("plateau", scores=[0.5, 0.4, 0.4], patience=2, step_factor=0.5)) == {0.5}


@pytest.mark.parametrize("schedule", ["constant", "step", "plateau", "cosine"])
def test_a_warm_up_in_steps_rises_linearly(schedule):
    found = rates(schedule, warm_up_steps=4, step_epochs=(5,) if schedule == "step" else ())
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4] == 1.0


def test_a_warm_up_of_epochs_is_that_of_their_steps():
    assert rates("constant", warm_up_epochs=3) == rates("constant", warm_up_steps=6)
