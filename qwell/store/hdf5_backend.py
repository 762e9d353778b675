"""The HDF5 back end: one file a shard with fletcher32 on every chunk, and a virtual master over them.

    x.h5                       the master: virtual data sets, coordinates as dimension scales
    x.h5.shards/manifest.json
    x.h5.shards/train/0.h5     shard 0 of every field

An HDF5 file killed in writing is lost as a whole: a shard is therefore encoded in memory and placed whole,
and the master, which stands for the data set, is written last. The reader never opens the master; it is
there for h5py, xarray and h5netcdf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qwell.store.hdf5_chunks import open_to_read, read_chunked
from qwell.store.manifest import FileRecord
from qwell.store.schema import Field, Plan, SplitLayout
from qwell.store.vouched import vouched

SUFFIXES: tuple[str, ...] = (".h5", ".hdf5")
_VERSION = ("v110", "v110")  # checksums on metadata; read by HDF5 1.10 and later
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."


def root_of(path: Path) -> Path:
    """The directory that holds the files of the data set `path`."""
    return path.with_name(path.name + ".shards")


def create_layout(root: Path, plan: Plan) -> None:
    """Nothing but directories: shards describe themselves, and the master comes last."""
    for split in plan.splits:
        (root / split).mkdir(parents=True, exist_ok=True)


def metadata_files(plan: Plan) -> set[str]:
    """Every file of a data set besides its shards: none."""
    return set()


def shard_path(split: str, field: Field, shard: int) -> str:
    """Path of one shard, relative to the root; all fields share it."""
    return f"{split}/{shard}.h5"


def _in_memory() -> Any:
    """A file in memory that is laid out in the order of writing.

    With a cache of chunks HDF5 places them when it is flushed, in an order that differs from run to run.
    """
    import h5py

    return h5py.File("x", "w", driver="core", backing_store=False, libver=_VERSION, rdcc_nbytes=0)


def _image(file: Any) -> bytes:
    file.flush()
    content: bytes = file.id.get_file_image()
    file.close()
    return content


def create_array(group: Any, field: Field, rows: int, chunk_rows: int) -> Any:
    """An empty array of a field with fletcher32 on its chunks, NaN where nothing was written."""
    array = group.create_dataset(
        field.name,
        shape=(rows, *field.shape),
        dtype=np.dtype(field.dtype).newbyteorder("<"),
        chunks=(min(chunk_rows, rows), *field.shape) if rows else None,
        fletcher32=bool(rows),
        fillvalue=np.nan,
    )
    array.attrs["units"], array.attrs["long_name"] = field.units, field.long_name
    return array


def encode_shard(
    plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, bytes]]:
    """The one file of a shard, (path, content); `values` are the rows of the shard."""
    layout = plan.splits[split]
    start, stop = layout.span(shard)
    file = _in_memory()
    for field in plan.fields:
        create_array(file, field, stop - start, layout.chunk_rows)[...] = values[field.name]
    yield f"{split}/{shard}.h5", _image(file)


def add_dimension(group: Any, name: str, length: int) -> Any:
    """A dimension scale without values, as netCDF-4 writes it; it takes no room."""
    scale = group.create_dataset(name, shape=(length,), dtype=">f4")
    scale.make_scale(f"{_NO_VARIABLE}{length:10d}")
    return scale


def add_coordinates(group: Any, plan: Plan, rows: int) -> None:
    """Dimension scales for every dimension of a split, attached to its fields.

    A dimension without coordinate values gets the placeholder of netCDF-4.
    """
    scales = {}
    for c in plan.coordinates:
        scales[c.name] = group.create_dataset(c.name, data=np.asarray(c.values, "<f8"))
        scales[c.name].attrs["units"], scales[c.name].attrs["long_name"] = c.units, c.long_name
        scales[c.name].make_scale(c.name)
    lengths = {"sample": rows} | {d: s for f in plan.fields for d, s in zip(f.dims, f.shape, strict=True)}
    for name, length in lengths.items():
        if name not in scales:
            scales[name] = add_dimension(group, name, length)
    for field in plan.fields:
        for axis, name in enumerate(("sample", *field.dims)):
            group[field.name].dims[axis].attach_scale(scales[name])


def master_of(name: str, plan: Plan, digest: str) -> bytes | None:
    """The content of the virtual master `name` of the shards in the directory beside it."""
    import json

    file = _in_memory()
    file.attrs["kind"], file.attrs["manifest_sha256"] = plan.kind, digest
    for split, layout in plan.splits.items():
        group = file.create_group(split)
        group.attrs["kind"], group.attrs["split"] = plan.kind, split
        group.attrs["recipe"] = json.dumps(plan.recipe, sort_keys=True)
        for field in plan.fields:
            array = _create_virtual(group, field, layout, f"{root_of(Path(name)).name}/{split}")
            array.attrs["units"], array.attrs["long_name"] = field.units, field.long_name
        add_coordinates(group, plan, layout.rows)
    return _image(file)


def leads_to_shards(path: Path, plan: Plan) -> bool:
    """Whether a master's virtual arrays name the shards by the name that it has now; OSError, KeyError or
    RuntimeError if it is none.

    After `mv m.h5 n.h5` they do not, and h5py would read NaN.
    """
    with open_to_read(path) as file:
        return all(
            {source.file_name for source in file[split][field.name].virtual_sources()}
            == {f"{root_of(path).name}/{shard_path(split, field, i)}" for i in range(layout.shards)}
            for split, layout in plan.splits.items()
            if layout.rows
            for field in plan.fields
        )


def _create_virtual(group: Any, field: Field, layout: SplitLayout, folder: str) -> Any:
    """A virtual array of the shards in a folder. (h5py's own notes the time, so that no two are equal.)"""
    import h5py
    from h5py import h5d, h5p, h5s, h5t

    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_fill_value(np.array(np.nan, field.dtype))
    whole = h5s.create_simple((layout.rows, *field.shape))
    for i in range(layout.shards):
        start, stop = layout.span(i)
        count = (stop - start, *field.shape)
        whole.select_hyperslab((start, *[0] * len(field.shape)), count)
        source = h5s.create_simple(count)
        properties.set_virtual(whole, f"{folder}/{i}.h5".encode(), field.name.encode(), source)
    whole.select_all()
    kind = h5t.py_create(np.dtype(field.dtype).newbyteorder("<"))
    return h5py.Dataset(h5d.create(group.id, field.name.encode(), kind, whole, properties))


def check_field(root: Path, split: str, field: Field, layout: SplitLayout) -> None:
    """Nothing to compare but what `read_rows` finds in each shard."""


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

    Raises OSError, ValueError or RuntimeError where it cannot be read, is not what the manifest says, or
    fails its checksum.
    """
    start, stop = layout.span(shard)
    path = root / shard_path(split, field, shard)
    with vouched(path, record) as file:
        read_chunked(file, path, field.name, field, stop - start, layout.chunk_rows, rows, out)
