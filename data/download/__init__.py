"""Public archives into a folder: downloaded where missing, checked, unpacked and recorded.

Everything in the folder is either complete or has the suffix `.part`. A second call does nothing;
archives that were put there by hand are checked and used, without any connection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

from tqdm import tqdm

from config import UserError
from data.atomic_write import write
from data.download.archive import Archive, bundles, fault
from data.download.disk import disk_errors, in_words, need_space
from data.download.http import FetchError, discard, fetch, length, print_line
from data.download.unpacking import is_archive, unpack
from data.download.zenodo import zenodo_record

__all__ = ["Archive", "download", "zenodo_record"]

AT_A_TIME = 2  # Zenodo blocks clients that open more
UNPACKED_SHARE = 1.5  # of the packed size; 1.1 (24-bit) to 1.4 (16-bit) on the public sets


def download(archives: Sequence[Archive], folder: Path) -> None:
    """Download and unpack all archives into `folder`; skips what is done already.

    The volumes of a split zip (NAME.z01, NAME.z02, …, NAME.zip) are unpacked together. An archive
    may be deleted once it is unpacked.

    Raises UserError: too little space (checked before the first byte), no address that serves the
    file, a file with another size or md5, a damaged or malicious archive.
    """
    missing = [bundle for bundle in bundles(archives) if not is_done(bundle, folder)]
    if not missing:
        return
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = []
    for archive in (archive for bundle in missing for archive in bundle):
        path = folder / archive.name
        if not path.exists():
            wanted.append(archive)
        elif wrong := accept(archive, path):
            raise UserError(f"{path}: {wrong}; delete it and start again, and it is downloaded")
    need_space(folder, space(missing, wanted, folder), "downloading and unpacking")
    if wanted:
        fetch_all(wanted, folder)
    for bundle in missing:
        contents = [bundle[-1].name]
        if is_archive(bundle[-1].name):
            contents = unpack([folder / archive.name for archive in bundle], folder)
        record_done(bundle, contents, folder)


def accept(archive: Archive, path: Path) -> str:
    """Why the file is wrong, or ""; where its md5 is not binding, that is only a warning."""
    wrong = fault(archive, path)
    if wrong and not archive.md5_is_binding:
        print_line(
            f"warning: {archive.name}: {wrong}; its host repacks it now and then: used as it is"
        )
        return ""
    return wrong


def space(missing: Sequence[Sequence[Archive]], wanted: Sequence[Archive], folder: Path) -> int:
    """Bytes still to be written, packed and unpacked; files of unknown size do not count."""
    packed = sum(max(0, (a.size or 0) - length(part_of(a, folder))) for a in wanted)
    to_unpack = sum(
        length(folder / archive.name) or archive.size or 0
        for bundle in missing
        if is_archive(bundle[-1].name)
        for archive in bundle
    )
    return packed + int(UNPACKED_SHARE * to_unpack)


# Fetching ---------------------------------------------------------------------------------------


def fetch_all(archives: Sequence[Archive], folder: Path) -> None:
    """Fetch two at a time. The first error stops both; their parts are kept for the next call."""
    sizes = [archive.size for archive in archives if archive.size is not None]
    total = sum(sizes) if len(sizes) == len(archives) else None
    print_line(f"{folder}: {len(archives)} to download{f', {in_words(total)}' if total else ''}")
    stop, pool = Event(), ThreadPoolExecutor(AT_A_TIME)
    with tqdm(total=total, unit="B", unit_scale=True, desc="downloading", disable=None) as bar:
        try:
            jobs = [pool.submit(fetch_one, a, folder, position_on(bar), stop) for a in archives]
            for job in wait(jobs, return_when=FIRST_EXCEPTION).done:
                job.result()
        finally:  # after an error or Ctrl-C, the other one ends at its next chunk
            stop.set()
            pool.shutdown(cancel_futures=True)


def position_on(bar: tqdm) -> Callable[[int], None]:
    """A function that takes the position in one file and advances the common bar accordingly."""
    before = 0

    def show(position: int) -> None:
        nonlocal before
        with bar.get_lock():
            bar.update(position - before)
        before = position

    return show


def fetch_one(archive: Archive, folder: Path, show: Callable[[int], None], stop: Event) -> None:
    """Fetch an archive from the first of its addresses that serves the right bytes."""
    part, reasons = part_of(archive, folder), []
    for url in archive.urls:
        try:
            fetch_checked(url, archive, part, show, stop)
        except FetchError as error:
            reasons.append(f"\n  {url}: {error}")
            continue
        with disk_errors(part):
            os.replace(part, folder / archive.name)
        discard(part)
        return
    raise UserError(
        f"{archive.name}: no address serves it:{''.join(reasons) or ' none is known'}\n"
        f"start again later, or put it into {folder} by hand "
        f"(size {archive.size or 'unknown'}, md5 {archive.md5 or 'unknown'})"
    )


def fetch_checked(
    url: str, archive: Archive, part: Path, show: Callable[[int], None], stop: Event
) -> None:
    """Fetch into `part` and check it; raises FetchError for wrong bytes and removes them.

    A part from an earlier call or another address may be of another version: it gets a second try,
    from the first byte.
    """
    size = archive.size if archive.md5_is_binding else None
    for begun in (length(part) > 0, False):
        fetch(url, part, size=size, show=show, stop=stop)
        wrong = accept(archive, part)
        if not wrong:
            return
        discard(part)
        if not begun:
            raise FetchError(wrong)


def part_of(archive: Archive, folder: Path) -> Path:
    return folder / f"{archive.name}.part"


# Records ----------------------------------------------------------------------------------------


def marker(bundle: Sequence[Archive], folder: Path) -> Path:
    return folder / f".{bundle[-1].name}.done"


def record_done(bundle: Sequence[Archive], contents: Sequence[str], folder: Path) -> None:
    """Record which files were unpacked and their contents, for `is_done`."""
    record = {"md5": {a.name: a.md5 for a in bundle}, "contents": list(contents)}
    path = marker(bundle, folder)
    with disk_errors(path):
        write(path, json.dumps(record, indent=1))


def is_done(bundle: Sequence[Archive], folder: Path) -> bool:
    """Whether these files were unpacked here and their contents are still there."""
    path = marker(bundle, folder)
    try:
        record = json.loads(path.read_bytes())
        same = all(
            a.name in record["md5"] and a.md5 in (None, record["md5"][a.name]) for a in bundle
        )
        return same and all((folder / name).exists() for name in record["contents"])
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (ValueError, LookupError, TypeError):
        print_line(f"{path}: unreadable; its archive is checked and unpacked again")
        return False
