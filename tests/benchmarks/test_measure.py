import argparse
import csv
import json

import pytest

from benchmarks import measure


def test_contenders_alternate_and_every_other_round_is_reversed():
    order = []
    contenders = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = measure.alternate(contenders, 3)
    assert "".join(order) == "abccbaabc"
    assert [len(values) for values in seconds.values()] == [3, 3, 3]
    assert all(value >= 0 for values in seconds.values() for value in values)


def test_a_contender_may_measure_itself():
    times = iter([3.0, 1.0, 2.0])
    assert measure.medians(measure.alternate({"a": lambda: next(times)}, 3)) == {"a": 2.0}


@pytest.mark.parametrize("csv_option", [False, True])
def test_the_last_line_is_one_json_object_and_a_row_is_stored_with_csv(
    tmp_path, monkeypatch, capsys, csv_option
):
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(measure, "hardware", lambda: "a machine, 2 cores")
    figures = {"ratio": 1 / 3, "clips": 200}
    for _ in range(2):
        arguments = argparse.Namespace(csv=csv_option)
        measure.report("x", arguments, ("who", "ms"), [("ours", 12.3456)], figures)
    *above, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {"ratio": 0.33333, "clips": 200}
    assert above[-4:] == ["benchmarks.x on a machine, 2 cores", "who      ms", "-" * 11] + [
        "ours  12.35"
    ]
    results = tmp_path / "results" / "x.csv"
    assert results.exists() == csv_option
    if csv_option:
        with results.open() as file:
            rows = list(csv.DictReader(file))
        assert [row["ratio"] for row in rows] == ["0.33333", "0.33333"]
        assert rows[0]["hardware"] == "a machine, 2 cores"


def test_a_file_with_other_columns_is_not_changed(tmp_path):
    (tmp_path / "x.csv").write_text("date,hardware,old\n")
    with pytest.raises(SystemExit, match="old"):
        measure.append(tmp_path / "x.csv", [{"date": 1, "hardware": 2, "new": 3}])
    assert (tmp_path / "x.csv").read_text() == "date,hardware,old\n"
