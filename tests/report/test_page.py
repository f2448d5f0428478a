"""The page without a browser: its figures, missing files, and names given by users."""

from __future__ import annotations

import contextlib
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import export_student
import report.page
import train_student
import training.logits.__main__
from config import UserError, run_script
from report.__main__ import main
from report.choice import choose_variant
from report.page import page
from report.run import Predictions, Run, System
from report.sections import activations, cost, groups, learning, mistakes, scores, similarity
from report.sections import settings as settings_section
from report.sections.confusion import confusions
from report.sections.settings import differences
from report.significance import all_in_words, signed_rank
from report.trained import trained
from tests.report.conftest import HIGH, LOW, RUN, name_a_file
from tests.resealed import reseal
from tests.scripts import ROOT, environment


def made(place: Path) -> str:
    with contextlib.chdir(place):
        return page([Run(RUN)])


@pytest.fixture(scope="module")
def pages(tags, scenes) -> dict[str, str]:
    return {"tags": made(tags), "scenes": made(scenes)}


def test_training_students_writes_the_page(tags, pages):
    assert (tags / RUN / "report.html").read_text() == pages["tags"]


@pytest.mark.parametrize("name", ["tags", "scenes"])
def test_every_section_is_there(pages, name):
    assert "Not shown" not in pages[name]
    assert pages[name].count("<h2>") == 9
    assert pages[name].count("<audio") >= 2
    assert len(pages[name]) < 3_000_000


@pytest.mark.parametrize("name", ["tags", "scenes"])
def test_the_figures_are_those_of_results_csv(pages, name, request):
    results = pd.read_csv(request.getfixturevalue(name) / RUN / "results.csv")
    metrics = [metric for metric in results["metric"].unique() if " " not in metric]
    assert len(metrics) >= 4
    shown = set(re.findall(r"<td[^>]*>([^<]*)</td>", pages[name]))
    for _, rows in results[results["metric"].isin(metrics)].groupby(["metric", "role", "variant"]):
        if rows["value"].abs().max() < 1e9:
            assert f"{rows['value'].mean():.4f} ± {rows['value'].std():.4f}" in shown
    metric = metrics[0] if name == "scenes" else "mean_average_precision"
    students = results[(results["metric"] == metric) & (results["role"] == "student")]
    by_variant = students.set_index(["seed", "fold"]).groupby("variant")["value"]
    label = "ce" if name == "scenes" else "bce"
    base = by_variant.get_group(label)
    variants = (f"{label}+kd", f"{label}+kd+sp")
    tests = [signed_rank(by_variant.get_group(variant) - base) for variant in variants]
    assert shown.issuperset(all_in_words(tests))


def test_significance_of_few_seeds_states_its_lowest_p(pages):
    assert "With n = 3, p is at least 0.25" in pages["tags"]
    assert "Folds share most of their training clips" in pages["scenes"]


def test_names_of_users_are_text(pages):
    assert "<script>alert" not in pages["tags"]
    unquoted = pages["tags"].replace("&#39;", "'").replace("&#34;", '"')
    assert html.escape(LOW, quote=False) in unquoted
    assert html.escape(HIGH) in pages["tags"]
    assert pages["tags"].count("<script") == 1


def test_nothing_is_fetched(pages):
    for text in pages.values():
        links = re.findall(r'(?:src|href)="([^"]*)"', text)
        assert links
        assert all(link.startswith(("#", "data:")) for link in links)


def test_another_process_writes_the_same_bytes(scenes, pages):
    command = [sys.executable, "-m", "report", str(RUN)]
    paths = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        command, cwd=scenes, env=environment() | paths, capture_output=True, text=True, check=True
    )
    assert done.stdout == "runs/config/report.html\n"
    assert done.stderr == ""
    assert (scenes / RUN / "report.html").read_text() == pages["scenes"]


def test_bars_by_device_and_by_class(tags):
    with contextlib.chdir(tags):
        run = Run(RUN)
        pictures = groups.section(run).blocks[0].pictures
        assert [picture.name for picture in pictures] == ["bars-class", "bars-device"]
        assert ">phone<" in pictures[1].svg
        predictions = run.predictions(run.best, 3)
        devices = run.table.columns["device"][:][predictions.rows]
        assert groups.score_of(run, predictions, devices == "phone") != pytest.approx(
            groups.score_of(run, predictions, devices == "sensor")
        )


def test_no_axis_of_accuracy_goes_beyond_1():
    found = {"all": np.array([1.0, 1.0]), "some": np.array([0.9, 1.0])}
    system = System("student", "ce", "yamnet", 1)
    pictures = [groups.bars("class", "by class", {system: found}, list(found), "accuracy")]
    ticks = re.findall(r">(\d\.\d+)<", pictures[0].svg)
    assert max(map(float, ticks)) == 1.0


