"""Files that were made to do harm, or are not what their names promise."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import soundfile

import make_mel
from config import UserError, load
from data.checksums import write_record, write_sealed
from data.features.decode import BadAudio, read, read_blocks
from tests.deploy.stand_in import make_student
from tests.faults.damage import DAMAGES
from tests.faults.fuzz import TEXTS, time_limit
from tests.faults.place import RATE, Lost, check_results, clear_line, copied, record, run

HARM = "harmed"  # a file that code in a hostile file would make in the working folder
CELLS = (
    *("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "dog=0.7;rain=0.3", "low;high", "low,high", "train"),
    *("../secret.wav", "/etc/passwd", "x/../../secret.wav", "link.wav", "folder.wav", "pipe.wav"),
    *("train_0.wav", "TRAIN_0.WAV", "test_0.wav", "validate", "9" * 5000, "9" * 30, "1e400", "²"),
    *('"', "\r", "\n", "\u202e", "NULL", "low\x00"),
)


class Code:
    """Pickled, it makes a file when it is read."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (HARM, "w")


def refused_or_done(place: Path, script: str, *arguments: str) -> bool:
    """Whether a script ends well; else it has to name the reason, and no hostile code may run."""
    ended = run(place, script, *arguments)
    if (place / HARM).exists():
        raise Lost("code of the hostile file was executed")
    if ended.status:
        clear_line(ended, script)
        if ended.status not in (1, 2):
            raise Lost(f"status {ended.status}:\n{ended.printed[-3000:]}")
    return ended.status == 0


# Tables -------------------------------------------------------------------------------------------


