"""tag_audio.py as a user runs it."""

import csv
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import deploy.labels
import tag_audio
from tests.deploy.stand_in import expected_probabilities, make_student
from tests.scripts import ROOT, environment

FORBIDDEN = ("torch", "pandas", "scipy", "sklearn", "librosa", "onnx", "matplotlib", "yaml")
FORBIDDEN += ("huggingface_hub",)
LOUD, QUIET = 0.4, 0.1


@pytest.fixture
def place(tmp_path):
    """A student, and street.wav: half a second loud, half a second quiet, a quarter in between."""
    make_student(tmp_path / "student.onnx")
    levels = np.repeat([LOUD, QUIET, 2 * QUIET], [4000, 4000, 2000])
    soundfile.write(tmp_path / "street.wav", levels, 8000, subtype="FLOAT")
    return tmp_path


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """An environment in which importing a package that tag_audio.py must not need is an error."""
    folder = tmp_path_factory.mktemp("poison")
    for name in FORBIDDEN:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')")
    return environment() | {"PYTHONPATH": str(folder)}


def tag(folder, *arguments, status=0, env=None, stdin=b""):
    """(standard output, standard error)."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tag_audio.py"), *map(str, arguments)],
        cwd=folder,
        env=env or environment(),
        input=stdin,
        capture_output=True,
    )
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


def test_a_table_without_pytorch(place, poisoned):
    found, complaint = tag(place, "student.onnx", "street.wav", env=poisoned)
    loud, _ = expected_probabilities(LOUD)
    _, quiet = expected_probabilities(QUIET)
    assert found == (
        "street.wav\n"
        f"   00:00.00    00:00.50  loud {loud:.2f}\n"
        f"   00:00.50    00:01.00  quiet {quiet:.2f}\n"
        f"   00:01.00    00:01.25  quiet {quiet:.2f}\n"  # half of it is padding
    )
    assert complaint == ""


def test_a_missing_package_is_one_line(place):
    """With -S Python has no site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "tag_audio.py"), "student.onnx", "street.wav"],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"tag_audio\.py: the package \w+ is missing: "
        r"run `python -m pip install -r requirements-tag\.txt`\n",
        done.stderr,
    )


def inside(folder, before, after, *arguments):
    """The last line printed by tag_audio's main with code before and after it."""
    main = "tag_audio.main(tag_audio.command_line().parse_args(sys.argv[1:]))"
    program = "\n".join(["import sys, tag_audio", before, main, after])
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_only_what_is_needed_is_imported(place):
    heavy = {*FORBIDDEN, "gradio", "PIL"}
    after = f"print(sorted({heavy!r} & sys.modules.keys()))"
    assert inside(place, "", after, "student.onnx", "street.wav") == "[]"


def hours_of_silence(path, seconds):
    """8 bits at 8 kHz; the samples are a hole in the file."""
    size = 8000 * seconds
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", size)
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    return path


def test_memory_does_not_grow_with_the_recording(place):
    def peak(seconds):
        path = hours_of_silence(place / f"{seconds}.wav", seconds)
        output = place / f"{seconds}.csv"
        options = ("--window", 20, "--format", "csv", "--output", output)
        before = "import tracemalloc; tracemalloc.start()"
        after = "print(tracemalloc.get_traced_memory()[1])"
        line = inside(place, before, after, "student.onnx", path, *options)
        assert len(output.read_text().splitlines()) == 1 + seconds // 20
        return int(line)  # bytes

    assert peak(36_000) < 1.2 * peak(60)


@pytest.mark.parametrize("name", ["stereo.flac", "fast.ogg"])
def test_sample_rate_width_and_channels_do_not_change_the_tags(place, name):
    levels = np.repeat([LOUD, QUIET, 2 * QUIET], [22_050, 22_050, 11_025])
    if name == "stereo.flac":
        levels = np.stack([levels, levels], 1)
    signs = np.sign(np.sin(2 * np.pi * 200 * np.arange(len(levels)) / 44_100) + 1e-9)
    soundfile.write(place / name, (levels.T * signs).T, 44_100)
    found, _ = tag(place, "student.onnx", name, "street.wav", "--format", "csv")
    rows = list(csv.reader(found.splitlines()))[1:]
    assert [row[1:3] for row in rows[:3]] == [row[1:3] for row in rows[3:]]
    found = np.float64([row[3:] for row in rows])
    np.testing.assert_allclose(found[:3], found[3:], atol=0.1)


def test_several_students_are_averaged(place):
    make_student(place / "contrary.onnx", weight=(-20.0, 20.0))
    found, _ = tag(place, "student.onnx", "street.wav", "contrary.onnx", "--format", "jsonl")
    first = json.loads(found.splitlines()[0])
    expected = (expected_probabilities(LOUD) + expected_probabilities(-LOUD)) / 2
    assert [*first["probabilities"].values()] == pytest.approx(expected, abs=1e-5)