def test_scenes_have_a_table_of_each_class(scenes, tags):
    """Of results.csv, against the accuracy of the predictions of each fold."""
    with contextlib.chdir(scenes):
        run = Run(RUN)
        table = groups.section(run).blocks[1]
        assert [row[0].text for row in table.rows] == ["class high", "class low"]
        assert [row[1].value for row in table.rows] == [12, 12]
        parts = [
            run.predictions(run.best, seed, [fold]) for seed in run.seeds for fold in run.folds
        ]
        of_class = [part.targets[:, run.table.classes.index("low")] for part in parts]
        right = [
            (part.probabilities.argmax(1) == part.targets.argmax(1))[own].mean()
            for part, own in zip(parts, of_class, strict=True)
        ]
        place = table.head.index(f"{run.best.label} accuracy")
        assert table.rows[1][place].value == pytest.approx(np.mean(right))
    with contextlib.chdir(tags):
        assert len(groups.section(Run(RUN)).blocks) == 1, "tags have none"


def test_folds_are_evaluated_together(scenes):
    with contextlib.chdir(scenes):
        run = Run(RUN)
        assert sorted(run.predictions(run.best, 0).rows) == list(range(24))
        assert "24 test clips, seed 0, all 2 folds." in str(mistakes.section(run))


def test_similarities_are_normalised_and_sorted_by_class(scenes):
    with contextlib.chdir(scenes):
        run = Run(RUN)
        rows, _ = similarity.sorted_clips(run)
        labels = run.table.targets[rows].argmax(axis=1).tolist()
        assert labels == sorted(labels)
        matrix = similarity.similarities(run, run.teacher, rows)
        assert (matrix**2).sum(axis=1) == pytest.approx(1)
        assert (matrix.diagonal() > 0).all()


def test_confusions_of_tags_by_hand():
    # Clip 1: the first is missed, the third falsely predicted. Clip 2: all is right.
    probabilities = np.array([[0.1, 0.9, 0.8], [0.9, 0.1, 0.1]])
    targets = np.array([[1, 1, 0], [1, 0, 0]]) > 0
    expected = np.zeros((3, 3))
    expected[0, 2] = 1
    assert (
        confusions(Predictions(np.arange(2), probabilities, targets), "multi_label") == expected
    ).all()


def test_without_features_the_other_sections_are_made(copy, capsys):
    shutil.rmtree("features")
    assert main([str(RUN)]) == 0
    text = (RUN / "report.html").read_text()
    assert text.count("Not shown: features/csv_folder") >= 4
    assert "run make_mel.py with this configuration first" in text
    assert "learning-" in text or "epoch" in text
    assert text.count("<svg") >= 6


def test_without_recordings_there_is_no_sound(copy):
    shutil.rmtree("recordings")
    text = made(copy)
    assert "<audio" not in text
    assert text.count("No sound: recordings/") >= 2
    assert "Not shown" not in text


def test_without_a_teacher_or_its_weights(copy):
    weights = next(RUN.glob("teacher/seed_0/fold_1/weights.safetensors"))
    weights.unlink()
    with pytest.raises(UserError, match=r"no weights\.safetensors of teacher, seed 0"):
        similarity.section(Run(RUN))
    results = pd.read_csv(RUN / "results.csv")
    results[results["role"] == "student"].to_csv(RUN / "results.csv", index=False)
    text = made(copy)
    assert "its teacher" not in text
    assert "Not shown" not in text


def test_with_a_teacher_alone(copy):
    results = pd.read_csv(RUN / "results.csv")
    results[results["role"] == "teacher"].to_csv(RUN / "results.csv", index=False)
    text = made(copy)
    assert "No student has been trained yet." in text
    assert text.count("Not shown") == 1


def test_a_teacher_alone_has_curves_and_bars(tags, monkeypatch):
    monkeypatch.chdir(tags)
    run = Run(RUN)
    run.systems = [run.teacher]
    assert len(mistakes.section(run).blocks[1].pictures) == 2
    assert len(groups.section(run).blocks[0].pictures) == 2
    assert "Score and size" in str(cost.section([run]))


@pytest.mark.parametrize("costs", [[5e4], [5e4, 5e4], [1e3, 1e6]])
def test_an_axis_of_one_cost_has_room_on_both_sides(costs):
    low, high = cost.limits(np.array(costs))
    assert 0 < low < min(costs) / 1.2
    assert high > max(costs) * 1.2
    assert low * high == pytest.approx(min(costs) * max(costs)), "the middle stays the middle"


