"""A file that comes from afar: whole and of the sha256 expected, or not at all; what has arrived is kept.

Until it is whole it grows as `.<name>.part` beside its place, where this or a later process goes on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias
from uuid import uuid4

from qwell.errors import QwellError, TransferError
from qwell.files import file_sha256, write_error

Pieces: TypeAlias = tuple[int, Iterator[bytes]]  # where they start, and the bytes from there on


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
    with _part(target) as part:
        start, pieces = pieces_from(part.seek(0, os.SEEK_END))
        _written(target, part.truncate, start)
        part.seek(start)
        for piece in pieces:
            _written(target, part.write, piece)
            if expected is not None and part.tell() > expected:
                part.truncate(0)
                raise (OSError if start else TransferError)(f"more than the {expected} bytes recorded came")
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
def _part(target: Path) -> Iterator[IO[bytes]]:
    """The file that grows, at its end; of another name if another process is at it."""
    name = target.with_name(f".{target.name}.part")
    _written(target, lambda: target.parent.mkdir(parents=True, exist_ok=True))
    opened: list[IO[bytes]] = []
    _written(target, lambda: opened.append(name.open("ab")))
    if not _alone(opened[0], name):
        opened.pop().close()
        name = target.with_name(f".{target.name}.{uuid4().hex}.part")
        _written(target, lambda: opened.append(name.open("ab")))
    with opened[0] as file:
        try:
            yield file
        finally:
            with suppress(OSError):
                file.flush()
            if name.exists() and not (name.name == f".{target.name}.part" and name.stat().st_size):
                name.unlink(missing_ok=True)  # nothing in it, or nobody would find it


def _alone(file: IO[bytes], name: Path) -> bool:
    """Lock the file; whether that could be done, and it still is the one of that name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except OSError:
        return False
