"""Checksums (SHA-256) of finished files: what was changed, cut or deleted later is noticed.

A record is a JSON file that is written last, so that the files which it lists are complete:

    {..., "files": {"weights.safetensors": "9f86d0...", ...}, "checksum": "2c26b4..."}

`files` has the checksum of each file beside it, `checksum` that of the rest of the record. A single
binary file ends with its own checksum instead, see `write_sealed`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from config import UserError
from data.atomic_write import atomic_write, write

CHANGED = "changed or damaged, its checksum is wrong"
SEAL_BYTES = hashlib.sha256().digest_size


class Damaged(UserError):
    """A file is missing, or its content is not what was written."""


class Record(dict[str, Any]):
    """Of another version of this program, where an entry is missing: that raises Damaged."""

    def __init__(self, path: Path, remedy: str, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.path, self.remedy = path, remedy

    def __missing__(self, name: str) -> Any:
        raise Damaged(f"{self.path}: without {name!r}, so of another version; {self.remedy}")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_of_text(text: str) -> str:
    return sha256_of_bytes(text.encode())


def write_record(path: Path, content: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """`files`: the name of each finished file in the folder of `path` -> its SHA-256."""
    write(path, record_text(content, files))


def record_text(content: Mapping[str, Any], files: Mapping[str, str]) -> str:
    record = {**content, "files": dict(files)}
    return json.dumps({**record, "checksum": sha256_of_text(json.dumps(record))}, indent=1)


def read_record(path: Path, remedy: str) -> dict[str, Any]:
    """The content and `files` of a record. Raises Damaged, with `remedy` at the end, also where an
    entry is read that the record, or its `settings`, of another version of this program lacks.
    """
    try:
        record = json.loads(path.read_bytes())
        if record.pop("checksum") == sha256_of_text(json.dumps(record)):
            for name in {"files", "settings"} & record.keys():
                record[name] = Record(path, remedy, record[name])
            return Record(path, remedy, record)
    except FileNotFoundError:
        raise Damaged(f"{path}: missing; {remedy}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # not JSON any more, or another kind of JSON
    raise Damaged(f"{path}: {CHANGED}; {remedy}")


def check_files(folder: Path, files: Mapping[str, str], remedy: str) -> None:
    """Read all files and compare them, on several cores. Raises Damaged that names the first."""

    def fault(name: str) -> str:
        try:
            return "" if sha256_of(folder / name) == files[name] else CHANGED
        except FileNotFoundError:
            return "missing"

    with ThreadPoolExecutor() as pool:
        for name, found in zip(files, pool.map(fault, files), strict=True):
            if found:
                raise Damaged(f"{folder / name}: {found}; {remedy}")


def read_finished(path: Path, remedy: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """A record whose files are checked, all of them or those of these names. Raises Damaged."""
    record = read_record(path, remedy)
    files = record["files"]
    check_files(path.parent, files if names is None else {n: files[n] for n in names}, remedy)
    return record


def write_sealed(path: Path, *content: bytes | memoryview) -> None:
    """A file that ends with its own checksum."""
    digest = hashlib.sha256()
    with atomic_write(path) as file:
        for part in content:
            file.write(part)
            digest.update(part)
        file.write(digest.digest())


def unsealed(content: bytes | memoryview) -> memoryview | None:
    """What `write_sealed` was given; None where any byte of the file changed or is missing."""
    content = memoryview(content)
    inner, seal = content[:-SEAL_BYTES], content[-SEAL_BYTES:]
    return inner if hashlib.sha256(inner).digest() == bytes(seal) else None