def test_a_model_without_maps_over_the_mel_is_named(scenes, monkeypatch):
    monkeypatch.chdir(scenes)
    original = activations.trained

    def of_logits(run, system):
        model, features = original(run, system)
        if system == run.best:
            forward = model.forward
            model.forward = lambda x: (found := forward(x))._replace(maps=(found.logits,))
        return model, features

    monkeypatch.setattr(activations, "trained", of_logits)
    blocks = activations.section(Run(RUN)).blocks
    assert [block.kind for block in blocks].count("pictures") == 3
    assert "a feature map of 2 has no place on the mel" in str(blocks)


def test_a_teacher_that_was_not_trained_has_no_curves(copy):
    for path in RUN.glob("teacher/**/history.csv"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
        reseal(path.parent)
    run = Run(RUN)
    histories = {system: run.histories(system) for system in run.systems}
    assert learning.curves(histories, "ce")[run.teacher] == []
    assert len(learning.section(run).blocks[0].pictures) == 5


def test_further_roles_appear(copy):
    results = pd.read_csv(RUN / "results.csv")
    new = results[results["role"] == "teacher"].assign(role="specialist_1", variant="ce")
    ensemble = results[results["role"] == "teacher"].assign(role="ensemble", weight_bytes=0)
    pd.concat([results, new, ensemble]).to_csv(RUN / "results.csv", index=False)
    text = made(copy)
    assert "specialist_1 ce dcase_small" in text
    assert "ensemble ce dcase_small" in text
    assert "Not shown" not in text


def test_one_seed_and_fold(copy):
    results = pd.read_csv(RUN / "results.csv")
    one = results[(results["seed"] == 0) & (results["fold"] == 1)]
    one.to_csv(RUN / "results.csv", index=False)
    run = Run(RUN)
    blocks = str([scores.section([run]), cost.section([run]), groups.section(run)])
    assert "n = 1, not tested" in blocks
    assert not re.search(r"\bnan\b", blocks)


def test_several_runs_are_compared(copy, capsys):
    shutil.copytree(RUN, "runs/other")
    results = pd.read_csv("runs/other/results.csv")
    results.loc[results["role"] == "student", "value"] += 0.25
    results.loc[results["role"] == "student", "weight_bytes"] //= 2
    results.to_csv("runs/other/results.csv", index=False)
    settings = Path("runs/other/config.ini")
    settings.write_text(
        settings.read_text().replace("learning_rate = 0.003", "learning_rate = 0.1")
    )
    before = (RUN / "report.html").read_bytes()
    assert main([str(RUN), "runs/other"]) == 0
    assert capsys.readouterr().out == "runs/config/comparison.html\n"
    assert (RUN / "report.html").read_bytes() == before
    text = (RUN / "comparison.html").read_text()
    assert "<h1>config and other</h1>" in text
    assert "+0.2500 ± 0.0000" in text
    assert "p = 0.12, n = 4" in text
    runs = [Run(RUN), Run(Path("runs/other"))]
    assert len(scores.every_metric(runs).rows) == 8
    assert len(cost.section(runs).blocks[0].pictures) == 2
    assert differences(runs) == [
        ["[teacher] learning_rate", "0.003", "0.1"],
        ["[student] learning_rate", "0.003", "0.1"],
    ]
    assert "All settings are equal" in str(settings_section.section([runs[0], runs[0]]))


def test_the_head_has_the_data_the_date_and_the_chosen_variant(scenes, pages):
    with contextlib.chdir(scenes):
        run = Run(RUN)
        day = run.date.isoformat()
        assert run.choice == choose_variant(RUN, run.config.distillation.variants)
    assert f"<title>config – csv_folder, accuracy, {day}</title>" in pages["scenes"]
    assert f'<p class="subtitle">csv_folder, accuracy, {day}</p>' in pages["scenes"]
    assert f"Best variant on validation: {run.best.variant}. The student" in pages["scenes"]


def test_the_best_variant_does_not_follow_test_scores(copy):
    before = Run(RUN).best
    results = pd.read_csv(RUN / "results.csv")
    results.loc[results["variant"] == before.variant, "value"] = 0.0
    results.to_csv(RUN / "results.csv", index=False)
    assert Run(RUN).best == before


def test_precisions_of_a_variant_have_one_colour(copy):
    results = pd.read_csv(RUN / "results.csv")
    students = results[results["role"] == "student"]
    quantised = [students.assign(role=f"student@{precision}") for precision in ("float16", "int8")]
    pd.concat([results, *quantised]).to_csv(RUN / "results.csv", index=False)
    systems = Run(RUN).systems
    assert len(systems) == 10
    for variant in ("ce", "ce+kd", "ce+kd+sp"):
        of_variant = [s for s in systems if s.variant == variant and s.role != "teacher"]
        assert len({system.look for system in of_variant}) == 1
        assert {s.precision for s in of_variant} == {"float32", "float16", "int8"}
    assert len({system.look for system in systems}) == 4


def test_intervals_contain_their_scores(scenes):
    with contextlib.chdir(scenes):
        run = Run(RUN)
        found, about = scores.bootstrap(run)
        assert "samples of the groups of the test clips (recordings, " in about
        assert "with replacement within each fold" in about
        for system in run.systems:
            low, high = found[system.role, system.variant, system.model]
            assert low <= run.scores(system)["value"].mean() <= high


def test_one_group_in_a_fold_has_no_interval(scenes, monkeypatch):
    monkeypatch.setattr(Run, "groups", lambda run, rows: np.zeros(len(rows), int))
    with contextlib.chdir(scenes):
        found, about = scores.bootstrap(Run(RUN))
    assert not found
    assert about == "No intervals: the test clips of a fold are all of one group."


def test_without_features_there_are_no_intervals(copy):
    shutil.rmtree("features")
    found, about = scores.bootstrap(Run(RUN))
    assert not found
    assert about.startswith("No intervals: features/csv_folder")


def error_of(capsys, *runs: str) -> str:
    assert main(list(runs)) == 1
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert printed.count("\n") == 1
    return printed


def test_a_folder_that_is_not_a_run_is_an_error_of_one_line(copy, capsys):
    assert "runs/nowhere: no config.ini" in error_of(capsys, "runs/nowhere")
    assert "two of the runs are named config" in error_of(capsys, str(RUN), str(RUN))
    shutil.copytree(RUN, "runs/other")
    results = (RUN / "results.csv").read_text()
    Path("runs/other/results.csv").write_text(results.splitlines()[0] + "\n")
    assert "no row of accuracy; train first" in error_of(capsys, "runs/other")
    text = Path("runs/other/config.ini").read_text()
    Path("runs/other/config.ini").write_text(text.replace("[data]", "[data]\nmetric = log_loss"))
    Path("runs/other/results.csv").write_text(results)
    assert "are not comparable: accuracy on csv_folder and log_loss on csv_folder" in error_of(
        capsys, str(RUN), "runs/other"
    )
    Path("runs/other/results.csv").unlink()
    assert "no results.csv" in error_of(capsys, "runs/other")


def test_training_succeeds_even_if_its_page_fails(copy, capsys, monkeypatch):
    monkeypatch.setattr(report.page, "page", lambda runs: "")
    (RUN / "report.html").unlink()
    (RUN / "report.html").mkdir()
    train_student.show_page(RUN)
    printed = capsys.readouterr().err
    assert printed.startswith("no page: ")
    assert "python -m report runs/config" in printed
    assert "Traceback" not in printed
    assert not list(RUN.glob(".report*"))

    def broken(folders, own):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(report.page, "write_page", broken)
    train_student.show_page(RUN)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "no page: a mistake of ours" in printed


def test_predictions_of_other_clips_are_an_error(copy):
    path = next(RUN.glob("student/ce/seed_0/fold_1/predictions.csv"))
    path.write_text(path.read_text().replace("1_00.wav", "9_99.wav"))
    run = Run(RUN)
    with pytest.raises(UserError, match=r"predictions\.csv: changed or damaged, .*; remove runs"):
        run.predictions(run.baseline, 0)
    reseal(path.parent)
    with pytest.raises(UserError, match="its clips or classes are not those of the features"):
        run.predictions(run.baseline, 0)


def test_files_that_weights_name_are_run_only_if_the_configuration_does(copy, monkeypatch):
    for path in RUN.rglob("weights.safetensors"):
        name_a_file(path)
    drawn = []
    monkeypatch.setattr(report.page, "page", lambda runs: drawn.extend(runs) or "")
    assert main([str(RUN), "--config", "absent.ini"]) == 0
    with pytest.raises(UserError, match=r"its model is foreign\.py:build, and a file is run only"):
        trained(drawn[0], drawn[0].best)
    assert not Path("was_run").exists()
    Path("config.ini").write_text("[student]\nMODEL = foreign.py:build\n")
    assert main([str(RUN)]) == 0
    trained(drawn[1], drawn[1].best)
    assert Path("was_run").exists()


def test_export_and_logits_run_no_file_that_only_weights_name(copy, capsys, monkeypatch):
    for path in RUN.rglob("weights.safetensors"):
        name_a_file(path)
    message = "its model is foreign.py:build, and a file is run only if MODEL"
    assert training.logits.__main__.main([f"{RUN}/teacher", "logits"]) == 1
    assert message in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["export_student.py"])
    with pytest.raises(SystemExit, match="1"):
        run_script(export_student.main, export_student.parser())
    assert message in capsys.readouterr().err
    assert not Path("was_run").exists()