def test_a_folder_continues_past_unreadable_files(place):
    folder = place / "sounds"
    (folder / "deep").mkdir(parents=True)
    (place / "street.wav").rename(folder / "deep" / "good.wav")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "none.wav", np.zeros(0), 8000)
    samples = np.full(8000, LOUD, np.float32)
    samples[6000] = np.nan
    soundfile.write(folder / "nan.wav", samples, 8000, subtype="FLOAT")
    found, complaint = tag(place, "student.onnx", "sounds", "gone.wav", status=1)
    assert [line for line in found.splitlines() if line[0] != " "] == [
        "sounds/deep/good.wav",
        "sounds/nan.wav",
    ]
    assert found.count("\n") == 6  # nan.wav has one window before the NaN
    assert complaint == (
        "tag_audio.py: 4 of 5 recordings could not be processed completely:\n"
        "  sounds/empty.wav: the file is empty (0 bytes)\n"
        "  sounds/nan.wav: it has samples that are NaN or infinite, the first at 0.750 s\n"
        "  sounds/none.wav: it has no samples\n"
        "  gone.wav: no such file\n"
    )


def test_a_container_that_libsndfile_cannot_read_is_tagged(place):
    av = pytest.importorskip("av", reason="requires PyAV: pip install -r requirements-av.txt")
    samples, rate = soundfile.read(place / "street.wav", dtype="float32")
    with av.open(str(place / "street.mka"), "w") as file:
        stream = file.add_stream("pcm_f32le", rate=rate, layout="mono")
        for start in range(0, len(samples), 1000):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1000], "flt", "mono")
            frame.rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    found, _ = tag(place, "student.onnx", "street.mka", "--format", "csv")
    expected, _ = tag(place, "student.onnx", "street.wav", "--format", "csv")
    assert found.replace(".mka", ".wav") == expected
    (place / "street.mka").write_bytes((place / "street.mka").read_bytes()[:30_000])
    found, complaint = tag(place, "student.onnx", "street.mka", status=1)
    assert "street.mka: cut short: 1.250 s are promised, " in complaint
    assert found.splitlines()[1].split()[:2] == ["00:00.00", "00:00.50"]  # what is there


