import pytest

from config import Budget, ConfigError
from models.cost import Cost
from training.budget import check_budget

BASELINE = Cost(parameters=61_148, macs=29_419_156, weight_bytes=250_000)  # of DCASE 2024


def test_the_limits_of_dcase_2024_are_met_in_float16():
    check_budget(Budget(max_bytes=128_000, precision="float16", max_macs=30_000_000), BASELINE)
    check_budget(Budget(max_bytes=122_296, precision="float16", max_macs=29_419_156), BASELINE)
    check_budget(Budget(), BASELINE)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            Budget(max_bytes=128_000),
            r"\[budget\] max_bytes: the student's 61,148 parameters take 244,592 bytes in float32, "
            "and each clip 29,419,156 multiply-accumulates; expected at most 128,000 bytes",
        ),
        (Budget(max_bytes=61_147, precision="int8"), "take 61,148 bytes in int8"),
        (Budget(max_macs=29_000_000), r"\[budget\] max_macs.*expected at most 29,000,000"),
    ],
)
def test_a_student_over_budget_is_rejected_with_the_figures(budget, message):
    with pytest.raises(ConfigError, match=message):
        check_budget(budget, BASELINE)
