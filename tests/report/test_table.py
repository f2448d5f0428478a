import pandas as pd
import pytest

from report.table import render, signed, table_rows, with_unit


def results(rows):
    common = {
        "dataset": "street_sounds",
        "fold": 0,
        "split": "test",
        "metric": "micro_auprc",
        "epoch_chosen_on": "validate",
    }
    models = {
        "teacher": ("dcase_net", 13_153_672, 8.26e9),
        "student": ("dcase_small", 323_336, 1.5e8),
    }
    table = []
    for role, variant, seed, value in rows:
        model, parameters, macs = models[role]
        sizes = {"model": model, "parameters": parameters, "macs": macs}
        given = {"role": role, "variant": variant, "seed": seed, "value": value}
        table.append(common | sizes | given)
    return pd.DataFrame(table)


ROWS = [
    ("teacher", "bce", 0, 0.9),
    ("teacher", "bce", 1, 0.8),
    ("student", "bce", 0, 0.70),
    ("student", "bce", 1, 0.60),
    ("student", "bce+kd", 0, 0.72),
    ("student", "bce+kd", 1, 0.64),
]


def test_the_terminal_has_one_row_per_system_with_the_score_first():
    lines = render(results(ROWS), "micro_auprc").strip().splitlines()
    title = " ".join(lines[:2])
    assert "micro_auprc on street_sounds, test; epoch chosen on validate" in title
    assert "2 seeds" in title
    assert lines[3:] == [
        "system                       score     gain over bce  n  params    MACs",
        "teacher dcase_net  0.8500 ± 0.0707                    2  13.2 M  8.26 G",
        "student dcase_small",
        "  bce              0.6500 ± 0.0707                    2   323 k   150 M",
        "  bce+kd           0.6800 ± 0.0566  +0.0300 ± 0.0141  2   323 k   150 M",
    ]


def test_a_lower_loss_is_a_gain():
    losses = results(ROWS).assign(metric="log_loss", value=lambda rows: 1 - rows["value"])
    assert "bce+kd           0.3200 ± 0.0566  +0.0300 ± 0.0141" in render(losses, "log_loss")
    assert table_rows(losses, "log_loss")[-1][2] == "+0.0300 ± 0.0141"


def test_the_title_names_what_chose_the_epoch_where_some_systems_have_none():
    found = results(ROWS)
    found.loc[found["role"] == "teacher", "epoch_chosen_on"] = "none"
    assert "test; epoch chosen on validate; mean" in " ".join(render(found, "micro_auprc").split())
    found["epoch_chosen_on"] = "none"
    assert "test; the last epoch kept; mean" in " ".join(render(found, "micro_auprc").split())


def test_variants_without_one_from_labels_only_are_named():
    rows = [("teacher", "ce", 0, 1.0), ("student", "kd", 0, 0.7), ("student", "kd+sp", 0, 0.8)]
    found = results(rows)
    found["split"] = "fold 1, agreement with the teacher"
    lines = render(found, "micro_auprc").strip().splitlines()
    assert " ".join(lines[:2]).startswith(
        "agreement with the teacher (micro_auprc) on street_sounds, fold 1; epoch chosen"
    )
    assert [line.split()[:2] for line in lines[4:]] == [
        ["teacher", "dcase_net"],
        ["student", "dcase_small"],
        ["kd", "0.7000"],
        ["kd+sp", "0.8000"],
    ]


def test_variants_are_in_the_order_of_the_configuration():
    rows = [("student", name, 0, 0.5) for name in ("ce", "ce+kd", "kd", "sp")]
    lines = render(results(rows), "micro_auprc", ("sp", "ce+kd", "ce")).splitlines()
    assert [line.split()[0] for line in lines[5:]] == ["student", "sp", "ce+kd", "ce", "kd"]
    assert "gain over ce" in lines[4]


@pytest.mark.parametrize(
    ("folds", "text"),
    [
        ([1, 2, 3], "fold 1 to fold 3;"),
        ([10, 2, 1], "fold 1, fold 2, fold 10;"),
        ([9, 11, 10], "fold 9 to fold 11;"),
        ([10], "fold 10;"),
    ],
)
def test_the_folds_of_a_part_are_listed(folds, text):
    found = results([("teacher", "ce", 0, 1.0)] * len(folds))
    found["fold"], found["split"] = folds, [f"fold {k}" for k in folds]
    head = " ".join(render(found, "micro_auprc").split())
    assert f"micro_auprc on street_sounds, {text}" in head


def test_the_terminal_table_fits_in_80_columns():
    variant = "bce+kd@teacher+kd@specialist_1+sp@specialist_2"
    rows = results([*ROWS, ("student", variant, 0, 0.7)])
    rows["model"] = rows["model"].replace("dcase_net", "a_model_with_a_very_long_name")
    lines = render(rows, "micro_auprc").splitlines()
    assert max(map(len, lines)) <= 80
    names = "".join(line.split("  0.")[0].strip() for line in lines)
    assert variant in names
    assert "a_model_with_a_very_long_name" in names


def test_markdown_has_one_row_per_model_and_one_column_per_variant():
    head, student, gain = (
        [cell.strip() for cell in row]
        for place, row in enumerate(table_rows(results(ROWS), "micro_auprc"))
        if place != 1
    )
    assert head == ["system", "bce", "bce+kd", "parameters", "MACs"]
    assert student[1:4] == ["0.6500 ± 0.0707", "0.6800 ± 0.0566", "323 k"]
    assert gain == ["gain over bce", "", "+0.0300 ± 0.0141", "", ""]


def test_a_single_run_has_no_deviation():
    lines = render(results([("student", "bce", 0, 0.5)]), "micro_auprc").splitlines()
    assert "±" not in lines[-1]
    assert "0.5000" in lines[-1]


def test_units():
    assert [with_unit(n) for n in (13_153_672, 8.26e9, 323_336, 950)] == [
        "13.2 M",
        "8.26 G",
        "323 k",
        "950",
    ]


def test_one_value_has_no_deviation():
    assert signed(0.05, float("nan")) == "+0.0500"
    assert signed(-0.05, 0.01, 3) == "-0.050 ± 0.010"
    assert signed(-1e-9, 0.01) == "+0.0000 ± 0.0100"
