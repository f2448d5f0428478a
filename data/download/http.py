"""One file over HTTP in as many pieces as the network needs: resumed, patient and polite.

Hosts of public data sets throttle clients that have no name or no patience. This one says who it
is, waits as long as it is told to, and does not ask again for bytes that it has.
"""

from __future__ import annotations

import random
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException
from pathlib import Path
from threading import Event
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from data.download.disk import need_space, writing

TIMEOUT_SECONDS = 60.0  # without a byte
ATTEMPTS = 6  # in a row that bring nothing new
LONGEST_BACK_OFF_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 900.0  # that a server may ask for before we give up
CHUNK_BYTES = 1 << 16
BUSY = {408, 425, 429, 500, 502, 503, 504}
RANGE_NOT_SATISFIABLE = 416

jitter = random.Random()  # its own generator: a download never disturbs a seeded run


class FetchError(Exception):
    """This address does not give the file; another one may."""


class TryAgain(Exception):
    """The same address may give it in a while: after `seconds`, where the server says so."""

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
    """Bring `part` up to all bytes of `url`, from where it ends now.

    `size` is what the whole file must have, where it is known; `show` is told the position in
    bytes; `stop` ends the download at the next chunk. On an error, `part` keeps what it has for
    the next call.

    Raises FetchError (the address is of no use), Stopped, and UserError (the disk is full).
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
                raise FetchError(f"{trouble}; come back in {seconds / 60:.0f} minutes") from None
            seconds += jitter.random()
            note(f"{url}: {trouble}; next attempt in {seconds:.0f} s")
            pause(seconds, stop)


def receive(
    url: str, part: Path, size: int | None, show: Callable[[int], None], stop: Event
) -> None:
    """One request, appended to `part`. Raises TryAgain where another may bring the rest."""
    have = length(part)
    if size is not None and have >= size:
        if have == size:
            return
        discard(part)
        have = 0
    with ask(url, resume_headers(url, part, have)) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status == RANGE_NOT_SATISFIABLE:
            if content_range == f"bytes */{have}":
                return  # all of it is here
            discard(part)
            raise TryAgain("the file is shorter than what is here: starting anew")
        resumed = response.status == 206
        if resumed and not content_range.startswith(f"bytes {have}-"):
            discard(part)
            raise TryAgain(f"asked for byte {have}, got {content_range!r}: starting anew")
        start = have if resumed else 0
        announced = response.headers.get("Content-Length", "")
        total = start + int(announced) if announced.isdecimal() else size
        if size is not None and total != size:
            raise FetchError(f"it has {total} bytes, want {size}")
        need_space(part.parent, (total or 0) - start, f"downloading {url}")
        if not resumed:
            remember_validator(url, part, response.headers)
        with writing(part), part.open("ab" if resumed else "wb") as file:
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


def ask(url: str, headers: Mapping[str, str]):
    """The response to a GET, of status 200, 206 or 416. Raises TryAgain, or FetchError."""
    request = Request(url, headers={"User-Agent": user_agent(), **headers})
    try:
        return urlopen(request, timeout=TIMEOUT_SECONDS)
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
    # The disk's errors are OSErrors too: the network's get a name of their own where they arise.
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise TryAgain(f"the connection broke: {error or type(error).__name__}") from None


@cache
def user_agent() -> str:
    """soundstill/<version of pyproject.toml>: Zenodo asks every tool to name itself."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    version = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return f"soundstill/{version} (audio model distillation)"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, itself in seconds or an HTTP date; None where absent."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def back_off(attempt: int) -> float:
    """2, 4, 8 … seconds, half of it by chance, so that two clients do not come back together."""
    return min(LONGEST_BACK_OFF_SECONDS, 2.0**attempt) * jitter.uniform(0.5, 1.0)


def pause(seconds: float, stop: Event) -> None:
    if stop.wait(seconds):
        raise Stopped


def note(text: str) -> None:
    """A line above the progress bar."""
    tqdm.write(text, file=sys.stderr)


# The unfinished file ----------------------------------------------------------------------------


def length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    validator_of(part).unlink(missing_ok=True)


def validator_of(part: Path) -> Path:
    """Beside the part: the address it came from and the ETag (or date) of that version."""
    return part.with_name(f"{part.name}.etag")


def remember_validator(url: str, part: Path, headers: Mapping[str, str]) -> None:
    etag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    with writing(part):
        if validator:
            validator_of(part).write_text(f"{url}\n{validator}\n", encoding="utf-8")
        else:
            validator_of(part).unlink(missing_ok=True)


def resume_headers(url: str, part: Path, have: int) -> dict[str, str]:
    """Range, and If-Range where this very address told what version the part is of."""
    if not have:
        return {}
    headers = {"Range": f"bytes={have}-"}
    if validator_of(part).exists():
        source, _, validator = validator_of(part).read_text(encoding="utf-8").partition("\n")
        if source == url and validator.strip():
            headers["If-Range"] = validator.strip()
    return headers