def test_a_pipe_is_tagged_window_by_window(place):
    """Each line is printed while the pipe is still open."""
    half = (np.full(8000, LOUD) * 32_767).astype("<i2").tobytes()  # 0.5 s of stereo
    options = ("--channels", "2", "--rate", "8000", "--raw-format", "s16le")
    started = subprocess.Popen(
        [sys.executable, str(ROOT / "tag_audio.py"), "student.onnx", "-", *options],
        cwd=place,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for n in range(3):
        started.stdin.write(half)
        started.stdin.flush()
        if n == 0:
            assert started.stdout.readline() == b"-\n"
        line = started.stdout.readline().decode()
        assert line.split()[0] == f"00:0{n // 2}.{5 * (n % 2)}0"
        assert line.split()[2] == "loud"
    started.stdin.close()
    assert started.stdout.read() == b""
    assert started.wait() == 0


def test_audacity_labels_are_written_to_a_file(place):
    options = ("--format", "audacity", "--output", "labels.txt", "--threshold", "0.6")
    found, _ = tag(place, "student.onnx", "street.wav", "--hop", "0.25", *options)
    assert found == ""
    labels = (place / "labels.txt").read_text().splitlines()
    assert labels == ["0.000000\t0.750000\tloud", "0.500000\t1.250000\tquiet"]


def test_several_recordings_have_a_label_file_each(place):
    levels = np.repeat([QUIET, LOUD, QUIET, LOUD, LOUD, LOUD], 4000)
    soundfile.write(place / "park.wav", levels, 8000, subtype="FLOAT")
    options = ("--format", "raven", "--output", "labels", "--smooth", "3", "--least", "1")
    found, _ = tag(place, "student.onnx", "street.wav", "park.wav", *options)
    assert found == ""
    street, park = (
        [line.split("\t") for line in (place / f"labels/{name}.txt").read_text().splitlines()]
        for name in ("street", "park")
    )
    assert street[1:] == []  # quiet for 0.75 s
    assert [(line[3], line[4], line[6], line[7]) for line in park[1:]] == [
        ("1.000000", "3.000000", "4000.0", "loud")
    ]
    assert tuple(deploy.labels.LABELS) == tag_audio.LABELS


def test_top_and_about(place):
    make_student(place / "one.onnx", task="single_label")
    found, _ = tag(place, "one.onnx", "street.wav")
    assert [line.split()[2] for line in found.splitlines()[1:3]] == ["loud", "quiet"]
    found, _ = tag(place, "one.onnx", "street.wav", "--top", "2")
    assert all(line.count(",") == 1 for line in found.splitlines()[1:])
    found, _ = tag(place, "--about", "one.onnx", "student.onnx")
    assert "classes one of loud, quiet" in found
    assert "classes any of loud, quiet" in found


WRONG = [
    (("street.wav",), 2, "expected a student, a file that ends in .onnx"),
    (("student.onnx",), 2, "expected a recording, a folder of recordings, or - for a pipe"),
    (("student.onnx", "--about", "street.wav"), 2, "--about: takes students only"),
    (("student.onnx", "--web", "street.wav"), 2, "--web: takes students only"),
    (
        ("student.onnx", "--evaluate", "clips.csv", "--threshold", "0.3"),
        2,
        "--threshold: has no effect with --evaluate",
    ),
    (("student.onnx", "--about", "--smooth", "3"), 2, "--smooth: has no effect with --about"),
    (("student.onnx", "street.wav", "--rate", "8000"), 2, "--rate: describes raw samples"),
    (("student.onnx", "street.wav", "--hop", "0"), 2, "--hop: found 0.0, expected 0.01 to 3600"),
    (("student.onnx", "street.wav", "--hop", "nan"), 2, "--hop: found nan, expected 0.01 to 3600"),
    (("student.onnx", "street.wav", "--hop", "0.6"), 2, "must be at most the window, 0.5 s"),
    (("student.onnx", "street.wav", "--top", "0"), 2, "--top: found 0, expected at least 1"),
    (("student.onnx", "street.wav", "--threshold", "2"), 2, "found 2.0, expected 0 to 1"),
    (("student.onnx", "street.wav", "--format", "xml"), 2, "invalid choice: 'xml'"),
    (("student.onnx", "street.wav", "--output", "street.wav"), 2, "street.wav is an input"),
    (("student.onnx", ".", "street.wav", "--format", "audacity"), 2, "found 2 recordings"),
    (
        ("student.onnx", "street.wav", "--least", "1"),
        2,
        "--least: is of --format audacity and raven",
    ),
    (
        ("student.onnx", "street.wav", "--smooth", "2"),
        2,
        "--smooth: found 2, expected an odd number",
    ),
    (("gone.onnx", "street.wav"), 1, "gone.onnx: no such file"),
    (("student.onnx", "-"), 1, "-: no samples came through the pipe"),
    (("student.onnx", "street.wav", "--output", "gone/tags.csv"), 1, "gone/tags.csv"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), WRONG)
def test_an_error_is_one_clear_message(place, arguments, status, message):
    before = sorted(place.iterdir())
    found, complaint = tag(place, *arguments, status=status)
    assert found == ""
    assert message in complaint
    assert sorted(place.iterdir()) == before


def test_a_closed_output_pipe_is_no_error(place):
    hours_of_silence(place / "minute.wav", 60)
    started = subprocess.Popen(
        [sys.executable, str(ROOT / "tag_audio.py"), "student.onnx", "minute.wav", "--hop", "0.01"],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    started.stdout.readline()
    started.stdout.close()  # before all lines fit into the pipe
    assert started.communicate()[1] == b""
    assert started.returncode == 1


@pytest.mark.parametrize("options", [(), ("--format", "csv"), ("--output", "tags.txt")])
def test_any_name_of_a_file_can_be_written(place, options):
    """A name that is not UTF-8, and an output that cannot hold the letters of another."""
    names = [os.fsdecode(b"caf\xe9.wav"), "gr\u00fcn.wav"]
    for name in names:
        (place / name).write_bytes((place / "street.wav").read_bytes())
    env = environment() | {"PYTHONIOENCODING": "ascii"}
    found, _ = tag(place, "student.onnx", *names, *options, env=env)
    found = found or (place / "tags.txt").read_text()
    assert "caf\\udce9.wav" in found
    assert ("gr\u00fcn.wav" if "--output" in options else "gr\\xfcn.wav") in found
    for name in names:
        (place / name).unlink()


def test_the_python_interface_requires_no_pytorch(place, poisoned):
    program = (
        "from deploy import Student; print(Student('student.onnx').tag('street.wav', hop=0.5).tags)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=poisoned | {"PYTHONPATH": f"{poisoned['PYTHONPATH']}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("[['loud'], ['quiet'], ['quiet']]\n", "")


def test_a_piped_wav_file_equals_the_file(place):
    expected, _ = tag(place, "student.onnx", "street.wav", "--format", "csv")
    for name in ("-", "/dev/stdin"):
        content = (place / "street.wav").read_bytes()
        found, _ = tag(place, "student.onnx", name, "--format", "csv", stdin=content)
        assert found == expected.replace("street.wav", "-")
