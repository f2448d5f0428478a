"""One file over HTTP, with resumption, retries and back-off.

Hosts of public data sets throttle anonymous and impatient clients. This one sends a user agent,
honours Retry-After, and requests only the bytes that are missing.
"""

from __future__ import annotations

import random
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException
from pathlib import Path
from threading import Event
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from data.download.disk import disk_errors, need_space

TIMEOUT_SECONDS = 60.0  # without a byte
ATTEMPTS = 6  # in a row that bring nothing new
LONGEST_BACK_OFF_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 900.0  # of Retry-After: for longer ones we give up
CHUNK_BYTES = 1 << 16
BUSY = {408, 425, 429, 500, 502, 503, 504}
RANGE_NOT_SATISFIABLE = 416

Headers = Mapping[str, str] | Message  # of a response

jitter = random.Random()  # a separate generator: a download does not change a seeded run


class FetchError(Exception):
    """This address does not serve the file; another one may."""


class TryAgain(Exception):
    """The same address may serve it later: after `seconds`, where the server sets Retry-After."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Stopped(Exception):
    """Another download failed, or the user stopped the program."""


def fetch(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    show: Callable[[int], None] = lambda position: None,
    stop: Event | None = None,
) -> None:
    """Download `url` into `part`, from the byte where `part` ends.

    `size` is the size of the complete file, where known; `show` is called with the position in
    bytes; `stop` ends the download at the next chunk. After an error, `part` keeps its bytes for
    the next call.

    Raises FetchError (the address does not serve the file), Stopped, UserError (full disk).
    """
    stop = stop or Event()
    furthest, attempt = length(part), 0
    while True:
        try:
            return receive(url, part, size, show, stop)
        except TryAgain as trouble:
            attempt = 1 if length(part) > furthest else attempt + 1
            furthest = max(furthest, length(part))
            if attempt == ATTEMPTS:
                raise FetchError(f"{trouble} ({attempt} times in a row)") from None
            seconds = back_off(attempt) if trouble.seconds is None else trouble.seconds
            if seconds > LONGEST_PAUSE_SECONDS:
                raise FetchError(f"{trouble}; try again in {seconds / 60:.0f} minutes") from None
            seconds += jitter.random()
            print_line(f"{url}: {trouble}; next attempt in {seconds:.0f} s")
            pause(seconds, stop)


def receive(
    url: str, part: Path, size: int | None, show: Callable[[int], None], stop: Event
) -> None:
    """One request, appended to `part`. Raises TryAgain where another may complete it."""
    have = length(part)
    if size is not None and have >= size:
        if have == size:
            return
        discard(part)
        have = 0
    with request(url, resume_headers(url, part, have)) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status == RANGE_NOT_SATISFIABLE:
            if content_range == f"bytes */{have}":
                return  # all of it is here
            discard(part)
            raise TryAgain("the file is shorter than the local part: starting again")
        resumed = response.status == 206
        if resumed and not content_range.startswith(f"bytes {have}-"):
            discard(part)
            raise TryAgain(f"requested byte {have}, got {content_range!r}: starting again")
        start = have if resumed else 0
        announced = response.headers.get("Content-Length", "")
        total = start + int(announced) if announced.isdecimal() else size
        if size is not None and total != size:
            raise FetchError(f"it has {total} bytes, expected {size}")
        need_space(part.parent, (total or 0) - start, f"downloading {url}")
        if not resumed:
            store_validator(url, part, response.headers)
        with disk_errors(part), part.open("ab" if resumed else "wb") as file:
            show(start)
            while chunk := read_chunk(response):
                if stop.is_set():
                    raise Stopped
                file.write(chunk)
                show(file.tell())
                if total is not None and file.tell() > total:
                    raise FetchError(f"it has more than {total} bytes")
            if total is not None and file.tell() < total:
                raise TryAgain(f"the connection closed after {file.tell()} of {total} bytes")


# The network ------------------------------------------------------------------------------------


def request(url: str, headers: Mapping[str, str]):
    """The response to a GET, of status 200, 206 or 416. Raises TryAgain, or FetchError."""
    message = Request(url, headers={"User-Agent": user_agent(), **headers})
    try:
        return urlopen(message, timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code == RANGE_NOT_SATISFIABLE:
            return error
        error.close()
        answer = f"HTTP status {error.code} ({error.reason})"
        if error.code in BUSY:
            raise TryAgain(answer, retry_after(error.headers)) from None
        raise FetchError(answer) from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise TryAgain(f"no connection: {reason or type(error).__name__}") from None


def read_chunk(response) -> bytes:
    # Errors of the disk are OSErrors too: those of the network are converted where they arise.
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise TryAgain(f"the connection broke: {error or type(error).__name__}") from None


@cache
def user_agent() -> str:
    """soundstill/<version of pyproject.toml>: Zenodo requires a user agent."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    version = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return f"soundstill/{version} (audio model distillation)"


def retry_after(headers: Headers) -> float | None:
    """Retry-After in seconds, given in seconds or as an HTTP date; None where absent."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def back_off(attempt: int) -> float:
    """2, 4, 8 … seconds, half of it random, so that two clients do not return together."""
    return min(LONGEST_BACK_OFF_SECONDS, 2.0**attempt) * jitter.uniform(0.5, 1.0)


def pause(seconds: float, stop: Event) -> None:
    if stop.wait(seconds):
        raise Stopped


def print_line(text: str) -> None:
    """A line above the progress bar."""
    tqdm.write(text, file=sys.stderr)


# The unfinished file ----------------------------------------------------------------------------


def length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    validator_of(part).unlink(missing_ok=True)


def validator_of(part: Path) -> Path:
    """The file with the address of the part and the ETag (or date) of that version."""
    return part.with_name(f"{part.name}.etag")


def store_validator(url: str, part: Path, headers: Headers) -> None:
    etag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    with disk_errors(part):
        if validator:
            validator_of(part).write_text(f"{url}\n{validator}\n", encoding="utf-8")
        else:
            validator_of(part).unlink(missing_ok=True)


def resume_headers(url: str, part: Path, have: int) -> dict[str, str]:
    """Range, and If-Range where this address gave the version of the part."""
    if not have:
        return {}
    headers = {"Range": f"bytes={have}-"}
    if validator_of(part).exists():
        source, _, validator = validator_of(part).read_text(encoding="utf-8").partition("\n")
        if source == url and validator.strip():
            headers["If-Range"] = validator.strip()
    return headers
