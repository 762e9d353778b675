"""Rows of a split as records of float32, in memory or as a decoded copy on the local disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qwell.files import DirectoryLock, atomic_write, file_sha256, whole_file
from qwell.store.cache import make_room, use

if TYPE_CHECKING:
    from qwell.store.dataset import Split


class Records:
    """Rows of a split as float32 records, its fields side by side.

    Arguments:
        split: of an open data set.
        names: of the fields, in the order in which they stand in a record.

    Raises InvalidInput for a field that the split has not.
    """

    def __init__(self, split: Split, names: Sequence[str]) -> None:
        self.split, self.names = split, tuple(names)
        self.shapes = [split[name].field.shape for name in names]
        edges = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)]).tolist()
        self.columns = [slice(a, b) for a, b in pairwise(edges)]
        self.width: int = edges[-1]

    @property
    def bytes(self) -> int:
        return 4 * self.width * len(self.split)

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """Fill `out` (stop − start, width) float32 with rows start … stop − 1."""
        for name, columns, shape in zip(self.names, self.columns, self.shapes, strict=True):
            self.split[name].read_into(start, stop, out[:, columns].reshape(stop - start, *shape))

    def read_all(self, out: np.ndarray) -> np.ndarray:
        """Fill `out` (rows, width) float32 with the whole split, shards read in parallel."""
        self.split.fetch(self.names)
        spans = [self.split.layout.span(i) for i in range(self.split.shards)]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda span: self.read(span[0], span[1], out[slice(*span)]), spans))
        return out

    def mirror(self) -> np.ndarray:
        """The whole split from a decoded copy in the cache, memory-mapped.

        Beside the copy lies its sha256, written after it and checked now. A copy that is not there, not whole
        or damaged is made, by one process while the others wait.

        Raises WriteError if the disk refuses.
        """
        folder = use("mirror", self.split.digest, self.split.owner)
        path = folder / f"{self.split.name}-{'-'.join(self.names)}.npy"
        with DirectoryLock(folder, share=True, wait=True):
            copy = _whole_copy(path)
        if copy is None:
            with DirectoryLock(folder, wait=True):
                copy = _whole_copy(path)  # another process may have made it in between
                if copy is None:
                    make_room(self.bytes)
                    self._decode_to(path)
                    copy = np.load(path, mmap_mode="c", allow_pickle=False)
        return copy

    def _decode_to(self, path: Path) -> None:
        """Write the whole split into the file `path`, and its sha256 beside it."""
        self._decode(path)
        atomic_write(_record_of(path), _said_of(path), durable=False)

    def _decode(self, path: Path) -> None:
        with whole_file(path, durable=False) as temporary:
            shape = (len(self.split), self.width)
            if not len(self.split):
                np.save(temporary, np.empty(shape, np.float32))
                return
            file = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            with temporary.open("r+b") as room:  # a full disk is said here, not by a signal while writing
                os.posix_fallocate(room.fileno(), 0, temporary.stat().st_size)
            self.read_all(file)
            file.flush()


def _record_of(path: Path) -> Path:
    """Where the sha256 of a copy is written."""
    return path.with_name(f"{path.name}.sha256")


def _said_of(path: Path) -> bytes:
    """What the record of a copy must say, in the form that `sha256sum --check` reads."""
    return f"{file_sha256(path)}  {path.name}\n".encode()


def _whole_copy(path: Path) -> np.ndarray | None:
    """The array in a file, memory-mapped; None unless the file is what its record says."""
    try:
        if _record_of(path).read_bytes() != _said_of(path):
            return None
        copy: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return copy
