"""What a data set holds: its fields, its splits, and how rows are cut into shards and chunks.

Everything here is plain data that round-trips through JSON; the manifest carries it to readers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, ManifestError

SPLITS = ("train", "validation", "test")
DTYPES = ("float32", "float64")
ROW_ORDERS = ("iid", "grouped")
STORAGES = ("zarr", "hdf5", "hdf5-single")
MAX_ROWS = 2**40
MAX_FILES = 2**17  # that a manifest may list: it is read as a whole
MAX_VALUES_PER_ROW = 2**31
MAX_CHUNK_BYTES = 2**31
MAX_NUMBER = 1.7e308  # that a float64 holds
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def checked_name(name: object) -> str:
    """Return `name` if it is an ASCII identifier of at most 64 characters, else raise ManifestError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ManifestError(f"{name!r} is not a valid name of a field, dimension or split")
    return name


def checked_int(value: object, what: str, low: int, high: int) -> int:
    """Return `value` if it is an integer in [low, high], else raise ManifestError."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ManifestError(f"{what} is {value!r}; expected an integer from {low} to {high}")
    return value


def checked_number(value: object, what: str) -> float:
    """Return `value` as a float if it is a finite number, else raise ManifestError."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_NUMBER:
        raise ManifestError(f"{what} is {str(value)[:40]!r}; expected a finite number")
    return float(value)


