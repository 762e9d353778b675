"""One field of a split as an array on disk: indexing in numpy's way, whatever the back end."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from qwell.errors import DatasetDamaged
from qwell.store.backends import BACKENDS
from qwell.store.manifest import FileRecord
from qwell.store.schema import Field, SplitLayout


class Files(Protocol):
    """The files of an open data set, wherever they come from."""

    root: Path
    records: dict[str, FileRecord]
    remedy: str  # for a file that cannot be read

    def bring(self, names: Iterable[str]) -> None:
        """See to it that these files are below `root`, and whole."""
        ...

    def check(self) -> None:
        """Raise DatasetReplaced unless the data set is still the one that was opened."""
        ...


class FieldArray:
    """One field of a split: slices come as numpy arrays, `split["potential"][10:20]`.

    It is read when it is indexed, as a whole by `numpy.asarray`, and a block at a time by Dask.

    Arguments:
        storage: name of the back end that reads rows of one shard.
        files: of the data set.
        split, field, layout: which array, and how it is cut.
    """

    def __init__(self, storage: str, files: Files, split: str, field: Field, layout: SplitLayout) -> None:
        backend = BACKENDS[storage]
        try:
            backend.check_field(files.root, split, field, layout)
        except DatasetDamaged:
            files.check()
            raise
        self._storage, self._backend, self._files, self._split = storage, backend, files, split
        self.field, self.layout = field, layout
        self.shape: tuple[int, ...] = (layout.rows, *field.shape)
        self.dtype = np.dtype(field.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of numbers."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """All of it, read now; numpy calls this."""
        if copy is False:
            raise ValueError("a field is read from files, so that an array of it is always a copy")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """What its content is known by: the checksums of its files; Dask calls this."""
        paths = [self._backend.shard_path(self._split, self.field, i) for i in range(self.layout.shards)]
        return "qwell", self._split, self.field.name, [self._files.records[path].sha256 for path in paths]

    def __reduce__(self) -> tuple[type[FieldArray], tuple[object, ...]]:
        return FieldArray, (self._storage, self._files, self._split, self.field, self.layout)

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Fill `out` (stop − start, …), of any dtype and strides, with rows start … stop − 1.

        Raises DatasetDamaged if a file is missing, cut short, or not the one of the manifest; DatasetReplaced
        if the whole data set is another by now.
        """
        size = self.layout.shard_rows
        shards = range(start // size, -(-stop // size))
        self._files.bring(self._backend.shard_path(self._split, self.field, i) for i in shards)
        for i in shards:
            first, last = max(start, i * size), min(stop, (i + 1) * size)
            rows = range(first - i * size, last - i * size)
            self._read_shard(i, rows, out[first - start : last - start])
            self._files.check()

    def _read_shard(self, shard: int, rows: range, out: np.ndarray) -> None:
        name = self._backend.shard_path(self._split, self.field, shard)
        files = self._files
        which = files.root, self._split, self.field, self.layout, shard, files.records[name]
        try:
            self._backend.read_rows(*which, rows, out)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            files.check()
            raise DatasetDamaged(f"{files.root}/{name} is damaged ({error}); {files.remedy}") from error

    def _rows(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((max(stop - start, 0), *self.field.shape), self.dtype)
        if len(out):
            self.read_into(start, stop, out)
        return out

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if rows is Ellipsis:
            rows, rest = slice(None), (Ellipsis, *rest)
        n = len(self)
        if isinstance(rows, int | np.integer):
            if not -n <= rows < n:
                raise IndexError(f"row {rows} is out of range: {self._split} has {n} rows")
            chosen = self._rows(int(rows) % n, int(rows) % n + 1)[0]
        elif isinstance(rows, slice):
            span = range(n)[rows]
            low, high = (span[0], span[-1]) if len(span) else (0, -1)
            chosen = (
                self._rows(min(low, high), max(low, high) + 1)[:: span.step]
                if len(span)
                else self._rows(0, 0)
            )
        else:
            return self._gather(np.asarray(rows))[(slice(None), *rest)]
        return np.asarray(chosen[rest if isinstance(rows, int | np.integer) else (slice(None), *rest)])

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        """Rows in any order; each shard is read once."""
        n = len(self)
        if rows.dtype == bool:
            if rows.shape != (n,):
                raise IndexError(f"a mask of shape {rows.shape} does not fit {n} rows")
            rows = np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise IndexError("rows are chosen by an integer, a slice, or a 1-D array of integers or booleans")
        if rows.size and not (-n <= rows.min() and rows.max() < n):
            raise IndexError(f"a row is out of range: {self._split} has {n} rows")
        rows = np.where(rows < 0, rows + n, rows).astype(np.int64)
        out = np.empty((len(rows), *self.field.shape), self.dtype)
        owners = rows // self.layout.shard_rows
        for shard in np.unique(owners):
            mine = np.flatnonzero(owners == shard)
            low, high = int(rows[mine].min()), int(rows[mine].max())
            out[mine] = self._rows(low, high + 1)[rows[mine] - low]
        return out

    def __repr__(self) -> str:
        name = f"{self._files.root}/{self._split}/{self.field.name}"
        return f"<{name} {self.dtype}{self.shape} {self.field.units}>"
