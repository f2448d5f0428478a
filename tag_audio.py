"""5: exported students + recordings -> tags, window by window.

Files that end in .onnx are students, also hf://OWNER/NAME/FILE.onnx of the Hugging Face Hub; other
paths are recordings, folders of recordings, or - for a WAV file or raw samples from a pipe. The
probabilities of several students are averaged.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from config import ConfigError, UserError, missing_package, print_any_name

if TYPE_CHECKING:
    import numpy as np

    from data.features.decode import BadAudio
    from deploy.student import Student
    from deploy.tags import Row

LABELS = ("audacity", "raven")  # formats of events; those of deploy.labels.LABELS
INSTALL = "run `python -m pip install -r requirements-tag.txt`"
SHORTEST_SECONDS, LONGEST_SECONDS = 0.01, 3600  # of a window and a hop
OPTIONS = ("format", "output", "threshold", "top", "window", "hop", "smooth", "least")
TAKEN = {  # those of OPTIONS that a switch without recordings takes
    "about": (),
    "web": ("threshold", "top", "window", "hop"),
    "evaluate": ("output", "window", "hop"),
}
NOT_INSTALLED = {"--web": "deploy.web", "--evaluate": "deploy.evaluation"}  # by pip


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="%(prog)s STUDENT.onnx … RECORDING | FOLDER | - … [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Examples: %(prog)s student.onnx street.wav\n"
        "          arecord -f S16_LE -r 16000 | %(prog)s student.onnx - --hop 1",
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="a student, a recording, a folder, or -")
    add("--format", choices=("table", "csv", "jsonl", *LABELS), default="table")
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help="a file; for audacity and raven a folder if there are several recordings; default: "
        "standard output",
    )
    add(
        "--threshold",
        type=float,
        metavar="P",
        help="minimum probability of a tag; default: those of the students, or 0.5; 0 with --top",
    )
    add(
        "--top",
        type=int,
        metavar="N",
        help="the N most probable tags of each window, also below the thresholds of the students; "
        "with --threshold at most N; default: 1 if single-label",
    )
    add(
        "--window",
        type=float,
        metavar="SECONDS",
        help="window length; default: that of the training clips",
    )
    add(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="time between window starts; default: the window length",
    )
    add(
        "--raw-format",
        choices=("s16le", "s32le", "f32le"),
        help="sample format of -; default: s16le",
    )
    add(
        "--rate",
        type=int,
        metavar="HZ",
        help="sample rate of -; default: that of the first student",
    )
    add("--channels", type=int, metavar="N", help="interleaved channels of -; default: 1")
    add(
        "--smooth",
        type=int,
        default=1,
        metavar="N",
        help="median of the probabilities over N windows, an odd number; default: 1",
    )
    add(
        "--least",
        type=float,
        metavar="SECONDS",
        help="shortest event of audacity and raven; default: 0",
    )
    add("--about", action="store_true", help="describe the students and exit")
    add(
        "--evaluate",
        type=Path,
        metavar="CLIPS.CSV",
        help="evaluate the students on its test clips; requires requirements.txt",
    )
    add("--web", action="store_true", help="serve a web page that compares the students")
    add("--port", type=int, default=7860, help="port of --web; default: 7860")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def main(arguments: argparse.Namespace) -> None:
    students = [name for name in arguments.paths if name.lower().endswith(".onnx")]
    recordings = [name for name in arguments.paths if name not in students]
    check(arguments, students, recordings)

    from deploy.student import Student

    students = [Student(name) for name in students]
    if arguments.about:
        print("\n\n".join(student.about() for student in students))
    elif arguments.web:
        serve_page(arguments, students)
    elif arguments.evaluate:
        evaluate(arguments, students)
    else:
        tag(arguments, students, recordings)


def check(arguments: argparse.Namespace, students: list[str], recordings: list[str]) -> None:
    """Check the arguments before any file is read. Raises ConfigError."""
    if not students:
        raise ConfigError("command line", "expected a student, a file that ends in .onnx")
    alone = next((name for name in TAKEN if getattr(arguments, name)), "")  # without recordings
    switch = f"--{alone}" if alone else ""
    if switch in NOT_INSTALLED and find_spec(NOT_INSTALLED[switch]) is None:
        raise ConfigError(
            switch, "requires the project; run tag_audio.py in the folder of Soundstill"
        )
    needs_recordings = not switch
    if needs_recordings and not recordings:
        raise ConfigError(
            "command line", "expected a recording, a folder of recordings, or - for a pipe"
        )
    if recordings and not needs_recordings:
        raise ConfigError(switch, f"takes students only, found {recordings[0]}")
    for name in OPTIONS if alone else ():
        given = getattr(arguments, name) != command_line().get_default(name)
        if given and name not in TAKEN[alone]:
            raise ConfigError(f"--{name}", f"has no effect with {switch}")
    if "-" not in recordings:
        for name in ("raw_format", "rate", "channels"):
            if getattr(arguments, name) is not None:
                flag = "--" + name.replace("_", "-")
                raise ConfigError(flag, "describes raw samples, but - is not among the recordings")
    if arguments.smooth % 2 == 0:
        raise ConfigError("--smooth", f"found {arguments.smooth}, expected an odd number")
    if arguments.least is not None and arguments.format not in LABELS:
        raise ConfigError("--least", "is of --format audacity and raven only")
    for name, low, high in (
        ("threshold", 0, 1),
        ("top", 1, None),
        ("window", SHORTEST_SECONDS, LONGEST_SECONDS),
        ("hop", SHORTEST_SECONDS, LONGEST_SECONDS),
        ("rate", 1, 768_000),
        ("channels", 1, 1024),
        ("smooth", 1, 9999),
        ("least", 0, LONGEST_SECONDS),
        ("port", 1, 65535),
    ):
        value = getattr(arguments, name)
        if value is None:
            continue
        if not value >= low or (high is not None and value > high):
            expected = f"{low} to {high}" if high is not None else f"at least {low}"
            raise ConfigError(f"--{name}", f"found {value}, expected {expected}")


def tag(arguments: argparse.Namespace, students: list[Student], recordings: list[str]) -> None:
    """Print or write the tags of all recordings. Raises UserError that lists those that failed."""
    from deploy.ensemble import check_agreement, window_and_hop
    from deploy.events import events, smoothed
    from deploy.labels import LABELS as label_formats
    from deploy.recordings import find_recordings
    from deploy.tags import FORMATS, TagSelection

    check_agreement(students)
    seconds, hop = window_and_hop(students, arguments.window, arguments.hop)
    recordings = find_recordings(recordings)
    descriptions = [student.description for student in students]
    selection = TagSelection.of(descriptions, arguments.threshold, arguments.top)
    sources = {name: source(name, arguments, students[0]) for name in recordings}
    bad: list[BadAudio] = []
    inputs = [*arguments.paths, *recordings]
    files = label_files(arguments, recordings) if arguments.format in LABELS else {}
    if files:
        highest_hz = students[0].description.sample_rate / 2
        for recording, path in files.items():
            one = {recording: sources[recording]}
            predictions = smoothed(rows(one, students, seconds, hop, bad), arguments.smooth)
            found = events(predictions, selection, arguments.least or 0.0)
            write_lines(label_formats[arguments.format](found, highest_hz), path, inputs)
    else:
        predictions = smoothed(rows(sources, students, seconds, hop, bad), arguments.smooth)
        write_lines(FORMATS[arguments.format](predictions, selection), arguments.output, inputs)
    if bad:
        lines = "".join(f"\n  {error}" for error in bad)
        many = (
            f"{len(bad)} of {len(recordings)} recordings could not be processed completely:{lines}"
        )
        raise UserError(many if len(recordings) > 1 else str(bad[0]))


def evaluate(arguments: argparse.Namespace, students: list[Student]) -> None:
    from deploy.ensemble import check_agreement, window_and_hop
    from deploy.evaluation import annotated_clips, clip_probabilities, evaluation_text

    check_agreement(students)
    times = window_and_hop(students, arguments.window, arguments.hop)
    table = annotated_clips(arguments.evaluate, students[0])
    scores = clip_probabilities(students, table, *times)
    write_lines(evaluation_text(table, scores), arguments.output, [str(arguments.evaluate)])


def label_files(arguments: argparse.Namespace, recordings: list[str]) -> dict[str, Path | None]:
    """The label file of each recording: one is --output, of several each is in that folder.

    Raises ConfigError for several recordings without a folder, or with the same name.
    """
    where = f"--format {arguments.format}"
    if len(recordings) == 1 and not (arguments.output and arguments.output.is_dir()):
        return {recordings[0]: arguments.output}
    if arguments.output is None or arguments.output.is_file():
        found = f"found {len(recordings)} recordings, a label file describes one"
        raise ConfigError(where, f"{found}; set --output to a folder")
    files: dict[str, Path | None] = {}
    for recording in recordings:
        name = "pipe" if recording == "-" else Path(recording).stem
        path = arguments.output / f"{name}.txt"
        if path in files.values():
            raise ConfigError(where, f"two recordings are named {name}; label them separately")
        files[recording] = path
    arguments.output.mkdir(parents=True, exist_ok=True)
    return files


def write_lines(lines: Iterable[str], path: Path | None, inputs: list[str]) -> None:
    with output(path, inputs) as file:
        for line in lines:
            print(line, file=file, flush=True)


def serve_page(arguments: argparse.Namespace, students: list[Student]) -> None:
    from deploy.ensemble import window_and_hop
    from deploy.tags import TagSelection
    from deploy.web import Tagger, serve

    taggers = [
        Tagger(
            student,
            TagSelection.of([student.description], arguments.threshold, arguments.top),
            *window_and_hop([student], arguments.window, arguments.hop),
        )
        for student in students
    ]
    serve(taggers, arguments.port)


def source(
    recording: str, arguments: argparse.Namespace, student: Student
) -> Iterator[tuple[np.ndarray, int]]:
    """The blocks of samples of a recording, which is opened when the first block is requested."""
    from data.features.decode import read_blocks
    from deploy.recordings import PIPE, piped_blocks

    if recording != PIPE:
        return read_blocks(Path(recording))
    given = arguments.raw_format, arguments.rate, arguments.channels
    stream = cast(BufferedReader, sys.stdin.buffer)
    return piped_blocks(stream, *given, student.audio_spec.sample_rate)


def rows(
    sources: Mapping[str, Iterator[tuple[np.ndarray, int]]],
    students: list[Student],
    seconds: float,
    hop: float,
    bad: list[BadAudio],
) -> Iterator[Row]:
    """Every window of every recording. Errors are added to `bad`; the windows before an error are
    kept.
    """
    from data.features.decode import BadAudio
    from deploy.ensemble import predict_windows
    from deploy.tags import Row

    for recording, blocks in sources.items():
        try:
            for prediction in predict_windows(students, blocks, seconds, hop):
                yield Row(recording, *prediction)
        except BadAudio as error:
            bad.append(error)


@contextmanager
def output(path: Path | None, inputs: list[str]) -> Iterator[TextIO]:
    """Standard output, or the file, which is flushed after each line."""
    if path is None:
        yield sys.stdout
        return
    if path.resolve() in {Path(name).resolve() for name in inputs}:
        raise ConfigError("--output", f"{path} is an input")
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        yield file


def run(arguments: argparse.Namespace) -> int:
    """The exit status. An error that the user can fix is one clear message."""
    print_any_name()
    try:
        main(arguments)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError):
            error = missing_package(error, INSTALL)
        if arguments.debug:
            traceback.print_exc()
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def command() -> int:
    """The command tag-audio of the package soundstill-deploy. The exit status."""
    return run(command_line().parse_intermixed_args())


if __name__ == "__main__":
    sys.exit(command())
