"""Untrusted archives: nothing is written outside the folder, and no partial content remains."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from config import UserError
from data.download.disk import disk_errors, need_space
from data.download.split_zip import open_zip
from data.tables.clips import first_of

DAMAGE = (
    zipfile.BadZipFile,
    struct.error,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
    RuntimeError,  # a password, or a compression that Python lacks
)


def is_archive(name: str) -> bool:
    return name.lower().endswith((".zip", ".tar.gz", ".tgz", ".tar"))


def unpack(volumes: Sequence[Path], folder: Path) -> list[str]:
    """Unpack one archive, or the volumes of a split zip in their order; -> top-level names.

    It is unpacked into a hidden folder and moved into `folder` when complete: existing folders are
    merged, existing files replaced.

    Raises UserError for a damaged archive (of a zip, all damaged entries are counted), an entry
    that would leave the folder (absolute name, `..`, a link that leads up), a device, or a full
    disk, after which nothing of the archive remains.
    """
    archive = volumes[-1]
    aside = folder / f".{archive.name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    try:
        with disk_errors(aside):
            aside.mkdir()
            if archive.name.lower().endswith(".zip"):
                extract_zip(volumes, aside)
            else:
                extract_tar(archive, aside)
            names = sorted(os.listdir(aside))
            merge(aside, folder)
            return names
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def extract_zip(volumes: Sequence[Path], aside: Path) -> None:
    archive, broken = volumes[-1], []
    try:
        with open_zip(volumes) as source:
            entries = source.infolist()
            need_space(aside, sum(entry.file_size for entry in entries), f"unpacking {archive}")
            for entry in tqdm(entries, f"unpacking {archive.name}", unit="file", disable=None):
                check_name(archive, entry.filename)
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise refused(archive, entry.filename, "is a link or a device")
                target = aside / entry.filename
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with source.open(entry) as packed, target.open("wb") as file:
                        shutil.copyfileobj(packed, file, 1 << 20)  # BadZipFile for a wrong CRC
                except DAMAGE as error:
                    broken.append(f"{entry.filename}: {error or type(error).__name__}")
    except DAMAGE as error:
        raise damaged(archive, error) from None
    if broken:
        found = f"damaged entries: {len(broken)} of {len(entries)}"
        raise damaged(archive, found, first_of(broken))


def extract_tar(archive: Path, aside: Path) -> None:
    try:
        with tarfile.open(archive, "r:" if archive.suffix.lower() == ".tar" else "r:gz") as source:
            for entry in tqdm(source, f"unpacking {archive.name}", unit="file", disable=None):
                check_name(archive, entry.name)
                if entry.issym() or entry.islnk():
                    # No name and no link leads up: so no chain of links can leave the folder.
                    check_name(archive, entry.linkname, f"{entry.name} is a link that")
                elif not (entry.isfile() or entry.isdir()):
                    raise refused(archive, entry.name, "is a device or a pipe")
                source.extract(entry, aside, filter="data")
            while source.fileobj.read(1 << 20):  # to the very end, where gzip keeps its checksum
                pass
    except DAMAGE as error:
        raise damaged(archive, error) from None


def check_name(archive: Path, name: str, subject: str = "") -> None:
    """Raise UserError for a name that can leave the folder: absolute, a drive's, or with `..`."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise refused(archive, name, "leads out of the folder", subject)


def merge(source: Path, target: Path) -> None:
    """Move the contents of `source` into `target`, which may have some of its folders already."""
    for item in source.iterdir():
        place = target / item.name
        if item.is_dir() and not item.is_symlink() and place.is_dir():
            merge(item, place)
        else:
            os.replace(item, place)


def refused(archive: Path, name: str, why: str, subject: str = "") -> UserError:
    subject = f"{subject} {why}: {name!r}" if subject else f"{name!r} {why}"
    return UserError(f"{archive}: {subject}; nothing was unpacked, do not trust this archive")


def damaged(archive: Path, error: Exception | str, listed: str = "") -> UserError:
    why = error or type(error).__name__
    return UserError(f"{archive}: cannot be unpacked: {why}; delete it and start again{listed}")
