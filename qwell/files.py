"""Whole files or none: atomic writes, durable renames, checksums, and a lock that dies with its owner."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from qwell.errors import DatasetLocked, QwellError, WriteError

PIECE = 1 << 20  # bytes read at a time
SYNCED_AT_ONCE = 16

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, or write elsewhere with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or write elsewhere with --out",
    errno.EACCES: "permission denied: choose a directory you may write to with --out",
    errno.EPERM: "not permitted: choose a directory you may write to with --out",
    errno.EROFS: "the file system is read-only: write elsewhere with --out",
    errno.ENOTDIR: "a part of the path is a file, not a directory: write elsewhere with --out",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter --out",
}


def write_error(error: OSError, path: Path) -> WriteError:
    """Turn an OSError met while writing `path` into one that names the remedy."""
    remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; write elsewhere with --out")
    return WriteError(f"cannot write {path}: {remedy}")


def make_directory(path: Path) -> None:
    """Create a directory and its parents; WriteError with the remedy if refused."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from error


def sync_file(path: Path) -> None:
    """Make the content of a file, or the names in a directory, survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_files(root: Path, names: Iterable[str]) -> None:
    """Make files below a directory, and all directories on the way to them, survive a power cut.

    Many at a time: the disk then writes its journal once for all that wait.
    """
    files, directories = list(names), {""}
    for name in files:
        while (name := name.rpartition("/")[0]) and name not in directories:
            directories.add(name)
    with ThreadPoolExecutor(SYNCED_AT_ONCE) as threads:
        for some in (files, directories):
            for _ in threads.map(sync_file, (root / name for name in some)):
                pass


@contextmanager
def whole_file(
    path: Path, scratch: Path | None = None, durable: bool = True, previous: Path | None = None
) -> Iterator[Path]:
    """Give a temporary name to write at, so that at `path` there is at any moment nothing, or a whole file.

    It has the suffix of `path` and is there already, empty; it is renamed to `path` when the block ends, and
    removed if the block raises. The file gets the mode that the umask gives to new files, whoever writes it.

    Arguments:
        path: where the file goes; parents are created.
        scratch: where the temporary file lies until it is whole, on the same file system; by default
            beside `path`.
        durable: also after a power cut. Left out where the content is checked by sha256 before it is
            trusted and synced later: it costs a commit of the disk's journal each time.
        previous: what is at `path` is kept under this name.

    Raises WriteError with the remedy for an OSError, also for one in the block, but for errors of ours.
    """
    temporary = (scratch or path.parent) / f".{path.stem}.{uuid4().hex}.tmp{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        temporary.chmod(mode)
        if durable:
            sync_file(temporary)
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        if durable:
            sync_file(path.parent)
    except QwellError:
        raise
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write(
    path: Path, content: bytes | memoryview, scratch: Path | None = None, durable: bool = True
) -> None:
    """Write the bytes `content` into the file `path`, whole or not at all; arguments as of `whole_file`."""
    with whole_file(path, scratch, durable) as temporary:
        temporary.write_bytes(content)


class Readable(Protocol):
    """An open file, from which so many bytes are read."""

    def read(self, size: int, /) -> bytes: ...


def file_sha256(path: Path) -> str:
    """sha256 of a file's content, in hexadecimal, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(file: Readable) -> str:
    """sha256 of what is left to read of an open file, in hexadecimal; files from afar may only read."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def dump_json(obj: object) -> bytes:
    """Canonical JSON: sorted keys, one-space indent, no NaN, final newline."""
    return (json.dumps(obj, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def json_text(obj: object) -> str:
    """JSON for people and scripts: in the order given, null for NaN and infinity, text for paths."""
    return json.dumps(_plain(obj), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """The same with null for what is no number, as JSON has none, and paths as text."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seal(content: Mapping[str, Any]) -> bytes:
    """An object as canonical JSON that vouches for itself: `sha256` is the checksum of all the rest."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return dump_json({**rest, "sha256": hashlib.sha256(dump_json(rest)).hexdigest()})


def read_sealed(path: Path) -> dict[str, Any]:
    """The JSON object in a file; one that has a `sha256` must be, to the bit, what that says.

    Raises:
        OSError: it cannot be read.
        ValueError: no object in JSON, or not the one that was written.
    """
    text = path.read_bytes()
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error
    if not isinstance(content, dict):
        raise ValueError("it holds no object")
    if "sha256" in content and seal(content) != text:
        raise ValueError(
            "it is not what its sha256 says; bring it again from where it came, or, if it was changed on"
            ' purpose, take the line "sha256" out'
        )
    return content


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or directory is (still) the one at `path`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


class DirectoryLock:
    """A lock on a directory, held by this process until `release` or its death.

    Arguments:
        path: the directory.
        share: let others in that share it too, and keep out those who want it alone.
        wait: until it is free, instead of raising.
        patience: seconds in which it is tried again before raising.
        remedy: what an error says may be done.

    Raises DatasetLocked if another process holds it.
    """

    def __init__(
        self,
        path: Path,
        share: bool = False,
        wait: bool = False,
        patience: float = 0.0,
        remedy: str = "wait until it has finished, or choose another --out",
    ) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        kind = fcntl.LOCK_SH if share else fcntl.LOCK_EX
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._fd, kind if wait else kind | fcntl.LOCK_NB)
                return
            except OSError as error:
                if time.monotonic() >= until:
                    os.close(self._fd)
                    raise DatasetLocked(f"another process is writing {path}; {remedy}") from error
            time.sleep(0.01)

    def holds(self, path: Path) -> bool:
        """Whether the directory locked is (still) the one at `path`."""
        return is_at(self._fd, path)

    def release(self) -> None:
        """Let others in."""
        os.close(self._fd)

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(self, *reason: object) -> None:
        self.release()
