"""A whole job: from recordings to the table of a teacher and three students.

    python -m benchmarks.whole_job

200 synthesised WAV files of ten seconds, 44.1 kHz. The teacher is YAMNet, frozen but for its
classifier, the students CP-Mobile with 16 base channels from ce, ce+kd and ce+kd+sp. Two contenders
alternate, each as whole commands on two cores:

- ours: make_mel.py, train_teacher.py and train_student.py with one config.ini;
- the plain script, `plain_job`: librosa clip by clip, a DataLoader over .npy files, and the teacher
  in every step. Networks, batches, epochs and losses are the same.

The weights of the teacher are random numbers, which does not change its cost. The ratio grows with
the number of epochs: ours computes the outputs of the teacher once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from benchmarks.make_mel import ROOT, synthesise
from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from models.yamnet import Yamnet

SCRIPTS = ("make_mel.py", "train_teacher.py", "train_student.py")
CONFIG = """[data]
DATASET = csv_folder
ROOT = sounds
CLIP_SECONDS = 10
HOLD_OUT = 0
[mel]
SAMPLE_RATE = 16000
NUM_BANDS = 64
MEL_MIN_HZ = 125
MEL_MAX_HZ = 7500
LOG_OFFSET = 0.001
[mel.teacher]
STFT_WINDOW_LENGTH_SECONDS = 0.025
STFT_HOP_LENGTH_SECONDS = 0.010
NORMALISE = none
[mel.student]
STFT_WINDOW_LENGTH_SECONDS = 0.050
STFT_HOP_LENGTH_SECONDS = 0.025
[teacher]
MODEL = yamnet
BATCH_NORM = no
INIT = yamnet.safetensors
FREEZE = backbone
OPTIMISER = adamw
LEARNING_RATE = 0.001
EPOCHS = {epochs}
BATCH_SIZE = 32
[student]
MODEL = cp_mobile
BASE_CHANNELS = 16
OPTIMISER = adamw
LEARNING_RATE = 0.005
EPOCHS = {epochs}
BATCH_SIZE = 32
[distillation]
VARIANTS = ce, ce+kd, ce+kd+sp
SOFTMAX_TEMPERATURE = 2
SQUARED_TEMPERATURE = yes
[coefficients]
SP = 100
[run]
DEVICE = cpu
SEEDS = 0
"""


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    keep_cores(2)
    with tempfile.TemporaryDirectory(prefix="soundstill_") as name:
        folder = Path(name)
        synthesise(folder, arguments.clips)
        (folder / "config.ini").write_text(CONFIG.format(epochs=arguments.epochs))
        teacher = Yamnet(num_classes=2, input_shape=(1, 998, 64), batch_norm=False)
        weights = folder / "yamnet.safetensors"
        save_file(teacher.state_dict(), weights)
        ours = [[sys.executable, str(ROOT / script)] for script in SCRIPTS]
        plain = ["-m", "benchmarks.plain_job", str(folder / "sounds"), str(weights)]
        plain = [sys.executable, *plain, str(arguments.epochs)]

        def run_ours() -> None:
            for made in ("features", "runs"):
                shutil.rmtree(folder / made, ignore_errors=True)
            for command in ours:
                subprocess.run(command, cwd=folder, check=True, capture_output=True)

        def run_plain() -> None:
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            subprocess.run(plain, cwd=folder, env=environment, check=True, capture_output=True)

        contenders = {"ours": run_ours, "plain script": run_plain}
        seconds = medians(alternate(contenders, arguments.rounds))
    report(
        "whole_job",
        arguments,
        ("contender", "seconds", "relative to ours"),
        [(who, value, value / seconds["ours"]) for who, value in seconds.items()],
        {
            "plain_over_ours": seconds["plain script"] / seconds["ours"],
            "ours_seconds": seconds["ours"],
            "clips": arguments.clips,
            "epochs": arguments.epochs,
        },
    )


if __name__ == "__main__":
    main()
