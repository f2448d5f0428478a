"""The variant that is shown first and exported."""

import pytest

from config import UserError
from data.checksums import sha256_of, write_record
from report.choice import BEST_VARIANT, LAST, ONLY, choose_variant


@pytest.fixture
def trained(tmp_path):
    def add(variant, scores, kept=2, seed=0, chosen_on="validate", fold=0):
        folder = tmp_path / "student" / variant / f"seed_{seed}" / f"fold_{fold}"
        folder.mkdir(parents=True)
        rows = [f"{n},{score}" for n, score in enumerate(scores, 1)]
        (folder / "history.csv").write_text("\n".join(["epoch,score", *rows]) + "\n")
        metrics = {"kept_epoch": kept, "epoch_chosen_on": chosen_on}
        # The test score, which must not matter, is highest for bce.
        metrics |= {"figures": {"accuracy": 1.0 if variant == "bce" else 0.0}}
        checksums = {"history.csv": sha256_of(folder / "history.csv")}
        write_record(folder / "metrics.json", metrics, checksums)
        return tmp_path

    return add


VARIANTS = ("bce", "bce+kd", "bce+kd+sp")


def test_the_mean_score_at_the_kept_epochs_decides(trained):
    for seed, scores in enumerate([(0.1, 0.5), (0.1, 0.7)]):
        trained("bce", scores, seed=seed)
    for seed, scores in enumerate([(0.9, 0.6), (0.9, 0.8)]):  # the first epoch is not kept
        trained("bce+kd", scores, seed=seed)
    for seed, scores in enumerate([(0.1, 0.9), (0.1, 0.2)]):
        run = trained("bce+kd+sp", scores, seed=seed)
    assert choose_variant(run, VARIANTS) == ("bce+kd", BEST_VARIANT)
    assert str(choose_variant(run, VARIANTS)) == "Best variant on validation: bce+kd"


def test_only_seeds_that_all_have_are_compared(trained):
    trained("bce", (0.1, 0.5))
    trained("bce", (0.1, 1.0), seed=1)
    run = trained("bce+kd", (0.1, 0.6))
    assert choose_variant(run, VARIANTS) == ("bce+kd", BEST_VARIANT)


def test_of_equal_ones_the_first_wins(trained):
    trained("bce", (0.1, 0.5))
    run = trained("bce+kd", (0.1, 0.5))
    assert choose_variant(run, VARIANTS).variant == "bce"


def test_a_difference_by_rounding_is_none(trained):
    trained("bce", (0.1, 0.41666666666666663))
    run = trained("bce+kd", (0.1, 0.4166666666666667))
    assert choose_variant(run, VARIANTS).variant == "bce"


@pytest.mark.parametrize("chosen_on", ["none", "the test split", "mean of epochs 2 to 3"])
def test_without_validation_scores_it_is_the_last(trained, chosen_on):
    trained("bce", (0.1, 0.9), chosen_on=chosen_on)
    run = trained("bce+kd", (0.1, 0.2), chosen_on=chosen_on)
    assert choose_variant(run, VARIANTS) == ("bce+kd", LAST)
    assert choose_variant(run, VARIANTS[::-1]) == ("bce", LAST)


def test_an_empty_history_has_no_score(trained):
    trained("bce", (), kept=0)
    run = trained("bce+kd", (0.1, 0.2))
    assert choose_variant(run, VARIANTS) == ("bce+kd", LAST)


def test_one_trained_variant_and_none(trained, tmp_path):
    assert choose_variant(tmp_path, VARIANTS) == ("bce+kd+sp", LAST)
    assert choose_variant(trained("bce", (0.1, 0.2)), VARIANTS) == ("bce", ONLY)


def test_a_damaged_file_is_named(trained):
    trained("bce", (0.1, 0.2))
    run = trained("bce+kd", (0.1, 0.2))
    folder = run / "student/bce/seed_0/fold_0"
    (folder / "history.csv").write_text("epoch,score\n1,0.9\n2,0.9\n")
    with pytest.raises(UserError, match=r"history\.csv: changed or damaged"):
        choose_variant(run, VARIANTS)
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"metrics\.json: changed or damaged"):
        choose_variant(run, VARIANTS)
    write_record(folder / "metrics.json", {}, {})
    with pytest.raises(UserError, match=r"metrics\.json: without .*of another version"):
        choose_variant(run, VARIANTS)
