"""Two processes (gloo, torchrun) against one."""

import multiprocessing
import shutil
import time

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from config import ConfigError
from tests.scripts import PRELOADED, ROOT, kill_when, run, workplace
from tests.training.gradients import CASES, gradients
from training import distributed, ensembles, run_folder

AUGMENT = "[augment]\nMIXUP_ALPHA = 0.3\nROLL_SECONDS = 0.1\nCROP_SECONDS = 0.4\n"
SETTINGS = (
    *("--set", "distillation.variants=ce+kd+sp"),
    *("--set", "student.epochs=12"),
    *("--set", "student.batch_size=5"),  # of 12 clips: shares of 2 and 3, and of 1 and 1
)
FILES = ["history.csv", "metrics.json", "predictions.csv", "tensorboard", "weights.safetensors"]


def two_processes(*arguments, status=0):
    return run(ROOT, "-m tests.training.gradients", *arguments, status=status, processes=2)


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """The results of each of two processes."""
    file = tmp_path_factory.mktemp("gradients") / "found"
    two_processes(str(file))
    return [torch.load(f"{file}.{rank}") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_losses_and_gradients_of_one(shares, case):
    alone = gradients(case)
    assert alone[0]["sp"] > 0
    for share in shares:
        assert len(share[case]) == len(alone) == 3
        for one, two in zip(alone, share[case], strict=True):
            assert one.keys() == two.keys()
            for name, wanted in one.items():
                scale = wanted.abs().max().item()
                assert (two[name] - wanted).abs().max() <= 1e-5 * scale + 1e-7, name


def test_every_process_has_the_same_bits(shares):
    first, second = shares
    for case in CASES:
        for one, two in zip(first[case], second[case], strict=True):
            assert all(torch.equal(one[name], two[name]) for name in one)


def test_one_process_that_fails_does_not_leave_the_other_waiting(tmp_path):
    printed = two_processes(str(tmp_path / "found"), "1", status=1)
    assert printed.count("the disk is full") == 1
    assert "[rank" not in printed, "the traceback of the other process is of no use to the user"


# Files --------------------------------------------------------------------------------------------


def write_slowly_and_read(folder, rank):
    """Rank 0 takes a while to write the files of a training and of ensembles; both read them."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    write = run_folder.write_finished

    def write_late(*arguments):
        time.sleep(0.5 * (rank == 0))
        write(*arguments)

    run_folder.write_finished = write_late
    training = run_folder.TrainingFolder(folder / "training", {})
    training.finish({}, {}, pd.DataFrame(), pd.DataFrame(), {"epochs": 1})
    assert training.finished()["epochs"] == 1
    ensembles.write_ensembles = lambda *_: write_late(folder, {}, {})
    ensembles.combine(None, 0)
    assert (folder / run_folder.METRICS).exists()
    dist.destroy_process_group()


def test_no_process_goes_on_before_all_files_are_written(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    both = [context.Process(target=write_slowly_and_read, args=(tmp_path, n)) for n in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]


# The scripts --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    place = workplace(tmp_path_factory.mktemp("one"), extra=AUGMENT)
    for script in ("make_mel.py", "train_teacher.py", "train_student.py"):
        run(place, script, *SETTINGS)
    return place


def without_runs(place, folder):
    for name in ("recordings", "features"):
        shutil.copytree(place / name, folder / name)
    shutil.copy(place / "config.ini", folder)
    return folder


def near(one, two, role):
    """Both have one training of the role with nearly the same weights, history and predictions."""
    (first,), (second,) = (place.glob(f"runs/config/{role}/**/fold_0") for place in (one, two))
    assert sorted(path.name for path in second.iterdir()) == FILES
    weights = load_file(first / "weights.safetensors")
    for name, tensor in load_file(second / "weights.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4, msg=name)
    for file, exact in (("history.csv", ["epoch"]), ("predictions.csv", ["audio_filename"])):
        wanted, found = pd.read_csv(first / file), pd.read_csv(second / file)
        assert found[exact].equals(wanted[exact])
        numbers = [name for name in wanted if name not in (*exact, "seconds")]
        difference = (found[numbers] - wanted[numbers]).abs().max()
        assert (difference < 1e-3).all(), difference


def test_a_training_under_torchrun_equals_that_of_one_process(one_process, tmp_path):
    two = without_runs(one_process, tmp_path)
    printed = run(two, "train_teacher.py", *SETTINGS, processes=2)
    near(one_process, two, "teacher")
    assert printed.count("\nsystem ") == 1
    assert printed.count("epoch 3 of 3") == 1

    checkpoint = "runs/config/student/**/checkpoint.pt"
    kill_when(two, "train_student.py", checkpoint, *SETTINGS, processes=2)
    assert list(two.glob(checkpoint)), "the student had time to finish"
    run(two, "train_student.py", *SETTINGS)
    near(one_process, two, "student")


def test_an_error_of_all_processes_is_printed_once(one_process):
    wrong = ("--set", "student.epochs=many")
    printed = run(one_process, "train_student.py", *wrong, processes=2, status=1)
    assert printed.count("found 'many', expected a whole number") == 1


# One process --------------------------------------------------------------------------------------


def test_a_single_process_gathers_nothing():
    tensor, model = torch.ones(3), torch.nn.Linear(2, 2)
    assert distributed.gather(tensor, 3) is tensor
    assert distributed.data_parallel(model, []) is model
    with distributed.processes("cuda:7"):
        assert (distributed.rank(), distributed.world()) == (0, 1)


@pytest.mark.parametrize(
    ("chosen", "local", "printed"),
    [
        ("mps", "0", "'mps', expected cpu"),
        ("cuda:1", "0", "expected cpu"),
        ("cuda", "2", "3 processes on 2"),
    ],
)
def test_too_few_devices_for_the_processes_are_an_error(monkeypatch, chosen, local, printed):
    monkeypatch.setattr(distributed, "choose_device", torch.device)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", local)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match=printed):
        distributed.process_device(chosen)
