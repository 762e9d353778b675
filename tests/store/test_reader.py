"""Readers refuse what the manifest does not vouch for, and never leave the data set."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qwell.errors import (
    DatasetDamaged,
    DatasetKindError,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
)
from qwell.store.manifest import FileRecord, Manifest, parse_json
from qwell.store.reader import Dataset, open_dataset
from qwell.store.verify import verify_files


@pytest.fixture
def copy(dataset_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset_path, tmp_path / "copy.zarr"))


def rewrite(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))


def test_slices_shards_and_iteration_agree(dataset: Dataset) -> None:
    split = dataset["train"]
    whole = split["potential"][:]
    assert whole.shape == (3500, 101) and whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([rows["potential"] for rows in split]), whole)
    np.testing.assert_array_equal(split["potential"][990:1010], whole[990:1010])
    assert split["energy"].dtype == np.float64
    assert len(split.shard(3)["energy"]) == 500


def test_xarray_opens_it(dataset_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    opened = xarray.open_zarr(dataset_path, group="train", consolidated=False)
    assert dict(opened.sizes) == {"sample": 3500, "x": 101, "level": 10}
    assert opened.energy.attrs["long_name"] == "energy eigenvalue E_i"
    assert opened.attrs["recipe"]["kernel"] == "m3"
    np.testing.assert_array_equal(
        opened.potential[5].values, open_dataset(dataset_path)["train"]["potential"][5]
    )


def test_digest_is_the_sha256_of_the_manifest_file(dataset_path: Path, dataset: Dataset) -> None:
    import hashlib

    assert dataset.digest == hashlib.sha256((dataset_path / "manifest.json").read_bytes()).hexdigest()
    assert Manifest.decode(dataset.manifest.encode()) == dataset.manifest


def test_verify_finds_nothing_wrong_with_a_good_one(dataset_path: Path, dataset: Dataset) -> None:
    assert list(verify_files(dataset_path, dataset.manifest)) == []


def test_missing_shard(copy: Path) -> None:
    (copy / "train/energy/c/1/0").unlink()
    with pytest.raises(DatasetDamaged, match="train/energy/c/1/0 is missing"):
        open_dataset(copy)


def test_truncated_shard(copy: Path) -> None:
    victim = copy / "train/energy/c/1/0"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DatasetDamaged, match="bytes instead of"):
        open_dataset(copy)


@pytest.mark.parametrize("field", ["potential", "energy"])
@pytest.mark.parametrize("where", [0.0, 0.5, 0.9999])
def test_one_flipped_bit_is_found_by_reading_and_by_verify(copy: Path, field: str, where: float) -> None:
    victim = copy / f"train/{field}/c/1/0"
    content = bytearray(victim.read_bytes())
    content[int(where * len(content))] ^= 1
    victim.write_bytes(content)
    data = open_dataset(copy)
    with pytest.raises(DatasetDamaged, match="damaged"):
        data["train"].shard(1)
    problems = list(verify_files(copy, data.manifest))
    assert problems == [f"train/{field}/c/1/0 was altered: its sha256 is not the manifest's"]


def test_altered_metadata(copy: Path) -> None:
    path = copy / "train/energy/zarr.json"
    path.write_text(path.read_text().replace("3500", "3501"))
    with pytest.raises(DatasetDamaged, match="altered"):
        open_dataset(copy)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", "numcodecs.pickle", "evil"])
def test_only_our_codecs_are_asked_to_decode(copy: Path, codec: str) -> None:
    """Also where the manifest vouches for the metadata."""
    path = copy / "train/energy/zarr.json"
    text = path.read_text().replace('"crc32c"', f'"{codec}"')
    path.write_text(text)
    files = json.loads((copy / "manifest.json").read_text())["files"]
    record = FileRecord.of(text.encode())
    rewrite(copy, files=files | {"train/energy/zarr.json": [record.size, record.sha256]})
    with pytest.raises(DatasetDamaged, match=f"codec '{codec}' is not accepted"):
        open_dataset(copy)["train"]["energy"]


def test_a_stranger_among_the_files(copy: Path) -> None:
    (copy / "train" / "note.txt").write_text("hello")
    assert list(verify_files(copy, open_dataset(copy).manifest)) == [
        "train/note.txt does not belong to the data set"
    ]


def test_links_are_not_followed(copy: Path, tmp_path: Path) -> None:
    shard = copy / "train/energy/c/1/0"
    shutil.move(shard, tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetDamaged, match="not a plain file"):
        open_dataset(copy)
    shard.unlink()
    shutil.move(tmp_path / "elsewhere", shard)
    shutil.move(copy / "train/energy", tmp_path / "energy")
    (copy / "train/energy").symlink_to(tmp_path / "energy")
    with pytest.raises(DatasetDamaged, match="symbolic link"):
        open_dataset(copy)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "train/../../x", "train//x", "", "a/./b", "a\nb", "C:\\x", "x" * 2000]
)
def test_paths_out_of_the_data_set_are_refused(copy: Path, path: str) -> None:
    rewrite(copy, files={path: [1, "0" * 64]})
    with pytest.raises(ManifestError):
        open_dataset(copy)


FIELD = {"name": "a", "dims": ["x"], "shape": [2], "dtype": "float32", "units": "", "long_name": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"}, {"format_version": 99}, {"state": "begun"}, {"files": []}, {"files": {"a": 1}},
        {"fields": 3}, {"fields": [{"name": "x"}]}, {"splits": {"train": {"rows": -1}}}, {"splits": None},
        {"splits": {"train": {"rows": 2**60, "shard_rows": 10, "chunk_rows": 10}}}, {"row_order": "?"},
        {"splits": {"../x": {"rows": 1, "shard_rows": 1, "chunk_rows": 1}}}, {"recipe": []},
        {"coordinates": {}},
        {"fields": [FIELD | {"shape": [2**40]}]}, {"fields": [FIELD | {"dtype": "object"}]},
        {"fields": [FIELD | {"name": "a/b"}]}, {"fields": [FIELD | {"dims": []}]},
    ],
)  # fmt: skip
def test_malformed_manifests(copy: Path, changes: dict[str, object]) -> None:
    rewrite(copy, **changes)
    with pytest.raises((ManifestError, DatasetDamaged)):
        open_dataset(copy)["train"]["potential"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', "[" * 100_000, "\ufeff{}", "\x00"]
)
def test_json_is_strict(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_json(text.encode(), "it")


def test_what_is_not_there(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(DatasetNotFound, match="qdata generate"):
        open_dataset(tmp_path / "none.zarr")
    with pytest.raises(DatasetNotFound, match="not a qwell data set"):
        open_dataset(tmp_path)
    with pytest.raises(InvalidInput, match="train, validation"):
        dataset["test"]
    with pytest.raises(InvalidInput, match="potential, energy"):
        dataset["train"]["psi"]
    with pytest.raises(DatasetKindError, match="needs trajectories"):
        dataset.require("trajectories")
