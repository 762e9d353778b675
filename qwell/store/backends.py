"""The back ends, by name: what each module of a kind of file must offer to writer and reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from qwell.errors import InvalidInput
from qwell.store import hdf5_backend, hdf5_single, zarr_backend
from qwell.store.manifest import FileRecord
from qwell.store.schema import Field, Plan, SplitLayout


class Backend(Protocol):
    """What the reader asks of a back end."""

    def shard_path(self, split: str, field: Field, shard: int) -> str:
        """Path of the file with one shard of a field, relative to the root."""
        ...

    def check_field(self, root: Path, split: str, field: Field, layout: SplitLayout) -> None:
        """Raise DatasetDamaged if an array is not what the manifest says."""
        ...

    def read_rows(
        self,
        root: Path,
        split: str,
        field: Field,
        layout: SplitLayout,
        shard: int,
        record: FileRecord,
        rows: range,
        out: np.ndarray,
    ) -> None:
        """Read rows of one shard into `out`, if its file is what its record says.

        Raises OSError, ValueError, KeyError or RuntimeError if it is damaged.
        """
        ...


class ShardedBackend(Backend, Protocol):
    """What the writer asks besides."""

    SUFFIXES: tuple[str, ...]

    def root_of(self, path: Path) -> Path:
        """The directory that holds the files of the data set `path`."""
        ...

    def create_layout(self, root: Path, plan: Plan) -> None:
        """Write all that is not a shard."""
        ...

    def metadata_files(self, plan: Plan) -> set[str]:
        """Names of all that `create_layout` writes."""
        ...

    def encode_shard(
        self, plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, bytes | memoryview]]:
        """(path, content) of the files of one shard."""
        ...

    def master_of(self, name: str, plan: Plan, digest: str) -> bytes | None:
        """The content of the file `name` that makes the files below the root one; None if there is none."""
        ...

    def leads_to_shards(self, path: Path, plan: Plan) -> bool:
        """Whether the file made by `master_of` finds the shards by the name that it has now."""
        ...


SHARDED: dict[str, ShardedBackend] = {"zarr": zarr_backend, "hdf5": hdf5_backend}
BACKENDS: dict[str, Backend] = {**SHARDED, "hdf5-single": hdf5_single}


# Endings of other programs' files, which a data set must not have.
FOREIGN = {
    ".arff", ".arrow", ".avro", ".bin", ".csv", ".db", ".feather", ".gz", ".ipc", ".json", ".jsonl",
    ".lmdb", ".mat", ".md", ".nc", ".npy", ".npz", ".orc", ".parquet", ".pickle", ".pkl", ".png", ".pt",
    ".pth", ".root", ".safetensors", ".sqlite", ".tar", ".tfrecord", ".tfrecords", ".tgz", ".tsv",
    ".txt", ".xlsx", ".zip",
}  # fmt: skip


def storage_of(path: str | Path) -> str:
    """The back end that a path's suffix asks for: .h5 and .hdf5 are "hdf5", all else is "zarr"."""
    return "hdf5" if Path(path).suffix.lower() in hdf5_backend.SUFFIXES else "zarr"


def check_suffix(path: Path, storage: str) -> None:
    """Raise InvalidInput if a new data set cannot have this name in a back end.

    Its suffix belongs to the other back end or to another program's files, or HDF5 cannot use it.
    """
    if path.suffix.lower() in FOREIGN:
        raise InvalidInput(
            f"{path} ends like a file in another format, and qwell writes Zarr and HDF5:"
            " choose a name ending in .zarr or .h5"
        )
    if storage_of(path) != storage:
        raise InvalidInput(
            f"{path} does not end like a data set in {storage}; choose a name ending in"
            f" {' or '.join(SHARDED[storage].SUFFIXES)}"
        )
    if storage == "hdf5" and "%" in path.name:
        raise InvalidInput(f"{path} has a % in its name, which HDF5 takes for a pattern; choose another name")
