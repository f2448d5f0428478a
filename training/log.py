"""runs/NAME/log.txt: what the scripts print while they train, with the time of each line."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from config import UserError
from training.distributed import rank
from training.run_folder import RUNS


@contextmanager
def logged(run: str) -> Iterator[None]:
    """Standard output and error go into the log too, and the error that ends the script. By rank 0.

    Nothing is written before the run has a folder: a script that is refused makes none.
    """
    if rank() > 0:
        yield
        return
    log = Log(RUNS / run / "log.txt")
    log.add(f"$ {shlex.join(sys.argv)}\n")
    with redirect_stdout(Copied(sys.stdout, log)), redirect_stderr(Copied(sys.stderr, log)):
        try:
            yield
        except (UserError, OSError) as error:
            log.add(f"{error}\n")
            raise
        except KeyboardInterrupt:
            log.add("stopped\n")
            raise
        except BaseException:
            log.add(traceback.format_exc())
            raise


class Log:
    """Lines that are appended to a file once its folder is there."""

    def __init__(self, path: Path) -> None:
        self.path, self.begun, self.lines = path, "", list[str]()

    def add(self, text: str) -> None:
        """Of a progress bar, which is written again and again, the last state."""
        *ended, self.begun = (self.begun + text).split("\n")
        self.begun = self.begun.rpartition("\r")[2]
        now = datetime.now().isoformat(" ", "seconds")
        self.lines += [now + " " + line.rpartition("\r")[2] + "\n" for line in ended]
        if self.lines and self.path.parent.is_dir():
            with suppress(OSError):  # a full disk is noticed by the training itself
                with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.writelines(self.lines)
                self.lines.clear()


class Copied:
    """A stream whose text goes into the log too."""

    def __init__(self, stream: TextIO, log: Log) -> None:
        self.stream, self.log = stream, log

    def write(self, text: str) -> int:
        self.log.add(text)
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
