"""Reading arrays of our HDF5 files chunk by chunk.

HDF5 says once where the chunks of an array lie; reading and checksum are ours. HDF5 holds one lock for the
whole process, and opening a file takes it as long as reading a chunk: with two threads this is twice as fast
(`benchmarks/stream.py`).
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from qwell.store.fletcher32 import fletcher32_agrees
from qwell.store.schema import Field
from qwell.store.vouched import Identity, identity

_LOCAL = threading.local()


def open_to_read(path: Path) -> Any:
    """Open a file of ours: no lock (the files never change), no chunk cache (every chunk is read once)."""
    import h5py

    return h5py.File(path, "r", locking=False, rdcc_nbytes=0)


def plain_array(file: Any, name: str, length: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The array `name`, if it lies in the file itself and has the shape and type expected."""
    import h5py

    where = file
    for part in name.split("/"):
        if not isinstance(where, h5py.Group) or not isinstance(where.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is missing or a link")
        where = where[part]
    if not isinstance(where, h5py.Dataset) or where.shape != (length, *shape):
        raise ValueError(f"{name} is no array of shape {(length, *shape)}")
    if where.dtype != dtype or where.is_virtual or where.external:
        raise ValueError(f"{name} is virtual, external, or of type {where.dtype} instead of {dtype}")
    return where


@lru_cache(maxsize=2**14)
def _chunk_offsets(
    path: str, which: Identity, name: str, field: Field, length: int, chunk_rows: int
) -> tuple[int, ...]:
    """Where in a file the chunks of an array begin, after making sure that it is one that we make.

    Links out of the file, virtual and external storage, compressors (a small file could be made huge) and
    other types are refused. `which` is the identity of the file: another one of this name is refused too.
    """
    import h5py

    with open_to_read(Path(path)) as file:
        array = plain_array(file, name, length, field.shape, np.dtype(field.dtype))
        properties = array.id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        chunks = (min(chunk_rows, length), *field.shape)
        if array.chunks != chunks or filters != [h5py.h5z.FILTER_FLETCHER32]:
            raise ValueError(f"{name} has chunks {array.chunks} and filters {filters}; refused")
        offsets = []
        for begin in range(0, length, chunks[0]):
            info = array.id.get_chunk_info_by_coord((begin, *[0] * len(field.shape)))
            if info.byte_offset is None or info.filter_mask or info.size != chunks[0] * field.row_bytes + 4:
                raise ValueError(f"the chunk at row {begin} is missing or of the wrong size")
            offsets.append(info.byte_offset)
    if identity(Path(path).stat())[:2] != which[:2]:
        raise ValueError("another file was put in its place while it was read")
    return tuple(offsets)


def read_chunked(
    file: FileIO,
    path: Path,
    name: str,
    field: Field,
    length: int,
    chunk_rows: int,
    rows: range,
    out: np.ndarray,
) -> None:
    """Read rows of an array of a file into `out`, whatever its strides and dtype.

    Arguments:
        file, path, name: the open file, where it is, and the array in it.
        field, length, chunk_rows: what the array must be: its rows, how many, and how many a chunk.
        rows: which.

    Raises OSError, ValueError or RuntimeError where it is something else, or fails its checksum.
    """
    chunk, dtype = min(chunk_rows, length), np.dtype(field.dtype).newbyteorder("<")
    which = identity(os.fstat(file.fileno()))
    offsets = _chunk_offsets(str(path), which, name, field, length, chunk_rows)
    content = _scratch(chunk * field.row_bytes + 4)
    values = content[:-4].view(dtype).reshape(chunk, *field.shape)
    for i in range(rows.start // chunk, -(-rows.stop // chunk)):
        begin = i * chunk
        if os.preadv(file.fileno(), [content.data], offsets[i]) != len(content):
            raise ValueError(f"the chunk at row {begin} lies outside the file")
        if not fletcher32_agrees(content):
            raise ValueError(f"the checksum of the chunk at row {begin} is wrong")
        first, last = max(rows.start, begin), min(rows.stop, begin + chunk)
        out[first - rows.start : last - rows.start] = values[first - begin : last - begin]


def _scratch(size: int) -> np.ndarray:
    """A buffer of this thread's, the same every time: fresh pages cost as much as the reading."""
    buffer: np.ndarray | None = getattr(_LOCAL, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _LOCAL.buffer = np.empty(size, np.uint8)
    return buffer[:size]
