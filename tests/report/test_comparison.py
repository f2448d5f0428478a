import pandas as pd

from report.comparison import runs_markdown


def results(run, role, values):
    return [
        {
            "run": run, "role": role, "variant": "ce", "model": "passt", "dataset": "scenes",
            "seed": seed, "fold": 0, "split": "test", "epoch_chosen_on": "none",
            "metric": "accuracy", "value": value, "parameters": 1, "macs": 1,
        }
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_a_role_of_each_run_is_compared_with_the_first_by_seed():
    table = pd.DataFrame(
        results("standard", "teacher", [0.5, 0.6, 0.7])
        + results("standard", "student", [0.1, 0.1, 0.1])
        + results("sit", "teacher", [0.6, 0.7, 0.9])
    )
    lines = runs_markdown(table, "accuracy", "teacher").splitlines()
    assert lines[0].startswith("teacher, accuracy on scenes, test; the last epoch kept; mean ±")
    assert "3 seeds" in lines[0]
    assert lines[2:] == [
        "| run | accuracy | gain over standard | significance |",
        "| --- | ---: | ---: | ---: |",
        "| standard | 0.6000 ± 0.1000 |  |  |",
        "| sit | 0.7333 ± 0.1528 | +0.1333 ± 0.0577 | p = 0.25, n = 3 |",
    ]


def test_several_runs_have_adjusted_p_values():
    table = pd.DataFrame(
        results("standard", "teacher", [0.1, 0.1, 0.1, 0.1, 0.1])
        + results("sit", "teacher", [0.2, 0.3, 0.4, 0.5, 0.6])
        + results("swa", "teacher", [0.0, 0.3, 0.4, 0.5, 0.6])
    )
    *_, sit, swa = runs_markdown(table, "accuracy", "teacher").splitlines()
    assert sit.endswith("| p = 0.062 (Holm: p = 0.12), n = 5 |")
    assert swa.endswith("| p = 0.12 (Holm: p = 0.12), n = 5 |")