def table(rng: Random, folder: Path) -> None:
    """Odd cells and bytes in clips.csv: no clip is outside the folder of the recordings."""
    record(folder)
    sounds = folder / "recordings"
    odd_files(folder, sounds)
    path = sounds / "clips.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    if rng.random() < 0.5:
        extra = rng.choice(["group", "start_seconds", "seconds", "fold", "id", "", "device"])
        rows = [row + [extra if n == 0 else "1"] for n, row in enumerate(rows)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        row = rng.randrange(len(rows)) if rng.random() < 0.9 else 0
        rows[row][rng.randrange(len(rows[row]))] = rng.choice([*CELLS, *TEXTS])
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    content = bytearray(file.getvalue().encode(errors="surrogatepass"))
    if rng.random() < 0.3:
        DAMAGES[rng.choice([*DAMAGES])](rng, content)
    path.write_bytes(content)
    with contextlib.chdir(folder), time_limit(), contextlib.redirect_stderr(io.StringIO()):
        try:
            clip_sets = make_mel.read_clips(load(Path("config.ini")), False, 0, 1)
        except UserError:
            return
        inside = os.path.realpath("recordings") + os.sep
        for clip in clip_sets[0].table.columns["path"]:
            if not os.path.realpath(clip).startswith(inside):
                raise Lost(f"{clip} is outside")


def odd_files(folder: Path, sounds: Path) -> None:
    soundfile.write(folder / "secret.wav", np.zeros(RATE // 4), RATE)
    (sounds / "link.wav").symlink_to("../secret.wav")
    (sounds / "loop.wav").symlink_to("loop.wav")
    (sounds / "folder.wav").mkdir()
    os.mkfifo(sounds / "pipe.wav")
    (sounds / "page.wav").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (sounds / "empty.wav").write_bytes(b"")
    (sounds / "long.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt " + b"\xff" * 60)


def names(rng: Random, folder: Path) -> None:
    """A folder per class, with names of all kinds: all are read, or the odd ones are named."""
    record(folder)
    for n, label in enumerate(["low", "high"]):
        (folder / "sounds" / label).mkdir(parents=True)
        for k in range(4):
            source = folder / "recordings" / f"train_{(2 * k + n) % 8}.wav"
            shutil.copy(source, folder / "sounds" / label / f"{k}.wav")
    letters = [
        b"\xff\xfe",
        b"\n",
        b"'",
        b'"',
        b"=1+1",
        b"-x",
        b" ",
        b"#",
        b";",
        b",",
        b"\xe2\x80\xae",
    ]
    letters += [b"e\xcc\x81", "é".encode(), b"%s", b"{0}", b"|", b"\x07", b"a" * 200, b"\\", b"~"]
    for path in rng.sample(sorted((folder / "sounds").rglob("*.wav")), 2):
        own = b"".join(rng.choices(letters, k=rng.choice([1, 2])))[:240] + b".wav"
        os.rename(path, os.fsencode(path.parent) + b"/" + own)
    if rng.random() < 0.3:
        os.rename(
            folder / "sounds/low", os.fsencode(folder / "sounds") + b"/" + rng.choice(letters)
        )
    arguments = ["data.dataset=folder", "data.root=sounds", "data.num_folds=2", "data.folds=1"]
    arguments += ["data.task=single_label", "teacher.epochs=1", "student.epochs=1"]
    settings = [part for one in arguments for part in ("--set", one)]
    scripts = ["make_mel.py", "train_teacher.py", "train_student.py"]
    while scripts and refused_or_done(folder, scripts.pop(0), *settings):
        pass
    check_cells(folder)


def check_cells(folder: Path) -> None:
    """No cell of a list that people open in a spreadsheet begins a formula."""
    for path in folder.rglob("bad_clips.csv"):
        with path.open(newline="") as file:
            for row in csv.reader(file):
                if any(cell[:1] in "=+-@\t\r" and len(cell) > 1 for cell in row if cell):
                    raise Lost(f"{path.name}: {row}")


# Recordings ---------------------------------------------------------------------------------------


def header(rng: Random, folder: Path) -> None:
    """Absurd counts in the header of a recording: refused, or read, in memory that is there."""
    kind = rng.choice(["wav", "flac", "aiff", "w64", "caf", "au"])
    path = folder / f"a.{kind}"
    soundfile.write(path, np.full((RATE // 4, 1), 0.1), RATE)
    content = bytearray(path.read_bytes())
    largest = [
        b"\xff" * 4,
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        bytes(4),
        b"\xff" * 8,
        b"\x01",
    ]
    for _ in range(rng.choice([1, 1, 2])):
        place, value = rng.randrange(4, 80), rng.choice(largest)
        content[place : place + len(value)] = value
    if kind == "flac" and rng.random() < 0.5:  # the number of samples
        content[21] |= 15
        content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    with time_limit(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for reading in (read, partial(read, start_seconds=0.1, seconds=0.1), read_all_blocks):
            try:
                reading(path)
            except BadAudio as error:
                if "\n" in str(error):
                    raise Lost(f"no clear line: {error}") from None
            except Exception as error:
                raise Lost(f"{kind}: {type(error).__name__}: {error}") from error


def read_all_blocks(path: Path) -> None:
    for _ in read_blocks(path, 5000):
        pass


def recordings(rng: Random, folder: Path) -> None:
    """Files that are no recordings, under the names of some: each is named with its reason."""
    place = copied(folder)
    sounds = place / "recordings"
    odd_files(place, sounds)
    odd = rng.choice(["link", "loop", "folder", "pipe", "page", "empty", "long"])
    (sounds / "train_1.wav").unlink()
    os.rename(sounds / f"{odd}.wav", sounds / "train_1.wav")
    skip = rng.choice([(), ("--set", "data.on_bad_audio=skip")])
    done = refused_or_done(place, "make_mel.py", *skip)
    if done and not skip:
        raise Lost(f"{odd}.wav was taken for a recording")


# Weights and states -------------------------------------------------------------------------------


def pickled(rng: Random) -> bytes:
    content = io.BytesIO()
    if rng.random() < 0.5:
        return pickle.dumps({"model": Code()}, protocol=rng.choice([2, 4]))
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": Code()}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return content.getvalue()


def tensors(rng: Random) -> bytes:
    """A .safetensors file with an absurd header."""
    size, count = rng.choice([0, 8, 2**31, 2**62]), rng.choice([0, 1, 10, 3000])
    one = {"dtype": "F32", "shape": [size], "data_offsets": [0, rng.choice([0, 8, 4 * size])]}
    text = json.dumps({f"layer.{n}": one for n in range(count)}).encode()
    if rng.random() < 0.2:
        text = b"[" * 100_000
    length = rng.choice([len(text), len(text), 2**62, 0, 10**8])
    return struct.pack("<Q", length) + text + bytes(8)


def numpy_file(rng: Random) -> bytes:
    if rng.random() < 0.3:
        content = io.BytesIO()
        np.save(content, np.array([Code()], dtype=object), allow_pickle=True)
        return content.getvalue()
    shape = rng.choice(["(1152921504606846976,)", "(-1,)", "(" * 3000, "(1e5,)", "()", "(2,3)"])
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    length = rng.choice([len(described), len(described), 65535])
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + described


def random_bytes(rng: Random) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 8, 100, 5000]))


CONTENTS = (pickled, tensors, numpy_file, random_bytes)


def weights(rng: Random, folder: Path) -> None:
    """As INIT: refused by name, and nothing in it is executed."""
    place = copied(folder, "features")
    name = rng.choice(["start.pt", "start.pth", "start.ckpt", "start.safetensors", "start.h5"])
    (place / name).write_bytes(rng.choice(CONTENTS)(rng))
    if refused_or_done(place, "train_teacher.py", "--set", f"teacher.init={name}"):
        raise Lost("it was taken for weights")


def checkpoint(rng: Random, folder: Path) -> None:
    """In place of a checkpoint, with a right checksum: whoever can write one can make both."""
    place = copied(folder, "features", "runs")
    student = place / "runs/config/student/ce/seed_0/fold_0"
    (student / "metrics.json").unlink()
    write_sealed(student / "checkpoint.pt", rng.choice(CONTENTS)(rng))
    if refused_or_done(place, "train_student.py"):
        raise Lost("it was taken for a checkpoint")


def outputs(rng: Random, folder: Path) -> None:
    """In place of the outputs of the teacher, with a right checksum or without: made anew."""
    place = copied(folder, "features", "runs")
    shutil.rmtree(place / "runs/config/student/ce+kd")
    path = rng.choice(sorted(place.rglob("outputs/*/*.npy")))
    content = numpy_file(rng)
    write_sealed(path, content) if rng.random() < 0.5 else path.write_bytes(content)
    if not refused_or_done(place, "train_student.py"):
        raise Lost("the outputs were not made anew")
    check_results(place)


def records(rng: Random, folder: Path) -> None:
    """metrics.json or front_end.json of another version, which has other entries."""
    place = copied(folder, "features", "runs")
    paths = [*place.rglob("metrics.json"), *place.rglob("front_end.json")]
    path = rng.choice(sorted(paths))
    found = json.loads(path.read_text())
    found.pop("checksum")
    files = found.pop("files")
    name = rng.choice([*found])
    if isinstance(inner := found[name], dict) and rng.random() < 0.5:
        inner[rng.choice([*inner, "new"])] = "other"
    else:
        found.pop(name) if rng.random() < 0.8 else found.update(new="other")
    write_record(path, found, files)
    for script in rng.sample(["make_mel.py", "train_teacher.py", "train_student.py"], 3):
        refused_or_done(place, script)


def student(rng: Random, folder: Path) -> None:
    """A damaged ONNX file: one clear line, or tags."""
    path = make_student(folder / "student.onnx")
    soundfile.write(folder / "a.wav", np.full(4000, 0.1), RATE)
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3])):
        DAMAGES[rng.choice([*DAMAGES])](rng, content) if content else None
    path.write_bytes(content)
    refused_or_done(folder, "tag_audio.py", "student.onnx", "a.wav", "--format", "csv")


FAULTS: dict[str, Callable[[Random, Path], None]] = {
    "odd cells and bytes in `clips.csv`": table,
    "odd names of files and classes": names,
    "absurd headers of recordings": header,
    "files that are no recordings": recordings,
    "hostile initial weights": weights,
    "hostile checkpoints": checkpoint,
    "hostile outputs of a teacher": outputs,
    "records of another version": records,
    "damaged ONNX files": student,
}
