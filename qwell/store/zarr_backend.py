"""The Zarr v3 back end: one group a split, one sharded array a field, crc32c on every chunk.

Shards are encoded by zarr in memory and placed by us, whole and once: two tasks never share a file.
The fill value is NaN, so that a row never written cannot pass for a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore, MemoryStore

from qwell.errors import DatasetDamaged
from qwell.store.manifest import parse_json
from qwell.store.schema import Field, Plan, SplitLayout


def create_layout(root: Path, plan: Plan) -> None:
    """Write groups, empty arrays and coordinates of a plan below `root`."""
    store = LocalStore(root)
    zarr.create_group(store, zarr_format=3, attributes={"kind": plan.kind})
    for split, layout in plan.splits.items():
        attributes = {"kind": plan.kind, "split": split, "recipe": plan.recipe}
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


def _create_field(store: Any, field: Field, layout: SplitLayout, name: str | None = None) -> zarr.Array:
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


def shard_path(split: str, field: Field, shard: int) -> str:
    """Path of one shard of one field, relative to the data set."""
    return "/".join([split, field.name, "c", str(shard), *["0"] * len(field.shape)])


def encode_shard(field: Field, layout: SplitLayout, shard: int, values: np.ndarray) -> memoryview:
    """The exact bytes of one shard file holding `values` (rows of the shard, *field.shape)."""
    memory = MemoryStore()
    start, stop = layout.span(shard)
    _create_field(memory, field, layout)[start:stop] = values
    key = shard_path("", field, shard).split("/", 2)[2]
    return memory._store_dict[key].as_numpy_array().data


CODECS = {"sharding_indexed", "bytes", "crc32c"}


def _codec_names(codecs: object) -> Iterator[str]:
    """Names of all codecs in array metadata, nested ones too."""
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        if not isinstance(codec, dict):
            yield repr(codec)
            continue
        yield str(codec.get("name"))
        inner = codec.get("configuration")
        if isinstance(inner, dict):
            yield from _codec_names(inner.get("codecs", []))
            yield from _codec_names(inner.get("index_codecs", []))


def open_field(root: Path, split: str, field: Field, layout: SplitLayout) -> zarr.Array:
    """Open one array for reading.

    Only the three codecs we write are accepted: no compressor that a small file could make huge, and none
    that runs code, is ever asked to decode.

    Raises DatasetDamaged if the array is not what the manifest says.
    """
    try:
        metadata = parse_json((root / split / field.name / "zarr.json").read_bytes(), "zarr.json")
        foreign = set(_codec_names(metadata.get("codecs"))) - CODECS
        if foreign:
            raise ValueError(f"codec {sorted(foreign)[0]!r} is not accepted")
        array = zarr.open_array(LocalStore(root, read_only=True), path=f"{split}/{field.name}", mode="r")
    except Exception as error:
        raise DatasetDamaged(f"{root}/{split}/{field.name} cannot be opened: {error}") from error
    expected = (layout.rows, *field.shape)
    if array.shape != expected or array.dtype != np.dtype(field.dtype):
        raise DatasetDamaged(
            f"{root}/{split}/{field.name} is {array.dtype}{array.shape}; the manifest says"
            f" {field.dtype}{expected}: restore the data set from its source"
        )
    return array
