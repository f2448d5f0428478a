"""The files of a Zenodo record, read once and stored with the data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from config import UserError
from data.download.archive import Archive
from data.download.disk import disk_errors
from data.download.http import FetchError, discard, fetch, print_line


def zenodo_record(
    record: int,
    names: Sequence[str] | None,
    folder: Path,
    api: str = "https://zenodo.org/api/records",
) -> tuple[Archive, ...]:
    """The files of a record (all, or those in `names`, in that order) with their sizes and md5s.

    The record's description is read once and kept as `folder`/zenodo_<record>.json: later calls
    need no connection. A record's number belongs to one version, whose files never change.

    Raises UserError for a record that cannot be read, and for a name that it does not have.
    """
    lock, address = folder / f"zenodo_{record}.json", f"{api}/{record}"
    try:
        files = record_files(lock)
    except (FileNotFoundError, NotADirectoryError):
        files = fetch_record(address, lock)
    except ValueError as error:
        print_line(f"{lock}: {error}; it is read again")
        files = fetch_record(address, lock)
    site = api.partition("/api/")[0]
    archives = []
    for name in files if names is None else names:
        if name not in files:
            raise UserError(f"{lock}: no file {name!r}; the record has {', '.join(sorted(files))}")
        urls = (
            f"{site}/records/{record}/files/{quote(name)}?download=1",
            f"{address}/files/{quote(name)}/content",
        )
        archives.append(Archive(name, urls, *files[name]))
    return tuple(archives)


def fetch_record(address: str, lock: Path) -> dict[str, tuple[int, str | None]]:
    part = lock.with_name(f"{lock.name}.part")
    with disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        discard(part)  # a description is small and may have changed: it is never resumed
    try:
        fetch(address, part)
        files = record_files(part)
        with disk_errors(lock):
            os.replace(part, lock)
        return files
    except (FetchError, ValueError) as error:
        raise UserError(
            f"{address}: {error}; the list of files is read from there once, then kept in {lock}"
        ) from None
    finally:
        discard(part)


def record_files(path: Path) -> dict[str, tuple[int, str | None]]:
    """Name -> size, md5 from a record's description, in either shape that Zenodo has used.

    {"files": [{"key": …, "size": …, "checksum": "md5:…"}]}, or `filename`, `filesize` and a
    checksum without its prefix. Raises ValueError for anything else.
    """
    try:
        files = {}
        for entry in json.loads(path.read_bytes())["files"]:
            algorithm, _, digest = entry["checksum"].rpartition(":")
            size = int(entry["size"] if "size" in entry else entry["filesize"])
            name = entry["key"] if "key" in entry else entry["filename"]
            files[name] = size, digest if algorithm in ("", "md5") else None
        return files
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("found no list of files with name, size and checksum") from None