@dataclass(frozen=True)
class Field:
    """One array of a split, `(sample, *dims)`.

    Arguments:
        name: e.g. "potential".
        dims: names of the dimensions after `sample`, e.g. ("x",).
        shape: lengths of those dimensions, e.g. (101,).
        dtype: "float32" or "float64".
        units, long_name: written as attributes, for people and for xarray.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str
    long_name: str

    @property
    def row_bytes(self) -> int:
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Field:
        """Build from untrusted JSON; ManifestError on anything out of bounds."""
        try:
            field = cls(
                name=checked_name(obj["name"]),
                dims=tuple(checked_name(d) for d in obj["dims"]),
                shape=tuple(checked_int(s, "a field's length", 1, MAX_VALUES_PER_ROW) for s in obj["shape"]),
                dtype=obj["dtype"],
                units=str(obj["units"]),
                long_name=str(obj["long_name"]),
            )
        except (KeyError, TypeError) as error:
            raise ManifestError(f"malformed field in the manifest: {obj!r}") from error
        if len(field.dims) != len(field.shape) or prod(field.shape) > MAX_VALUES_PER_ROW:
            raise ManifestError(f"field {field.name!r} has dims {field.dims} but shape {field.shape}")
        if field.dtype not in DTYPES:
            raise ManifestError(
                f"field {field.name!r} has dtype {field.dtype!r}; expected one of {', '.join(DTYPES)}"
            )
        return field


@dataclass(frozen=True)
class Coordinate:
    """A named axis with its values, e.g. `x`: 101 positions from -1 to 1."""

    name: str
    values: tuple[float, ...]
    units: str
    long_name: str


PART_AXIS = Coordinate("part", (0.0, 1.0), "1", "0: Re, 1: Im")  # of every complex field, last


@dataclass(frozen=True)
class SplitLayout:
    """Rows of one split and how they are cut: `rows` into shards (one file a field), shards into chunks."""

    rows: int
    shard_rows: int
    chunk_rows: int

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)

    def span(self, shard: int) -> tuple[int, int]:
        """First row of a shard, and one past its last."""
        start = shard * self.shard_rows
        return start, min(start + self.shard_rows, self.rows)

    @classmethod
    def of(cls, rows: int, shard_rows: int, row_bytes: int, storage: str = "zarr") -> SplitLayout:
        """Cut `rows` into shards of `shard_rows`, or one shorter shard, and shards evenly into chunks.

        A chunk (a decoding unit) is at most 2 MiB for Zarr, and 1 MiB for HDF5, whose readers keep that much
        of decoded chunks.

        Raises InvalidInput for more rows than a split may have.
        """
        if rows > MAX_ROWS:
            raise InvalidInput(f"{rows} rows are asked for; a split holds at most {MAX_ROWS:,}")
        shard_rows = min(shard_rows, max(-(-rows // 1000), 1) * 1000)  # zarr pads a shard to its full length
        largest = 2**21 if storage == "zarr" else 2**20
        pieces = next(
            p
            for p in range(1, shard_rows + 1)
            if shard_rows % p == 0 and (shard_rows // p * row_bytes <= largest or p == shard_rows)
        )
        return cls(rows, shard_rows, shard_rows // pieces)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> SplitLayout:
        """Build from untrusted JSON; ManifestError on anything out of bounds."""
        try:
            layout = cls(
                rows=checked_int(obj["rows"], "rows", 0, MAX_ROWS),
                shard_rows=checked_int(obj["shard_rows"], "shard_rows", 1, MAX_ROWS),
                chunk_rows=checked_int(obj["chunk_rows"], "chunk_rows", 1, MAX_ROWS),
            )
        except (KeyError, TypeError) as error:
            raise ManifestError(f"malformed split in the manifest: {obj!r}") from error
        if layout.shard_rows % layout.chunk_rows:
            raise ManifestError(
                f"shard_rows {layout.shard_rows} is no multiple of chunk_rows {layout.chunk_rows}"
            )
        return layout


@dataclass(frozen=True)
class Plan:
    """All that a writer must know before the first row: kind, recipe, fields, coordinates and splits.

    Arguments:
        kind: "spectra", "trajectories" or "densities".
        row_order: "iid" where every row is drawn independently of its position, else "grouped".
        recipe: plain JSON, exactly what to run again.
        fields, coordinates, splits: the arrays and how they are cut; splits are in the order of SPLITS.
        storage: the back end: "zarr", "hdf5" (one file a shard) or "hdf5-single" (one file in all).
    """

    kind: str
    row_order: str
    recipe: dict[str, Any]
    fields: tuple[Field, ...]
    coordinates: tuple[Coordinate, ...]
    splits: dict[str, SplitLayout]
    storage: str = "zarr"

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise InvalidInput(f"storage is {self.storage!r}; expected one of {', '.join(STORAGES)}")
        if self.row_order not in ROW_ORDERS:
            raise InvalidInput(f"row_order is {self.row_order!r}; expected one of {', '.join(ROW_ORDERS)}")
        ordered = {name: self.splits[name] for name in SPLITS if name in self.splits}
        object.__setattr__(self, "splits", ordered)  # of a manifest they come in alphabetical order
        files = self.shard_count * (len(self.fields) if self.storage != "hdf5" else 1)
        if files > MAX_FILES:
            raise InvalidInput(
                f"the data set would have {files:,} files, at most {MAX_FILES:,} are allowed: choose a larger"
                " --shard-size, or fewer rows"
            )

    @property
    def bytes(self) -> int:
        """Size of the arrays, without metadata."""
        row = sum(field.row_bytes for field in self.fields)
        return row * sum(layout.rows for layout in self.splits.values())

    @property
    def shard_count(self) -> int:
        """How many shards there are, of all splits together."""
        return sum(layout.shards for layout in self.splits.values())

    def shards(self) -> list[tuple[str, int]]:
        """Every (split, shard) of the data set."""
        return [(name, i) for name, layout in self.splits.items() for i in range(layout.shards)]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, lists for tuples."""
        return {
            "kind": self.kind,
            "row_order": self.row_order,
            "storage": self.storage,
            "recipe": self.recipe,
            "fields": [{**asdict(f), "dims": list(f.dims), "shape": list(f.shape)} for f in self.fields],
            "coordinates": [{**asdict(c), "values": list(c.values)} for c in self.coordinates],
            "splits": {name: asdict(layout) for name, layout in self.splits.items()},
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Plan:
        """Build from untrusted JSON; ManifestError on anything out of bounds."""
        try:
            kind, row_order, storage, recipe = (obj[k] for k in ("kind", "row_order", "storage", "recipe"))
            if not isinstance(obj["fields"], list) or not isinstance(obj["coordinates"], list):
                raise ManifestError("the manifest's fields and coordinates must be lists")
            fields = tuple(Field.from_json(f) for f in obj["fields"])
            coordinates = tuple(
                Coordinate(
                    checked_name(c["name"]),
                    tuple(checked_number(v, f"a value of {c['name']}") for v in c["values"]),
                    str(c["units"]),
                    str(c["long_name"]),
                )
                for c in obj["coordinates"]
            )
            splits = {checked_name(k): SplitLayout.from_json(v) for k, v in obj["splits"].items()}
        except ManifestError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ManifestError(f"the manifest lacks or garbles a part: {error}") from error
        if not isinstance(kind, str) or not isinstance(recipe, dict):
            raise ManifestError("the manifest's kind or recipe is malformed")
        if unknown := set(splits) - set(SPLITS):
            raise ManifestError(f"unknown splits {sorted(unknown)}; expected {', '.join(SPLITS)}")
        for layout in splits.values():
            if any(f.row_bytes * layout.chunk_rows > MAX_CHUNK_BYTES for f in fields):
                raise ManifestError(f"a chunk of {layout.chunk_rows} rows would pass {MAX_CHUNK_BYTES} bytes")
        try:
            return cls(kind, row_order, recipe, fields, coordinates, splits, storage)
        except InvalidInput as error:
            raise ManifestError(f"the manifest cannot be right: {error}") from error
