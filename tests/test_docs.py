"""Every command of README.md and docs/, each once, in the order of the pages, on tiny recordings.

Commands run in one folder, `place`. REPLACED and STAND_INS list what differs from the page: what
would need a network, hours, or other machines.
"""

import json
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
import yaml
from torch import nn

from config import SECTIONS, key_fields, load
from config.renamed import successor
from data.datasets import DATASETS
from data.datasets.csv_folder import CsvFolder
from data.synthesis.corpus import synthesise
from losses import LOSSES
from models import MODELS
from models.stored import read_description
from report.configuration import option_names
from tests.scripts import ROOT, environment, run, workplace

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
SCRIPTS = ["make_mel.py", "train_teacher.py", "train_student.py"]
STARTS = ("python ", "torchrun ", "tensorboard ", "arecord ", "make ")
TINY = (
    "--set teacher.epochs=1 --set student.epochs=1 --set teacher.width_mult=0.05 --set run.seeds=0"
    " --set data.clip_seconds=0.5 --set run.workers=1"
)
PREDICTIONS = "runs/ust_dcase_small/student/bce/seed_0/fold_0/predictions.csv"
REPLACED = {
    "make ": "make --dry-run --directory HERE ",
    "--download": "",  # the place has synthesised recordings in the layout of SONYC-UST
    "recipes/ust_dcase_small.ini": f"recipes/ust_dcase_small.ini {TINY}",
    "recipes/own_recordings.ini": "recipes/own_recordings.ini --help",  # has a test below
    "recipes/specialists_street.ini": "recipes/specialists_street.ini --help",  # takes minutes
    "recipes/sit_small_scenes.ini": "recipes/sit_small_scenes.ini --help",  # takes minutes
    "recipes/cmkd_esc10.ini": "recipes/cmkd_esc10.ini --help",  # takes an hour
    "-m benchmarks.startup": "-m benchmarks.startup --help",  # takes a minute
    "--logdir": "--inspect --logdir",  # without a server
    "pip install -r requirements-tflite.txt": "pip --version",  # an extra that is not installed
    "--format tflite": "--format tflite --help",
    "pip install": "pip install --dry-run --no-index",  # the packages are installed
    "--push OWNER/NAME": "--push OWNER/NAME --help",  # tests/deploy/test_hub.py has a local Hub
    "hf://OWNER/NAME/int8.onnx": "student.onnx",
    "-m http.server": "-m http.server --help",  # tests/deploy/test_browser_page.py serves the page
    "--format browser": "--format browser --help",  # needs onnxruntime-web
    "./deploy": "--no-build-isolation HERE/deploy",
    "--nproc-per-node 4": "--nproc-per-node 1",  # tests/training/test_distributed.py has two
    "--nnodes 2": "--nnodes 1",
    "FIRST:29500": "localhost:PORT",
    "PREDICTIONS ANNOTATIONS": f"{PREDICTIONS} audio/sonyc_ust/annotations.csv",
    "TAXONOMY": "audio/sonyc_ust/dcase-ust-taxonomy.yaml",
    "logits ensemble.pt": "logits ensemble.pt --help",  # tests/training/logits/ has one
}
STAND_INS = {  # programs of other machines, found before theirs
    "python": f'exec {sys.executable} "$@"',
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    "arecord": "head -c 96000 /dev/urandom",
    "scontrol": "printf 'FIRST\\nSECOND\\n'",
    "srun": 'echo "$@"',
}


def pages() -> list[Path]:
    """README.md and the pages of the site in the order of its navigation."""

    def files(entry):
        if isinstance(entry, str):
            return [ROOT / "docs" / entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [file for inner in entries for file in files(inner)]

    return [ROOT / "README.md", *files(SITE["nav"])]


PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages()}
BLOCKS = [
    block
    for page in PAGES.values()
    for block in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
]


def commands() -> list[str]:
    """Each once; spaces that align columns do not make another command."""
    lines = [line for kind, block in BLOCKS if kind == "" for line in block.splitlines()]
    found = [line.partition("  #")[0] for line in lines if line.startswith(STARTS)]
    return list(dict.fromkeys(" ".join(line.split()) for line in found))


