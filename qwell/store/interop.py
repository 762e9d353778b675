"""Data sets as other libraries know them: torch's map-style data sets, Dask, xarray and pandas.

None of these is imported before it is asked for, and torch not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from qwell.errors import InvalidInput, MissingExtra
from qwell.store.records import Records

if TYPE_CHECKING:
    import dask.array
    import pandas
    import xarray

    from qwell.store.dataset import Dataset, Split

SMALL, WIDEST = 64, 1024  # numbers a row that tables have by default, and at most
PIPED = 2**20  # bytes up to which a pipe brings a batch from another process sooner than shared memory does


class Row(tuple[np.ndarray, ...]):
    """One row: an array a field."""

    __slots__ = ()


class Batch(Sequence[Row]):
    """Some rows, each a `Row`; their fields lie side by side as they are.

    Arguments:
        values: of every field, (rows, …).
    """

    def __init__(self, values: Sequence[np.ndarray]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values[0])

    def __iter__(self) -> Iterator[Row]:
        return map(Row, zip(*self.values, strict=True))

    def __getitem__(self, index: Any) -> Any:
        picked = tuple(field[index] for field in self.values)
        return Batch(picked) if isinstance(index, slice) else Row(picked)


class MappedRows:
    """A map-style data set of the rows of a split, tuples of float32 arrays; see `Split.torch`.

    It can be pickled: every process maps the same decoded copy, and forked ones have it from this one.
    """

    def __init__(self, split: Split, fields: Sequence[str] | None = None) -> None:
        self.records = Records(split, tuple(fields or split.fields))
        self._rows: np.ndarray | None = self.records.mirror()

    def __len__(self) -> int:
        return len(self.records.split)

    def __getstate__(self) -> dict[str, Any]:
        return {"records": self.records, "_rows": None}

    def __getitem__(self, index: int) -> Row:
        """One row."""
        return Row(self._values(self._mapped()[index]))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Many rows at once, in the order of their numbers; a DataLoader asks so for a batch."""
        _teach_torch()
        return Batch(self._values(self._mapped()[np.asarray(indices, dtype=np.intp)]))

    def _mapped(self) -> np.ndarray:
        if self._rows is None:
            self._rows = self.records.mirror()
        return self._rows

    def _values(self, records: np.ndarray) -> list[np.ndarray]:
        """The fields of one record or many, each in memory of its own."""
        shape = records.shape[:-1]
        return [
            np.array(records[..., columns]).reshape(*shape, *field)
            for columns, field in zip(self.records.columns, self.records.shapes, strict=True)
        ]


def _teach_torch() -> None:
    """Tell torch, where somebody works with it, how a `Batch` becomes tensors: as it is, not row by row.

    This is torch's own table for such types (`torch.utils.data.default_collate`). Without the entry it makes
    the same tensors of the rows one by one, fifty times slower.
    """
    table = getattr(sys.modules.get("torch.utils.data._utils.collate"), "default_collate_fn_map", None)
    if table is not None:
        table.setdefault(Row, _as_tensors)


def _as_tensors(batch: Sequence[Row], *, collate_fn_map: Any = None) -> list[Any]:
    """What torch's `default_collate` gives for these rows: a list with a tensor a field."""
    values = (
        batch.values if isinstance(batch, Batch) else [np.stack(rows) for rows in zip(*batch, strict=True)]
    )
    torch = sys.modules["torch"]
    tensors = [torch.from_numpy(field) for field in values]
    return tensors if torch.utils.data.get_worker_info() is None else Travelling(tensors)


class Travelling(list[Any]):
    """Tensors of a worker, which go to the other process in one piece: torch would share the memory of each,
    and for every piece of shared memory the two processes greet each other, which takes as long as a pipe
    needs for half a megabyte. So small batches go through the pipe itself."""

    def __reduce__(self) -> Any:
        torch = sys.modules["torch"]
        flat = torch.cat([tensor.reshape(-1) for tensor in self])
        shapes = [tuple(tensor.shape) for tensor in self]
        return _arrived, (flat.numpy() if flat.nbytes <= PIPED else flat, shapes)


def _arrived(flat: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The tensors that `Travelling` sent."""
    flat = sys.modules["torch"].as_tensor(flat)
    parts = flat.split([prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def to_dask(data: Dataset, split: str, fields: Sequence[str] | None = None) -> dict[str, dask.array.Array]:
    """See `Dataset.to_dask`."""
    import dask.array

    from_array: Any = dask.array.from_array  # Dask's types leave it open
    rows = data[split]
    arrays = {}
    for name in fields or rows.fields:
        field = rows[name]
        chunks = (rows.layout.shard_rows, *field.shape[1:])
        arrays[name] = from_array(field, chunks, asarray=False, meta=np.empty(0, field.dtype))
    return arrays


def to_xarray(data: Dataset, split: str, fields: Sequence[str] | None = None) -> xarray.Dataset:
    """See `Dataset.to_xarray`."""
    try:
        import xarray
    except ImportError as error:
        raise MissingExtra("to_xarray needs xarray: pip install 'qwell[xarray]'") from error
    known = {field.name: field for field in data.plan.fields}
    arrays = {}
    for name, values in to_dask(data, split, fields).items():
        about = {"units": known[name].units, "long_name": known[name].long_name}
        arrays[name] = xarray.Variable(("sample", *known[name].dims), values, about)
    used = {dimension for array in arrays.values() for dimension in array.dims}
    axes = {
        one.name: xarray.Variable(
            (one.name,), list(one.values), {"units": one.units, "long_name": one.long_name}
        )
        for one in data.plan.coordinates
        if one.name in used
    }
    return xarray.Dataset(arrays, axes, {"kind": data.kind, "version": data.digest})


def to_pandas(data: Dataset, split: str, fields: Sequence[str] | None = None) -> pandas.DataFrame:
    """See `Dataset.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra("to_pandas needs pandas: pip install 'qwell[xarray]'") from error
    rows = data[split]
    sizes = {name: prod(field.shape) for name, field in rows.fields.items()}
    names = [name for name, size in sizes.items() if size <= SMALL] if fields is None else list(fields)
    if not names:
        raise InvalidInput(
            f"no field of {data.path} has at most {SMALL} numbers a row; name the fields wanted"
        )
    columns: dict[str, np.ndarray] = {}
    for name in names:
        field = rows[name]
        if sizes[name] > WIDEST:
            raise InvalidInput(
                f"a row of {name} has {sizes[name]:,} numbers, a table takes at most {WIDEST:,} of a field;"
                " use to_xarray"
            )
        values = field[:].reshape(len(rows), -1)
        labels = ["".join(f"[{i}]" for i in index) for index in np.ndindex(*field.shape[1:])]
        columns |= {f"{name}{label}": values[:, i] for i, label in enumerate(labels)}
    return pandas.DataFrame(columns)
