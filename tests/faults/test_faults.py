"""A few trials of the harness; `make torture` runs many."""

from random import Random

import pytest

from tests.faults import FAULTS, QUICK
from tests.faults.damage import damage
from tests.faults.place import Ended, Lost, check_results, clear_line, copied

FEW = 3
SCRIPTED = {  # fault -> the number of its trial
    "SIGKILL of `train_teacher.py` at any change of a file": 1,
    "SIGKILL of `train_student.py` at any change of a file": 1,
    "SIGTERM of `make_mel.py` at any change of a file": 0,
    "full disk, at any byte, under `train_teacher.py`": 1,
    "teacher: a file is flipped": 0,
    "`make_mel.py` beside `make_mel.py`": 0,
    "hostile initial weights": 0,
}


@pytest.mark.parametrize("name", QUICK)
def test_quick_faults(name, tmp_path):
    for number in range(FEW * (5 if "keys" in name else 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        FAULTS[name](Random(f"{name} 0 {number}"), folder)


@pytest.mark.parametrize("name", SCRIPTED)
def test_faults_under_a_script(name, tmp_path):
    FAULTS[name](Random(f"{name} 0 {SCRIPTED[name]}"), tmp_path)


@pytest.mark.parametrize("way", ["flipped", "deleted"])
def test_another_result_is_noticed(tmp_path, way):
    place = copied(tmp_path, "features", "runs")
    check_results(place)
    damage(Random(0), place / "runs/config/student/ce/seed_0/fold_0/predictions.csv", way)
    with pytest.raises(Lost, match="other results .*: runs/config/student/ce/.*/predictions.csv"):
        check_results(place)


def test_a_leftover_is_noticed(tmp_path):
    place = copied(tmp_path, "features", "runs")
    (place / "runs/config/.config.ini.7").touch()
    with pytest.raises(Lost, match="left behind: runs/config/.config.ini.7"):
        check_results(place)


def test_a_status_without_a_message_is_noticed():
    ended = Ended(1, "make_mel.py: no such file\n")
    assert clear_line(ended, "make_mel.py") == "make_mel.py: no such file"
    with pytest.raises(Lost, match="status 1 without one clear line"):
        clear_line(Ended(1, "oh\n"), "make_mel.py")
