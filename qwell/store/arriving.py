"""A file that comes from afar: whole and of the sha256 expected, or not at all; what has arrived is kept.

Until it is whole it grows as `.<name>.part` beside its place, where this or a later process goes on. Of two
that want the same file one brings it, and the other waits for it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias
from uuid import uuid4

from qwell.errors import QwellError, TransferError
from qwell.files import file_sha256, is_at, write_error

PATIENCE = 60  # seconds that another process may bring nothing, until it is not waited for any longer
Pieces: TypeAlias = tuple[int, Generator[bytes]]  # where they start, and the bytes from there on


def bring(
    pieces_from: Callable[[int], Pieces], target: Path, sha256: str, expected: int | None = None
) -> int:
    """Bring a file to `target`. Returns its bytes.

    Arguments:
        pieces_from: what gives the content from a byte on; it may start earlier.
        target: where to; parents are created.
        sha256: of the whole.
        expected: bytes of the whole, if known; no more are ever taken.

    Raises:
        OSError: what comes is not that file; it may be another time.
        TransferError: it is far from it.
        WriteError: the local disk refuses.
    """
    with _part(target) as (part, waited):
        if waited and target.is_file() and file_sha256(target) == sha256:  # another process has brought it
            return target.stat().st_size
        start, pieces = pieces_from(part.seek(0, os.SEEK_END))
        with closing(pieces):  # here and now, not when nobody looks
            _written(target, part.truncate, start)
            part.seek(start)
            for piece in pieces:
                if expected is not None and part.tell() + len(piece) > expected:
                    part.truncate(0)
                    much = f"more than the {expected} bytes recorded came"
                    raise (OSError if start else TransferError)(much)
                _written(target, part.write, piece)
        size = part.tell()
        if expected is not None and size < expected:
            raise OSError(f"{size} bytes came that are not those of the manifest ({expected} bytes)")
        _written(target, part.flush)
        if file_sha256(Path(part.name)) != sha256:
            part.truncate(0)
            raise OSError(f"{size} bytes came that are not those of the manifest")
        _written(target, os.replace, part.name, target)
    return size


def _written(target: Path, action: Callable[..., object], *arguments: object) -> None:
    """Do something to the local disk; WriteError if that refuses, so that nobody asks the network again."""
    try:
        action(*arguments)
    except QwellError:
        raise
    except OSError as error:
        raise write_error(error, target) from error


@contextmanager
def _part(target: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """The file that grows, at its end, and whether another process was waited for, which had it."""
    name = target.with_name(f".{target.name}.part")
    _written(target, lambda: target.parent.mkdir(parents=True, exist_ok=True))
    file, waited = _locked(target, name)
    with file:
        try:
            yield file, waited
        finally:
            with suppress(OSError):
                file.flush()
            part = Path(file.name)
            if is_at(file.fileno(), part) and not (part == name and part.stat().st_size):
                part.unlink()  # nothing in it, or nobody would find it
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # also for processes that were forked meanwhile


def _locked(target: Path, name: Path) -> tuple[IO[bytes], bool]:
    """The file of this name, locked, and whether another process was waited for.

    A file of another name, if there are no locks here or the other process brings nothing any more.
    """
    waited, size, since = False, -1, time.monotonic()
    while time.monotonic() - since < PATIENCE:
        file = _opened(target, name)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(file.fileno(), name):
                return file, waited
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            file.close()
            break
        waited, now = True, os.fstat(file.fileno()).st_size
        file.close()
        if now != size:
            size, since = now, time.monotonic()
    return _opened(target, target.with_name(f".{target.name}.{uuid4().hex}.part")), waited


def _opened(target: Path, name: Path) -> IO[bytes]:
    opened: list[IO[bytes]] = []
    _written(target, lambda: opened.append(name.open("ab")))
    return opened[0]
