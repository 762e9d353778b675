"""The Zarr v3 back end: one group a split, one sharded array a field, crc32c on every chunk.

Shards are encoded by zarr in memory and placed by us, whole and once: two tasks never share a file.
The fill value is NaN, so that a row never written cannot pass for a number. Reading a run of rows is
done here without zarr: uncompressed chunks need one read, one checksum and one copy, and zarr's single
event loop would keep all threads of a stream waiting for each other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from math import nan
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from qwell.errors import DatasetDamaged
from qwell.files import dump_json
from qwell.store.manifest import FileRecord, parse_json
from qwell.store.schema import Field, Plan, SplitLayout
from qwell.store.vouched import vouched

SUFFIXES: tuple[str, ...] = (".zarr",)


def root_of(path: Path) -> Path:
    """The directory that holds the files of the data set `path`: itself."""
    return path


def create_layout(root: Path, plan: Plan) -> None:
    """Write groups, empty arrays and coordinates of a plan below `root`."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import LocalStore

    store = LocalStore(root)
    recipe = json.loads(dump_json(plan.recipe))  # keys in one order, wherever the plan comes from
    zarr.create_group(store, zarr_format=3, attributes={"kind": plan.kind})
    for split, layout in plan.splits.items():
        attributes = {"kind": plan.kind, "split": split, "recipe": recipe}
        zarr.create_group(store, path=split, zarr_format=3, attributes=attributes)
        for coordinate in plan.coordinates:
            array = zarr.create_array(
                store,
                name=f"{split}/{coordinate.name}",
                data=np.asarray(coordinate.values),
                compressors=Crc32cCodec(),
                fill_value=nan,
                dimension_names=(coordinate.name,),
            )
            array.attrs.update({"units": coordinate.units, "long_name": coordinate.long_name})
        for field in plan.fields:
            _create_field(store, field, layout, f"{split}/{field.name}")


def _create_field(store: Any, field: Field, layout: SplitLayout, name: str | None = None) -> Any:
    import zarr
    from zarr.codecs import Crc32cCodec

    return zarr.create_array(
        store,
        name=name,
        shape=(layout.rows, *field.shape),
        shards=(layout.shard_rows, *field.shape),
        chunks=(layout.chunk_rows, *field.shape),
        dtype=field.dtype,
        compressors=Crc32cCodec(),
        fill_value=nan,
        dimension_names=("sample", *field.dims),
        attributes={"units": field.units, "long_name": field.long_name},
    )


def metadata_files(plan: Plan) -> set[str]:
    """Every file of a data set besides its shards: group and array metadata, and coordinates."""
    names = {"zarr.json"}
    for split in plan.splits:
        names.add(f"{split}/zarr.json")
        arrays = [f.name for f in plan.fields] + [c.name for c in plan.coordinates]
        names |= {f"{split}/{name}/zarr.json" for name in arrays}
        names |= {f"{split}/{c.name}/c/0" for c in plan.coordinates}
    return names


def shard_path(split: str, field: Field, shard: int) -> str:
    """Path of one shard of one field, relative to the data set."""
    return "/".join([split, field.name, "c", str(shard), *["0"] * len(field.shape)])


def encode_shard(
    plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, memoryview]]:
    """The files of one shard, (path, content), one a field; `values` are the rows of the shard."""
    from zarr.storage import MemoryStore

    layout = plan.splits[split]
    start, stop = layout.span(shard)
    for field in plan.fields:
        memory = MemoryStore()
        _create_field(memory, field, layout)[start:stop] = values[field.name]
        path = shard_path(split, field, shard)
        yield path, memory._store_dict[path.split("/", 2)[2]].as_numpy_array().data


def master_of(name: str, plan: Plan, digest: str) -> bytes | None:
    """None: the directory itself is the data set."""
    return None


def leads_to_shards(path: Path, plan: Plan) -> bool:
    """Nothing leads to them: the directory itself is the data set."""
    return True


_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_CHECKED = [_LITTLE, {"name": "crc32c"}]


def check_field(root: Path, split: str, field: Field, layout: SplitLayout) -> None:
    """Compare the metadata of an array with the manifest.

    Only the codecs we write are accepted: no compressor that a small file could make huge, and none that
    runs code, is ever asked to decode.

    Raises DatasetDamaged if the array is not what the manifest says.
    """
    path = root / split / field.name / "zarr.json"
    try:
        found = parse_json(path.read_bytes(), "zarr.json")
        codec = found["codecs"][0]
        inner = codec["configuration"]
        agrees = {
            "shape": found["shape"] == [layout.rows, *field.shape],
            "data type": found["data_type"] == field.dtype,
            "codecs": len(found["codecs"]) == 1
            and codec["name"] == "sharding_indexed"
            and inner["codecs"] == inner["index_codecs"] == _CHECKED
            and inner.get("index_location", "end") == "end",
            "shards": found["chunk_grid"]["configuration"]["chunk_shape"]
            == [layout.shard_rows, *field.shape],
            "chunks": inner["chunk_shape"] == [layout.chunk_rows, *field.shape],
            "storage transformers": not found.get("storage_transformers"),
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetDamaged(f"{path.parent} cannot be opened: {error}") from error
    for what, same in agrees.items():
        if not same:
            raise DatasetDamaged(
                f"{path.parent}: its {what} are not what the manifest says ({field.dtype},"
                f" {(layout.rows, *field.shape)}) or not accepted: restore the data set from its source"
            )


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

    Raises OSError or ValueError where the file cannot be read or a checksum is wrong.
    """
    chunk, value = layout.chunk_rows, np.dtype(field.dtype).newbyteorder("<")
    with vouched(root / shard_path(split, field, shard), record) as file:
        index = _index(file, layout.shard_rows // chunk)
        for i in range(rows.start // chunk, -(-rows.stop // chunk)):
            offset, size = index[i]
            if size != chunk * field.row_bytes + 4:
                raise ValueError(f"chunk {i} is missing or of the wrong size")
            content = _checked(file, offset, size, f"chunk {i}")
            values = np.frombuffer(content, value)
            first, last = max(rows.start, i * chunk), min(rows.stop, (i + 1) * chunk)
            part = values.reshape(chunk, *field.shape)[first - i * chunk : last - i * chunk]
            out[first - rows.start : last - rows.start] = part


def _index(file: Any, chunks: int) -> list[tuple[int, int]]:
    """(offset, size) of every chunk of a shard, from the index at its end."""
    size = 16 * chunks + 4
    content = _checked(file, file.seek(0, 2) - size, size, "the index")
    numbers = struct.unpack(f"<{2 * chunks}Q", content)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _checked(file: Any, offset: int, size: int, what: str) -> bytes:
    """Read `size` bytes at `offset`, the last four of them the crc32c of the others."""
    if not 0 <= offset < 2**62:
        raise ValueError(f"{what} lies outside the shard")
    file.seek(offset)
    content, checksum = file.read(size - 4), file.read(4)
    if len(content) + len(checksum) != size:
        raise ValueError(f"{what} lies outside the shard")
    if struct.pack("<I", google_crc32c.value(content)) != checksum:
        raise ValueError(f"the checksum of {what} is wrong")
    found: bytes = content
    return found
