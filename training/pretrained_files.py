"""The files of published models, downloaded once into a folder that all runs share."""

from __future__ import annotations

import functools
import json
import os
import time
from pathlib import Path

from tqdm import tqdm

from config import UserError
from config.pretrained import PRETRAINED
from data.atomic_write import write
from data.checksums import sha256_of
from data.download import position_on
from data.download.disk import disk_errors
from data.download.http import FetchError, discard, fetch

CACHE = "SOUNDSTILL_CACHE"  # the environment variable with the folder
WAIT_SECONDS = 0.5


def cache_folder() -> Path:
    """$SOUNDSTILL_CACHE, or ~/.cache/soundstill."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "soundstill")


def pretrained_file(name: str) -> Path:
    """The file of the model `name` of `config.pretrained`, downloaded unless it is there.

    A published sha256 is binding. Where none is published, that of the first download is written
    into NAME.json beside the file, and later ones must equal it. Of several processes on a machine
    the first downloads, the others wait.

    Raises UserError: the address does not serve the file, or it is another one.
    """
    path = cache_folder() / PRETRAINED[name].file
    if not path.exists():
        if int(os.environ.get("LOCAL_RANK", 0)) == 0:
            download(name, path)
        while not path.exists():  # torchrun ends the others where the first one fails
            time.sleep(WAIT_SECONDS)
    check(name, path, path.stat().st_mtime_ns)
    return path


def download(name: str, path: Path) -> None:
    """Fetch into NAME.part, which a later call resumes, and rename it once it is checked."""
    source = PRETRAINED[name]
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    title = f"downloading {name}"
    with tqdm(total=source.bytes, unit="B", unit_scale=True, desc=title, disable=None) as bar:
        try:
            fetch(source.address, part, size=source.bytes, show=position_on(bar))
            if wrong := fault(source.bytes, source.sha256, part):
                discard(part)
                raise FetchError(wrong)
        except FetchError as error:
            raise UserError(
                f"{name} cannot be downloaded from {source.address}: {error}; start again later, "
                f"or put the file there by hand: {path}, or set {CACHE} to another folder"
            ) from None
    with disk_errors(path):
        os.replace(part, path)
    discard(part)


@functools.cache
def check(name: str, path: Path, changed: int) -> None:
    """Compare with the published or recorded size and sha256, or record them. Raises UserError.

    `changed` is the file's time: one that has changed is checked again.
    """
    source = PRETRAINED[name]
    record = path.with_name(f"{path.name}.json")
    size, sha256 = source.bytes, source.sha256
    if sha256 is None and record.exists():
        found = json.loads(record.read_bytes())
        size, sha256 = found["bytes"], found["sha256"]
    if wrong := fault(size, sha256, path):
        raise UserError(f"{path}: {wrong}; delete it, and it is downloaded again")
    if sha256 is None:
        facts = {
            "address": source.address,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
        write(record, json.dumps(facts, indent=1))


def fault(size: int | None, sha256: str | None, path: Path) -> str:
    """How a file differs from the expected size and sha256; empty if it does not."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"it has {found} bytes, expected {size}"
    if sha256 is not None and (actual := sha256_of(path)) != sha256:
        return f"its sha256 is {actual}, expected {sha256}"
    return ""
