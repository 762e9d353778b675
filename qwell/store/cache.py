"""Copies that can be made or brought again: decoded splits, shards of remote data sets, models.

    <root>/mirror|remote|models/<digest>/         an entry: the files of one version
    <root>/mirror|remote|models/<digest>.json     what it is called; its time is when the entry was last used

A process holds a shared `flock` on the second while it uses the entry, until it ends: what is held is never
removed. `QWELL_CACHE_SIZE` bounds the whole; what was used longest ago goes first.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qwell.errors import warn
from qwell.files import is_at, make_directory, write_error
from qwell.progress import in_bytes, parse_bytes

KINDS = {
    "mirror": "decoded split",
    "remote": "remote data set",
    "models": "model",
}  # by directory
LIMIT = "QWELL_CACHE_SIZE"
_HELD: dict[Path, int] = {}  # descriptors of the files that this process holds, until it ends


def cache_root() -> Path:
    """`$QWELL_CACHE`, or `qwell` in `$XDG_CACHE_HOME`, or `~/.cache/qwell`. May be deleted at any time."""
    if chosen := os.environ.get("QWELL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qwell"


def limit() -> int | None:
    """Bytes that the cache may take, `$QWELL_CACHE_SIZE`; None if that is not set.

    Raises InvalidInput if it is no size.
    """
    return parse_bytes(os.environ.get(LIMIT) or None, LIMIT)


@dataclass(frozen=True)
class Entry:
    """One version of something in the cache.

    Arguments:
        kind: of KINDS.
        digest: the beginning of its version.
        name: of the data set or model; empty if that is not known.
        path: its directory.
        bytes: of all its files.
        used: when it was last used, seconds since 1970.
        held: whether a running process uses it.
    """

    kind: str
    digest: str
    name: str
    path: Path
    bytes: int
    used: float
    held: bool

    @property
    def age(self) -> float:
        """Seconds since it was last used."""
        return max(time.time() - self.used, 0.0)


def use(kind: str, digest: str, name: str = "") -> Path:
    """The directory of an entry, made if it is missing, and held by this process from now on.

    Arguments:
        kind: of KINDS.
        digest: the version.
        name: of the data set or model, for people.

    Raises InvalidInput if `$QWELL_CACHE_SIZE` is no size, WriteError if the disk refuses.
    """
    limit()
    folder = cache_root() / kind / digest[:32]
    about = folder.with_suffix(".json")
    make_directory(folder)
    try:
        _hold(about)
        if name and not about.stat().st_size:
            about.write_text(json.dumps({"name": name}) + "\n")
        os.utime(about)
    except OSError as error:
        raise write_error(error, about) from error
    make_directory(folder)  # somebody may have removed it until it was held
    return folder


def _hold(about: Path) -> None:
    """Share the lock on a file with others who use the entry, unless this process does already."""
    while about not in _HELD or not is_at(_HELD[about], about):  # who had it alone may have removed it
        if about in _HELD:
            os.close(_HELD.pop(about))
        descriptor = os.open(about, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _HELD[about] = descriptor


def release() -> None:
    """Let go of all entries that this process holds."""
    while _HELD:
        os.close(_HELD.popitem()[1])


def entries() -> list[Entry]:
    """All there is in the cache, the last used first."""
    found = [
        _entry(kind, folder)
        for kind in KINDS
        if (cache_root() / kind).is_dir()
        for folder in (cache_root() / kind).iterdir()
        if folder.is_dir()
    ]
    return sorted(found, key=lambda entry: -entry.used)


def _entry(kind: str, folder: Path) -> Entry:
    about = folder.with_suffix(".json")
    name, held, size, times = "", False, 0, [0.0]
    for file in folder.rglob("*"):
        with suppress(OSError):  # it has just gone
            size, times = size + file.lstat().st_size, [*times, file.lstat().st_mtime]
    with suppress(OSError, ValueError, AttributeError):
        times = [about.stat().st_mtime]
        held = not _free(about)
        name = str(json.loads(about.read_text()).get("name", ""))
    return Entry(kind, folder.name, name, folder, size, max(times), held)


def _free(about: Path) -> bool:
    """Whether nobody holds the lock on a file."""
    descriptor = os.open(about, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(entry: Entry) -> bool:
    """Delete an entry, unless a running process uses it. Returns whether it is gone."""
    about = entry.path.with_suffix(".json")
    descriptor = os.open(about, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_at(descriptor, about):  # another process has just removed it; who needs it makes it anew
            return not entry.path.exists()
        with suppress(FileNotFoundError):  # the same
            shutil.rmtree(entry.path)
        about.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except OSError as error:
        raise write_error(error, entry.path) from error
    finally:
        os.close(descriptor)
    return True


def make_room(coming: int = 0) -> None:
    """Remove what was used longest ago and is not in use, until so many more bytes keep within the limit.

    Warns if they do not even so.
    """
    most = limit()
    if most is None:
        return
    there = entries()
    total = sum(entry.bytes for entry in there) + coming
    for entry in sorted(there, key=lambda entry: entry.used):
        if total > most and not entry.held and remove(entry):
            total -= entry.bytes
    if total > most:
        warn(
            f"the cache {cache_root()} grows to {in_bytes(total)}, beyond {LIMIT} ({in_bytes(most)}): what is"
            " new and what is in use take more; raise the limit, or end what uses it"
        )
