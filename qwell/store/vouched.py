"""Files that are read only as what the manifest vouches for.

A file's sha256 is compared when it is first read in a process, and again when its inode, size or times say
that it is another by now or was written to. What is hashed and what is read is one open file: a file put in
its place meanwhile is not seen, and one written into is hashed again before its rows are believed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from qwell.store.manifest import FileRecord

Identity = tuple[int, int, int, int, int]
_COMPARED: dict[str, tuple[Identity, str]] = {}  # which file was found to have which sha256


def identity(status: os.stat_result) -> Identity:
    """What tells a file from another one, and from itself after it was written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256_of(file: FileIO) -> str:
    """sha256 of an open file's whole content, in hexadecimal."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def vouched(
    path: Path, record: FileRecord, part: str = "", digest: Callable[[FileIO], str] = sha256_of
) -> Iterator[FileIO]:
    """Open a file whose content is that of its record, and still is when the block ends.

    Arguments:
        path: of the file.
        record: what the manifest says of it.
        part: the name of what is vouched for, where that is not the whole file.
        digest: sha256 of the part, from the open file.

    Raises OSError if it cannot be read, ValueError if it is something else.
    """
    with path.open("rb", buffering=0) as file:
        _compare(file, f"{path}#{part}", record, digest)
        yield file
        _compare(file, f"{path}#{part}", record, digest)


def _compare(file: FileIO, key: str, record: FileRecord, digest: Callable[[FileIO], str]) -> None:
    seen = identity(os.fstat(file.fileno())), record.sha256  # before hashing: what is written later is later
    if _COMPARED.get(key) != seen:
        if digest(file) != record.sha256:
            raise ValueError("its sha256 is not the manifest's")
        _COMPARED[key] = seen
