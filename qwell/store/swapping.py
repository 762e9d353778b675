"""Changing a small file at a place only if nobody else did: compare, and swap.

S3 compares by itself (`If-None-Match`, `If-Match`). On file systems, here or behind ssh, a directory that
only one can make is the lock of a moment. Other object stores of fsspec create only if nothing is there; a
later change they simply write, and one of the same milliseconds is not noticed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from qwell.errors import TransferError
from qwell.store.places import RENAMES, Place
from qwell.store.refusals import is_refused_condition

SFTP = ("ssh", "sftp")
LOCKED_FOR = 30  # seconds after which a lock is that of a process that died
LIMIT = 2**16  # bytes of such a file


def swap(place: Place, name: str, content: bytes, expected: bytes | None) -> bool:
    """Write a small file if it still is as expected; whether it was. Of several at once, one succeeds.

    Arguments:
        place: where it is.
        name: of the file.
        content: what it is to be.
        expected: what it is now; None if it is not there.

    Raises TransferError if the place refuses.
    """
    if place.protocol in RENAMES:
        with _lock_of(place, name) as token:
            if now(place, name) != expected or not place.fs.exists(token):
                return False
            place.write(name, content)
            return True
    return place.attempt(f"cannot write {place.url}/{name}", lambda: _swapped(place, name, content, expected))


def now(place: Place, name: str) -> bytes | None:
    """What a small file is; None if it is not there."""
    with suppress(FileNotFoundError):
        return place.read(name, LIMIT)
    return None


def _swapped(place: Place, name: str, content: bytes, expected: bytes | None) -> bool:
    fs, path = place.fs, place.at(name)
    conditions: dict[str, Any] = {"mode": "create"}
    if expected is not None:
        fs.invalidate_cache()
        mark = fs.info(path).get("ETag")  # before it is read: a later change is noticed
        if now(place, name) != expected:
            return False
        conditions = {"IfMatch": mark} if place.protocol in ("s3", "s3a") else {}
    try:
        fs.pipe_file(path, content, **conditions)
    except OSError as error:
        if is_refused_condition(error):
            return False
        raise
    return True


@contextmanager
def _lock_of(place: Place, name: str) -> Iterator[str]:
    """Be the only one to write a file of a file system; gives a file that is there while that is so."""
    lock = place.at(f"{name}.lock")
    token = f"{lock}/{uuid4().hex}"

    def make() -> bool:
        fs = place.fs  # another one if the connection broke
        fs.makedirs(lock.rpartition("/")[0], exist_ok=True)
        try:
            fs.mkdir(lock, create_parents=False)
        except Exception:  # SFTP has no word for "is there already"
            fs.invalidate_cache()
            if not fs.exists(lock):
                raise
        else:
            _sign(place, lock, token)
            return True
        with suppress(Exception):  # another process may be faster
            if time.time() - fs.modified(lock).timestamp() > LOCKED_FOR:
                grave = f"{lock}.{uuid4().hex}"
                fs.mv(lock, grave)
                fs.rm(grave, recursive=True)
        return False

    until = time.monotonic() + 1.5 * LOCKED_FOR
    while not place.attempt(f"cannot lock {place.url}/{name}", make):
        if time.monotonic() > until:
            raise TransferError(f"{place.url}/{name} stays locked; remove {name}.lock if nobody writes it")
        time.sleep(0.05)
    try:
        yield token
    finally:
        with suppress(Exception):  # it goes by itself, later; or it is another's by now
            place.fs.rm_file(token)
            _remove_empty(place, lock)


def _sign(place: Place, lock: str, token: str) -> None:
    """Put what says whose it is into a lock just made; without it the lock goes again."""
    try:
        place.fs.pipe_file(token, b"")
    except Exception:
        with suppress(Exception):
            _remove_empty(place, lock)
        raise


def _remove_empty(place: Place, folder: str) -> None:
    """Remove a directory, unless something is in it."""
    if place.protocol in SFTP:  # whose `rmdir` does nothing
        place.fs.rm(folder)
    else:
        place.fs.rmdir(folder)
