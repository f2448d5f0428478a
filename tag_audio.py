"""5: exported students + recordings -> tags, window by window.

Files that end in .onnx are students, all else are recordings, folders of them, or - for raw samples
from a pipe. Several students give the mean of their probabilities.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from config import ConfigError, UserError

if TYPE_CHECKING:
    import numpy as np

    from data.features.decode import BadAudio
    from deploy.student import Student
    from deploy.tags import Row

SHORTEST_SECONDS, LONGEST_SECONDS = 0.01, 3600  # of a window, and of the step to the next


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="tag_audio.py STUDENT.onnx … RECORDING | FOLDER | - … [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Such as: tag_audio.py student.onnx street.wav\n"
        "     or: arecord -f S16_LE -r 16000 | tag_audio.py student.onnx - --hop 1",
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="a student, a recording, a folder, or -")
    add("--format", choices=("table", "csv", "jsonl", "audacity"), default="table")
    add("--output", type=Path, metavar="FILE", help="default: the screen")
    add("--threshold", type=float, metavar="P", help="least probability of a tag; default: 0.5")
    add("--top", type=int, metavar="N", help="most tags of a window; default: 1 of single-label")
    add("--window", type=float, metavar="SECONDS", help="default: the clips it was trained on")
    add("--hop", type=float, metavar="SECONDS", help="from window to window; default: a window")
    add("--raw-format", choices=("s16le", "s32le", "f32le"), help="of -; default: s16le")
    add("--rate", type=int, metavar="HZ", help="of -; default: the first student's")
    add("--channels", type=int, metavar="N", help="of -, interleaved; default: 1")
    add("--about", action="store_true", help="say what the students are, and hear nothing")
    add("--web", action="store_true", help="serve a page to try the students, side by side")
    add("--port", type=int, default=7860, help="of --web; default: 7860")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def main(arguments: argparse.Namespace) -> None:
    students = [name for name in arguments.paths if name.lower().endswith(".onnx")]
    recordings = [name for name in arguments.paths if name not in students]
    check(arguments, students, recordings)

    from deploy.student import Student

    students = [Student(Path(name)) for name in students]
    if arguments.about:
        print("\n\n".join(student.about() for student in students))
    elif arguments.web:
        serve_page(arguments, students)
    else:
        tag(arguments, students, recordings)


def check(arguments: argparse.Namespace, students: list[str], recordings: list[str]) -> None:
    """What the command line alone can tell. Raises ConfigError."""
    if not students:
        raise ConfigError("command line", "want a student, a file that ends in .onnx")
    listens = not (arguments.about or arguments.web)
    if listens and not recordings:
        raise ConfigError("command line", "want a recording, a folder of them, or - for a pipe")
    if recordings and not listens:
        switch = "--about" if arguments.about else "--web"
        raise ConfigError(switch, f"takes students alone, found {recordings[0]}")
    if "-" not in recordings:
        for name in ("raw_format", "rate", "channels"):
            if getattr(arguments, name) is not None:
                flag = "--" + name.replace("_", "-")
                raise ConfigError(flag, "describes raw samples, but - is not among the recordings")
    for name, low, high in (
        ("threshold", 0, 1),
        ("top", 1, None),
        ("window", SHORTEST_SECONDS, LONGEST_SECONDS),
        ("hop", SHORTEST_SECONDS, LONGEST_SECONDS),
        ("rate", 1, 768_000),
        ("channels", 1, 1024),
        ("port", 1, 65535),
    ):
        value = getattr(arguments, name)
        if value is None:
            continue
        if not value >= low or (high is not None and value > high):
            wanted = f"{low} to {high}" if high is not None else f"at least {low}"
            raise ConfigError(f"--{name}", f"found {value}, want {wanted}")


def tag(arguments: argparse.Namespace, students: list[Student], recordings: list[str]) -> None:
    """Print, or write, the tags of all recordings. Raises UserError that lists the unusable."""
    from deploy.ensemble import check_agreement, window_and_hop
    from deploy.recordings import find_recordings
    from deploy.tags import FORMATS, Naming

    check_agreement(students)
    seconds, hop = window_and_hop(students, arguments.window, arguments.hop)
    recordings = find_recordings(recordings)
    if arguments.format == "audacity" and len(recordings) > 1:
        found = f"found {len(recordings)} recordings, but labels belong to one"
        raise ConfigError("--format audacity", found)
    named = Naming.of(students[0].description, arguments.threshold, arguments.top)
    sources = {name: source(name, arguments, students[0]) for name in recordings}
    bad: list[BadAudio] = []
    heard = rows(sources, students, seconds, hop, bad)
    with output(arguments.output, [*arguments.paths, *recordings]) as file:
        for line in FORMATS[arguments.format](heard, named):
            print(line, file=file, flush=True)
    if bad:
        lines = "".join(f"\n  {error}" for error in bad)
        many = f"{len(bad)} of {len(recordings)} recordings could not be heard to the end:{lines}"
        raise UserError(many if len(recordings) > 1 else str(bad[0]))


def serve_page(arguments: argparse.Namespace, students: list[Student]) -> None:
    from deploy.ensemble import window_and_hop
    from deploy.tags import Naming
    from deploy.web import Listener, serve

    listeners = [
        Listener(
            student,
            Naming.of(student.description, arguments.threshold, arguments.top),
            *window_and_hop([student], arguments.window, arguments.hop),
        )
        for student in students
    ]
    serve(listeners, arguments.port)


def source(
    recording: str, arguments: argparse.Namespace, student: Student
) -> Iterator[tuple[np.ndarray, int]]:
    """The blocks of samples of a recording, which is opened when the first is asked for."""
    from data.features.decode import read_blocks
    from deploy.recordings import PIPE, raw_blocks

    if recording != PIPE:
        return read_blocks(Path(recording))
    rate, channels = arguments.rate or student.hearing.sample_rate, arguments.channels or 1
    return raw_blocks(sys.stdin.buffer, arguments.raw_format or "s16le", rate, channels)


def rows(
    sources: Mapping[str, Iterator[tuple[np.ndarray, int]]],
    students: list[Student],
    seconds: float,
    hop: float,
    bad: list[BadAudio],
) -> Iterator[Row]:
    """Every window of every recording. What cannot be used is added to `bad`; a fault that shows
    later takes nothing back of what was heard before it.
    """
    from data.features.decode import BadAudio
    from deploy.ensemble import listen
    from deploy.tags import Row

    for recording, blocks in sources.items():
        try:
            for heard in listen(students, blocks, seconds, hop):
                yield Row(recording, *heard)
        except BadAudio as error:
            bad.append(error)


@contextmanager
def output(path: Path | None, heard: list[str]) -> Iterator[TextIO]:
    """The screen, or the file, which grows line by line so that a pipe's can be followed."""
    if path is None:
        yield sys.stdout
        return
    if path.resolve() in {Path(name).resolve() for name in heard}:
        raise ConfigError("--output", f"{path} is what is to be heard")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def run(arguments: argparse.Namespace) -> int:
    """The exit status. What the user can mend is one clear message."""
    try:
        main(arguments)
    except BrokenPipeError:  # whoever read the lines has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"tag_audio.py: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(command_line().parse_intermixed_args()))
