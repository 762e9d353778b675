"""An open data set: plain numpy from here on. Read-only; `reader.open_dataset` opens one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qwell.errors import DatasetKindError, InvalidInput, VersionMismatch, unknown
from qwell.store.arrays import FieldArray, Files
from qwell.store.backends import BACKENDS, SHARDED
from qwell.store.manifest import Manifest
from qwell.store.provenance import read_provenance
from qwell.store.schema import Plan

if TYPE_CHECKING:
    import dask.array
    import pandas
    import xarray

    from qwell.store.interop import MappedRows

_VERSIONED = re.compile(r"(.+)@([0-9a-f]{6,64})")


class Split:
    """One split of a data set: fields that share their first dimension, cut into shards.

    It can be pickled, and then is opened again where it arrives, e.g. in the workers of a DataLoader.
    """

    def __init__(self, files: Files, name: str, plan: Plan, digest: str) -> None:
        self._files, self.name, self._plan, self.digest = files, name, plan, digest
        self.layout = plan.splits[name]
        self.fields = {field.name: field for field in plan.fields}
        self._arrays: dict[str, FieldArray] = {}

    def __len__(self) -> int:
        return self.layout.rows

    @property
    def shards(self) -> int:
        return self.layout.shards

    @property
    def owner(self) -> str:
        """The name of the data set; empty where its files are in the cache, which knows what it is called."""
        name = self._files.root.name.removesuffix(".shards")
        return "" if name == self.digest[:32] else name

    def shape_of(self, field: str) -> tuple[int, ...]:
        """The shape of a field's rows; InvalidInput if there is no such field."""
        if field not in self.fields:
            raise InvalidInput(
                f"{self._files.root} has no field {field!r} in {self.name}; it has {', '.join(self.fields)}"
            )
        return self.fields[field].shape

    def __getitem__(self, field: str) -> FieldArray:
        self.shape_of(field)
        if field not in self._arrays:
            self._arrays[field] = FieldArray(
                self._plan.storage, self._files, self.name, self.fields[field], self.layout
            )
        return self._arrays[field]

    def fetch(self, fields: Sequence[str] | None = None) -> None:
        """Bring the files of all shards, several at a time; nothing to do where they are on this machine."""
        shard_path = BACKENDS[self._plan.storage].shard_path
        wanted = [self.fields[name] for name in fields or self.fields]
        self._files.bring(shard_path(self.name, field, i) for i in range(self.shards) for field in wanted)

    def shard(self, index: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """All rows of one shard, `{field: (rows, …)}`."""
        return self.rows(*self.layout.span(index), fields)

    def rows(self, start: int, stop: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Rows start … stop − 1, `{field: (rows, …)}`."""
        return {name: self[name][start:stop] for name in fields or self.fields}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return (self.shard(i) for i in range(self.shards))

    def torch(self, fields: Sequence[str] | None = None) -> MappedRows:
        """Rows for `torch.utils.data.DataLoader`, which puts them together to tensors.

        >>> for potential, energy in DataLoader(data["train"].torch(), batch_size=1000, num_workers=2): ...

        Arguments:
            fields: what a row holds, in this order; by default all fields of the data set.

        Returns: a map-style data set of tuples of float32 arrays. They are read from a decoded copy under
        `$QWELL_CACHE`, which is made now where there is none, and shared by all processes.
        """
        from qwell.store.interop import MappedRows

        return MappedRows(self, fields)


class Dataset:
    """An open data set: `data["train"]["potential"][:10]`, `data.recipe`, `data.digest`.

    `path` is what it was opened by, `root` where its files are. Whatever happens there later, rows are those
    of the manifest that was read at opening, or an error says that the data set was replaced.
    """

    def __init__(self, path: str | Path, files: Files, manifest: Manifest) -> None:
        self.path, self.root, self.manifest, self._files = path, files.root, manifest, files
        self.plan = plan = manifest.plan
        self.kind, self.recipe, self.row_order = plan.kind, plan.recipe, plan.row_order
        self.coordinates = {c.name: np.asarray(c.values) for c in plan.coordinates}
        self.splits = {name: Split(files, name, plan, manifest.digest) for name in plan.splits}

    @property
    def name(self) -> str:
        """The last part of the path, e.g. "m3.zarr"."""
        return str(self.path).rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix, e.g. "m3"."""
        return Path(self.name).stem

    @property
    def digest(self) -> str:
        """The version of the data, the sha256 of `manifest.json`."""
        return self.manifest.digest

    @property
    def origin(self) -> dict[str, Any]:
        """The recipe that the rows were first made by; of a merged set what those of its parts agree on."""
        return _origin(self.recipe)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """When, where and with which libraries the data was made; empty if that is lost or another's."""
        made = read_provenance(self.root)
        return made if made.get("manifest_sha256") == self.digest else {}

    def check(self) -> None:
        """Raise DatasetReplaced unless the data set at `path` is still the one that was opened.

        Reading does so by itself; what copies a data set does so once more before it calls the copy done.
        """
        self._files.check()

    def to_xarray(self, split: str = "train", fields: Sequence[str] | None = None) -> xarray.Dataset:
        """A split as an xarray.Dataset with coordinates and units, which reads rows when they are computed.

        Arguments:
            split: of the data set.
            fields: which; by default all.

        Raises MissingExtra if xarray is not installed.
        """
        from qwell.store.interop import to_xarray

        return to_xarray(self, split, fields)

    def to_dask(
        self, split: str = "train", fields: Sequence[str] | None = None
    ) -> dict[str, dask.array.Array]:
        """The fields of a split as Dask arrays, `{field: (rows, …)}`, one block a shard.

        Arguments as of `to_xarray`.
        """
        from qwell.store.interop import to_dask

        return to_dask(self, split, fields)

    def to_pandas(self, split: str = "train", fields: Sequence[str] | None = None) -> pandas.DataFrame:
        """The small fields of a split as a table, read now: a row a sample, `energy[0]`, `energy[1]` …

        Arguments:
            split: of the data set.
            fields: which; by default those of at most 64 numbers a row.

        Raises:
            InvalidInput: a field of more than 1,024 numbers a row is asked for, or there is no small one.
            MissingExtra: pandas is not installed.
        """
        from qwell.store.interop import to_pandas

        return to_pandas(self, split, fields)

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise InvalidInput(f"{self.path}: {unknown('split', split, self.splits)}")
        return self.splits[split]

    def require(self, kind: str) -> Dataset:
        """Return self if the data set is of this kind, else raise DatasetKindError."""
        if self.kind != kind:
            raise DatasetKindError(f"{self.path} holds {self.kind}; this command needs {kind}")
        return self

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        return f"<Dataset {self.path} {self.kind} ({rows} rows) {self.digest[:12]}>"


def _origin(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe behind that of a subset or a merged set."""
    of = recipe.get("of")
    if isinstance(of, list):
        first, *others = [_origin(part["recipe"]) for part in of]
        return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}
    return _origin(of) if isinstance(of, dict) else recipe


def split_version(path: str | Path) -> tuple[str, str]:
    """`name@digest` as (name, digest); digest is empty where none is asked for."""
    match = _VERSIONED.fullmatch(str(path))
    return (match[1], match[2]) if match else (str(path), "")


def check_version(path: str | Path, digest: str, wanted: str) -> None:
    """Raise VersionMismatch unless the digest begins as asked for."""
    if not digest.startswith(wanted):
        raise VersionMismatch(
            f"{path} is version {digest[:12]}, not {wanted[:12]}; leave @{wanted[:12]} out to take what is"
            " there, or get the version you need from where it is kept"
        )


def mislisted(manifest: Manifest) -> list[str]:
    """A line for each file that a data set of this plan has and its manifest lacks, or the reverse."""
    plan = manifest.plan
    expected = {
        BACKENDS[plan.storage].shard_path(split, field, i)
        for split, i in plan.shards()
        for field in plan.fields
    }
    if plan.storage in SHARDED:
        expected |= SHARDED[plan.storage].metadata_files(plan)
    missing = [f"the manifest does not list {name}" for name in sorted(expected - manifest.files.keys())]
    alien = sorted(manifest.files.keys() - expected)
    return missing + [f"the manifest lists {name}, which such a data set has not" for name in alien]
