"""A whole data set in one HDF5 file, to attach to a mail or a paper. Made by `qdata convert --single`.

The manifest lies in the file itself, as the array of bytes `manifest`. What it lists are not files but the
rows of each shard of each field, little-endian, as `train/potential/0`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path

import numpy as np

from qwell.errors import DatasetNotFound
from qwell.files import whole_file
from qwell.progress import track
from qwell.store.hdf5_backend import add_coordinates, add_dimension, create_array
from qwell.store.hdf5_chunks import open_to_read, plain_array, read_chunked
from qwell.store.manifest import MAX_MANIFEST_BYTES, FileRecord, Manifest
from qwell.store.schema import Field, Plan, SplitLayout
from qwell.store.vouched import vouched

_MANIFEST, _SIGNATURE = "manifest", b"\x89HDF\r\n\x1a\n"


def shard_path(split: str, field: Field, shard: int) -> str:
    """Name of the rows of one shard in the manifest."""
    return f"{split}/{field.name}/{shard}"


def write_single(
    path: Path, plan: Plan, shards: Iterable[tuple[str, int, dict[str, np.ndarray]]]
) -> Manifest:
    """Write a data set into the one file `path`, whole or not at all.

    Arguments:
        path: where.
        plan: of the data set the rows come from.
        shards: (split, shard, {field: rows}), every shard once.

    Raises WriteError if the disk refuses.
    """
    import h5py

    plan = replace(plan, storage="hdf5-single")
    files: dict[str, FileRecord] = {}
    with (
        whole_file(path) as temporary,
        h5py.File(temporary, "w", libver=("v110", "v110"), rdcc_nbytes=0) as file,
    ):
        file.attrs["kind"] = plan.kind
        for split, layout in plan.splits.items():
            group = file.create_group(split)
            for field in plan.fields:
                create_array(group, field, layout.rows, layout.chunk_rows)
            add_coordinates(group, plan, layout.rows)
        for split, shard, rows in shards:
            span = slice(*plan.splits[split].span(shard))
            for field in plan.fields:
                file[split][field.name][span] = rows[field.name]
                files[shard_path(split, field, shard)] = _record(rows[field.name])
        manifest = Manifest(plan, files)
        content = np.frombuffer(manifest.encode(), np.uint8)
        array = file.create_dataset(_MANIFEST, data=content)
        array.dims[0].attach_scale(add_dimension(file, "byte", len(content)))
    return manifest


def _record(rows: np.ndarray) -> FileRecord:
    content = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).tobytes()
    return FileRecord(len(content), hashlib.sha256(content).hexdigest())


def read_manifest(path: Path) -> Manifest:
    """The manifest inside the file `path`.

    Raises:
        DatasetNotFound: no HDF5 file, or one without a manifest.
        ManifestError: malformed.
    """
    with path.open("rb") as raw:
        if raw.read(len(_SIGNATURE)) != _SIGNATURE:
            raise DatasetNotFound(
                f"{path} is a file, and not a qwell data set; `qdata import {path}` makes one of potentials"
                " in .npz, .npy, .csv or HDF5"
            )
    try:
        with open_to_read(path) as file:
            length = len(file[_MANIFEST])
            if length > MAX_MANIFEST_BYTES:
                raise ValueError(f"a manifest of {length} bytes")
            content = plain_array(file, _MANIFEST, length, (), np.dtype(np.uint8))[:].tobytes()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        why = "it holds no manifest" if isinstance(error, KeyError) else error
        raise DatasetNotFound(
            f"{path} is not a qwell data set ({why}); if it is a virtual master, restore the directory"
            f" {path.name}.shards beside it; to bring your own potentials use `qdata import`"
        ) from error
    return Manifest.decode(content)


def check_field(root: Path, split: str, field: Field, layout: SplitLayout) -> None:
    """Nothing to compare but what `read_rows` finds."""


def read_rows(
    root: Path,
    split: str,
    field: Field,
    layout: SplitLayout,
    shard: int,
    record: FileRecord,
    rows: range,
    out: np.ndarray,
) -> None:
    """Read rows of one shard (counted from its beginning) into `out`, whatever its strides and dtype.

    Raises OSError, ValueError or RuntimeError where they cannot be read or are not the manifest's.
    """
    start, name = layout.span(shard)[0], f"{split}/{field.name}"
    span = range(start + rows.start, start + rows.stop)

    def digest(file: FileIO) -> str:
        return _sha256(file, root, split, field, layout, shard)

    with vouched(root, record, shard_path(split, field, shard), digest) as file:
        read_chunked(file, root, name, field, layout.rows, layout.chunk_rows, span, out)


def _sha256(file: FileIO, path: Path, split: str, field: Field, layout: SplitLayout, shard: int) -> str:
    """sha256 of the rows of one shard, read chunk by chunk."""
    start, stop = layout.span(shard)
    total, name = hashlib.sha256(), f"{split}/{field.name}"
    for first in range(start, stop, layout.chunk_rows):
        rows = range(first, min(first + layout.chunk_rows, stop))
        out = np.empty((len(rows), *field.shape), np.dtype(field.dtype).newbyteorder("<"))
        read_chunked(file, path, name, field, layout.rows, layout.chunk_rows, rows, out)
        total.update(out.data)
    return total.hexdigest()


def verify_single(path: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a line for each part of the file whose rows are not those of the manifest."""
    plan = manifest.plan
    for split, shard in track(plan.shards(), "shards"):
        layout = plan.splits[split]
        start, stop = layout.span(shard)
        for field in plan.fields:
            name = shard_path(split, field, shard)
            try:
                with path.open("rb", buffering=0) as file:
                    digest = _sha256(file, path, split, field, layout, shard)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                yield f"{name} cannot be read: {error}"
                continue
            if manifest.files.get(name) != FileRecord((stop - start) * field.row_bytes, digest):
                yield f"{name} was altered: its sha256 is not the manifest's"
