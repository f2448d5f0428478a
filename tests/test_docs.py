"""Every command of README, in its order, in one place with tiny recordings.

What the page cannot have here is replaced, and nothing else: see REPLACED and `place`.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from config import load
from data.datasets.csv_folder import CsvFolder
from data.synthesis.corpus import synthesise
from tests.scripts import ROOT, environment, run, workplace

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SCRIPTS = ["make_mel.py", "train_teacher.py", "train_student.py"]
STARTS = ("python ", "torchrun ", "tensorboard ", "arecord ", "make ")
COMMANDS = [
    line.partition("  #")[0].strip()
    for kind, block in BLOCKS
    if kind == ""
    for line in block.splitlines()
    if line.startswith(STARTS)
]
TINY = (
    "--set teacher.epochs=1 --set student.epochs=1 --set teacher.width_mult=0.05 --set run.seeds=0"
)
TINY += " --set data.clip_seconds=0.5 --set run.workers=1"
PREDICTIONS = "runs/ust_dcase_small/student/bce/seed_0/fold_0/predictions.csv"
REPLACED = {
    "make ": "make --dry-run --directory HERE ",  # what it would do; the rest of the tests do it
    "--download": "",  # the recordings of SONYC-UST are of its layout, and synthesised
    "recipes/ust_dcase_small.ini": f"recipes/ust_dcase_small.ini {TINY}",
    "recipes/specialists_street.ini": "recipes/specialists_street.ini --help",  # takes minutes
    "recipes/cmkd_esc10.ini": "recipes/cmkd_esc10.ini --help",  # takes an hour
    "--logdir": "--inspect --logdir",  # without a server
    "pip install": "pip install --dry-run --no-index",  # they are there already
    "--nproc-per-node 4": "--nproc-per-node 1",  # tests/training/test_distributed.py has two
    "--nnodes 2": "--nnodes 1",
    "FIRST:29500": "localhost:PORT",
    "PREDICTIONS ANNOTATIONS": f"{PREDICTIONS} audio/sonyc_ust/annotations.csv",
    "TAXONOMY": "audio/sonyc_ust/dcase-ust-taxonomy.yaml",
}
STAND_INS = {  # programs of other machines, found before theirs
    "python": f'exec {sys.executable} "$@"',
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    "arecord": "head -c 96000 /dev/urandom",
    "scontrol": "printf 'FIRST\\nSECOND\\n'",
    "srun": 'echo "$@"',
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = workplace(tmp_path_factory.mktemp("readme"), "multi_label")
    text = (folder / "config.ini").read_text().replace("CLIP_SECONDS = 0.5", "CLIP_SECONDS = 1")
    (folder / "config.ini").write_text(text.replace("EPOCHS = 3", "EPOCHS = 1"))
    for name in ("recipes", *(p.name for p in ROOT.glob("*.py")), "requirements-web.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, does in STAND_INS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / "bin" / name).chmod(0o755)
    (own_teacher,) = (block for kind, block in BLOCKS if kind == "python")
    (folder / "my_teacher.py").write_text(own_teacher)
    (section,) = (block for kind, block in BLOCKS if kind == "ini" and "my_teacher" in block)
    text = (folder / "config.ini").read_text()
    own = re.sub(r"\[teacher\].*?(?=\[student\])", lambda _: section, text, flags=re.DOTALL)
    (folder / "own.ini").write_text(own)
    layers = {"1": nn.Linear(98 * 16, 64), "3": nn.Linear(64, 2)}
    torch.save(nn.ModuleDict(layers).state_dict(), folder / "my_teacher.pt")
    shutil.copy(folder / "recordings/test_02.wav", folder / "street.wav")
    corpus = {"train": 24, "validate": 8, "test": 0, "seconds": 0.5}
    synthesise(folder / "audio/sonyc_ust", workers=1, **corpus)
    return folder


def shell(place, command, **options):
    path = os.pathsep.join(
        [str(place / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    own = {"PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        ["bash", "-c", f"set -eo pipefail; {command}"],
        cwd=place,
        env=environment() | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def done(place, command):
    process = shell(place, command)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 0, f"{command}\n{printed}"
    return printed


def replaced(command):
    for found, by in REPLACED.items():
        command = command.replace(found, by)
    return command.replace("PORT", free_port()).replace("HERE", str(ROOT))


def test_there_are_commands():
    assert len(COMMANDS) > 30
    assert {command.partition(" ")[0] + " " for command in COMMANDS} == set(STARTS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(place, command):
    if "--web" in command:
        pytest.importorskip("gradio")
        serves_until_it_is_interrupted(place, command)
    elif script := re.fullmatch(r"python (\w+\.py|-m (?!pip)[\w.]+)([^|]*)", replaced(command)):
        run(place, script[1], *shlex.split(script[2]))
    else:
        done(place, replaced(command))
    exported = place / "runs/config/student/bce+kd+sp/seed_0/fold_0/int8.onnx"
    if exported.exists() and not (place / "student.onnx").exists():
        for name in ("student.onnx", "teacher.onnx", "a.onnx", "b.onnx"):
            shutil.copy(exported, place / name)


def serves_until_it_is_interrupted(place, command):
    process = shell(place, f"exec {command} --port {free_port()}", start_new_session=True)
    printed = [process.stdout.readline()]
    while "is ready" not in printed[-1]:
        assert printed[-1], "".join(printed)
        printed.append(process.stdout.readline())
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130


def test_the_slurm_job_starts_the_three_scripts_as_the_page_does(place):
    """Each with a command that runs above, but for the name that Slurm gives the job."""
    (job,) = (block for kind, block in BLOCKS if "SBATCH" in block)
    (place / "job.sh").write_text(job)
    settings = "SLURM_JOB_NODELIST=first,second SLURM_NNODES=2 SLURM_JOB_ID=7"
    started = done(place, f"{settings} bash job.sh").splitlines()
    assert [line.split()[-1] for line in started] == SCRIPTS
    (shown,) = (command for command in COMMANDS if "--nnodes" in command)
    own = [".venv/bin/" + shown.replace("train_student.py", script) for script in SCRIPTS]
    assert [line.replace(" --rdzv-id 7", "") for line in started] == own


def test_the_folder_of_own_recordings_is_read_as_shown(tmp_path):
    (settings,) = (block for kind, block in BLOCKS if kind == "ini" and "[data]" in block)
    (listed,) = (block for kind, block in BLOCKS if block.startswith("filename,"))
    (tmp_path / "clips.csv").write_text(listed)
    (tmp_path / "config.ini").write_text(settings)
    data = load(tmp_path / "config.ini").data
    assert (data.dataset, data.root, data.clip_seconds) == (
        "csv_folder",
        "/where/the/folder/lies",
        5,
    )
    table = CsvFolder(task=data.options["task"]).table(tmp_path)
    assert table.classes == ("dog", "siren")
    assert table.frame["split"].tolist() == ["test", "train", "validate"]


@pytest.mark.parametrize("settings", [block for kind, block in BLOCKS if kind == "ini"])
def test_settings_are_known(tmp_path, settings):
    (tmp_path / "config.ini").write_text(settings)
    load(tmp_path / "config.ini")


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