COMMANDS = commands()
INI_BLOCKS = list(dict.fromkeys(block for kind, block in BLOCKS if kind == "ini"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = workplace(tmp_path_factory.mktemp("docs"), "multi_label")
    text = (folder / "config.ini").read_text().replace("CLIP_SECONDS = 0.5", "CLIP_SECONDS = 1")
    (folder / "config.ini").write_text(text.replace("EPOCHS = 3", "EPOCHS = 1"))
    shared = [path.name for path in (*ROOT.glob("*.py"), *ROOT.glob("requirements*.txt"))]
    for name in ("recipes", *shared):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, does in STAND_INS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / "bin" / name).chmod(0o755)
    (own_teacher,) = (block for _, block in BLOCKS if block.startswith("# my_teacher.py"))
    (folder / "my_teacher.py").write_text(own_teacher)
    (section,) = (block for block in INI_BLOCKS if "my_teacher" in block)
    text = (folder / "config.ini").read_text()
    own = re.sub(r"\[teacher\].*?(?=\[student\])", lambda _: section, text, flags=re.DOTALL)
    (folder / "own.ini").write_text(own)
    node = {"id": "0", "name": "low", "child_ids": [], "restrictions": []}
    (folder / "ontology.json").write_text(json.dumps([node]))
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


def output_of(place, command):
    process = shell(place, command)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 0, f"{command}\n{printed}"
    return printed


def replaced(command):
    for found, by in REPLACED.items():
        command = command.replace(found, by)
    return command.replace("PORT", free_port()).replace("HERE", str(ROOT))


def test_there_are_commands_of_every_kind():
    assert len(COMMANDS) > 30
    assert {command.partition(" ")[0] + " " for command in COMMANDS} == set(STARTS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_works(place, command):
    if "--web" in command:
        pytest.importorskip("gradio")
        serves_until_it_is_interrupted(place, command)
    elif script := re.fullmatch(r"python (\w+\.py|-m (?!pip)[\w.]+)([^|]*)", replaced(command)):
        run(place, script[1], *shlex.split(script[2]))
    elif replaced(command).startswith("torchrun "):
        run(place, "-m torch.distributed.run", *shlex.split(replaced(command))[1:])
    else:
        output_of(place, replaced(command))
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


def test_the_slurm_job_starts_the_three_scripts_with_the_documented_command(place):
    (job,) = (block for kind, block in BLOCKS if "SBATCH" in block)
    (place / "job.sh").write_text(job)
    settings = "SLURM_JOB_NODELIST=first,second SLURM_NNODES=2 SLURM_JOB_ID=7"
    started = output_of(place, f"{settings} bash job.sh").splitlines()
    assert [line.split()[-1] for line in started] == SCRIPTS
    (shown,) = (command for command in COMMANDS if "--nnodes" in command)
    own = [".venv/bin/" + shown.replace("train_student.py", script) for script in SCRIPTS]
    assert [line.replace(" --rdzv-id 7", "") for line in started] == own


def test_the_folder_of_own_recordings_is_read_as_documented(tmp_path):
    (settings,) = (block for block in INI_BLOCKS if "csv_folder" in block)
    (listed,) = {block for kind, block in BLOCKS if block.startswith("filename,")}
    (tmp_path / "clips.csv").write_text(listed)
    (tmp_path / "config.ini").write_text(settings)
    data = load(tmp_path / "config.ini").data
    assert (data.dataset, data.root, data.clip_seconds) == ("csv_folder", "/path/to/recordings", 5)
    table = CsvFolder(task=data.options["task"]).table(tmp_path)
    assert table.classes == ("dog", "siren")
    assert table.frame["split"].tolist() == ["test", "train", "validate"]


def test_the_recipe_for_own_recordings_trains_a_student(tmp_path):
    folder = workplace(tmp_path)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    settings = ["data.clip_seconds=0.5", "run.seeds=0", "run.device=cpu", "run.workers=1"]
    for role in ("teacher", "student"):
        settings += [f"{role}.epochs=1", f"{role}.warm_up_epochs=0"]
    tiny = [word for setting in settings for word in ("--set", setting)]
    for script in SCRIPTS:
        printed = run(folder, script, "--config", "recipes/own_recordings.ini", *tiny)
    assert "ce+kd+sp" in printed
    assert (folder / "runs/own_recordings/report.html").exists()
    (settings,) = (block for block in INI_BLOCKS if "runs/own_recordings/teacher" in block)
    (folder / "unlabelled.ini").write_text(settings)
    (folder / "new").mkdir()
    for recording in (folder / "recordings").glob("test_*.wav"):
        shutil.copy(recording, folder / "new")
    (weights,) = (folder / "runs/own_recordings/teacher").rglob("weights.safetensors")
    described = read_description(weights)
    own = ["data.clip_seconds=0.5", "data.root=new", "data.classes=high, low", "run.workers=1"]
    own += ["student.epochs=1", f"mel.mean_teacher={described.mean[0]:g}"]
    own += [f"mel.std_teacher={described.std[0]:g}"]
    tiny = [word for setting in own for word in ("--set", setting)]
    for script in SCRIPTS:
        printed = run(folder, script, "--config", "unlabelled.ini", *tiny)
    assert "kd+sp" in printed


@pytest.mark.parametrize("settings", INI_BLOCKS)
def test_documented_settings_are_valid(tmp_path, settings):
    (tmp_path / "config.ini").write_text(settings)
    load(tmp_path / "config.ini")


RECIPES = [f"recipes/{path.name}" for path in (ROOT / "recipes").glob("*.ini")]


@pytest.mark.parametrize("page", [*PAGES, "recipes/README.md", *sorted(RECIPES)])
def test_documented_overrides_name_existing_keys(page):
    """`--set section.key=value` in commands and in text."""
    text = PAGES.get(page) or (ROOT / page).read_text(encoding="utf-8")
    options = option_names()
    for section, key in re.findall(r"--set \"?(?:study\.)?([a-z]+(?:\.[a-z]+)?)\.([a-z_]+)=", text):
        known = key_fields(SECTIONS[section]) if section in SECTIONS else LOSSES
        role_key = section == "mel" and key.rpartition("_")[0] in known
        free = section == "ensembles"
        assert key in known or key in options or role_key or free, f"{section}.{key}"


@pytest.mark.parametrize("page", [name for name in PAGES if name != "docs/glossary.md"])
def test_documented_keys_exist(page):
    """Words in capitals with an underscore, in code, are keys, environment variables or files."""
    known = {key.upper() for kind in SECTIONS.values() for key in key_fields(kind)}
    known |= {name.upper() for name in option_names()}
    known |= {f"{key}_{role}" for key in known for role in ("TEACHER", "SPECIALISTS", "STUDENT")}
    known |= {"TORCH_INDEX", "OMP_NUM_THREADS", "SOUNDSTILL_CACHE", "MODEL_CARD", "HF_TOKEN"}
    known |= {"MLFLOW_TRACKING_URI", "WANDB_MODE", "TRACKIO_DIR"}
    known |= {"_TEACHER", "_SPECIALISTS", "_STUDENT"}
    prose = re.sub(r"^```bash.*?^```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", prose):
        for word in re.findall(r"(?<![\w/])[A-Z]*_[A-Z_]+\b", code):
            assert word in known, word


def test_every_model_data_set_and_loss_has_a_row():
    for page, names in (("models", MODELS), ("datasets", DATASETS), ("losses", LOSSES)):
        for name in names:
            assert re.search(rf"^\| \[?`{name}`[^|]*\|", PAGES[f"docs/{page}.md"], re.MULTILINE), (
                name
            )


def test_renamed_keys_lead_to_existing_keys():
    """The new key of each row of the glossary exists; the error for the old one names it."""
    row = re.compile(r"^\| `\[(\w+)\]`(?:, `\[\w+\]`)* \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
    rows = row.findall(PAGES["docs/glossary.md"])
    assert len(rows) > 20
    for section, old, new in rows:
        assert new.partition(" ")[0].lower() in key_fields(SECTIONS[section]), new
        message = successor(section, old.partition(" ")[0].lower())
        assert message == f"is called {new.partition(' ')[0]} here", old


def test_readme_is_short():
    lines = PAGES["README.md"].splitlines()
    assert len(lines) <= 150
    generated = re.sub(r"<!-- results.*?<!-- end -->", "", PAGES["README.md"], flags=re.DOTALL)
    assert max(map(len, generated.splitlines())) <= 100


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "recipes/README.md"])
def test_links_outside_the_site_exist(page):
    """mkdocs checks the links of docs/."""
    for target, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", (ROOT / page).read_text()):
        file = (ROOT / page).parent / target
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), anchor


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_the_site_builds_without_warnings(tmp_path):
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    built = subprocess.run(
        [*mkdocs, "--site-dir", tmp_path / "site"], cwd=ROOT, capture_output=True, text=True
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    pages = "".join(file.read_text() for file in (tmp_path / "site").glob("*.html"))
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(https?:)?//", pages)


def test_the_demonstration_is_short_and_explained():
    lines = (ROOT / "config.ini").read_text().splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 100
    explained = {line.partition("=")[0].strip() for line in lines if re.search("=.*#", line)}
    keys = {line.partition("=")[0].strip() for line in lines if re.match("[A-Z_]+ =", line)}
    assert keys == explained
