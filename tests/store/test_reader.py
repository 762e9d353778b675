"""Readers refuse what the manifest does not vouch for, and never leave the data set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import forge_manifest, root_of, shard_file

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import (
    DatasetDamaged,
    DatasetKindError,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    VersionMismatch,
)
from qwell.store.dataset import Dataset
from qwell.store.manifest import Manifest, parse_json
from qwell.store.reader import open_dataset
from qwell.store.verify import verify_files


@pytest.fixture(scope="module")
def dataset(stored: Path) -> Dataset:
    return open_dataset(stored)


def test_slices_shards_and_iteration_agree(dataset: Dataset) -> None:
    split = dataset["train"]
    whole = split["potential"][:]
    assert whole.shape == (3500, 101) and whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate([rows["potential"] for rows in split]), whole)
    np.testing.assert_array_equal(split["potential"][990:1010], whole[990:1010])
    assert split["energy"].dtype == np.float64
    assert len(split.shard(3)["energy"]) == 500


def test_xarray_opens_it(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user does, from whatever directory."""
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    if stored.suffix == ".zarr":
        opened = xarray.open_zarr(stored, group="train", consolidated=False)
        recipe = opened.attrs["recipe"]
    else:
        opened = xarray.open_dataset(stored, group="train", engine="h5netcdf")
        recipe = json.loads(opened.attrs["recipe"])
    assert dict(opened.sizes) == {"sample": 3500, "x": 101, "level": 10}
    assert opened.energy.attrs["long_name"] == "energy eigenvalue E_i"
    assert opened.potential.dims == ("sample", "x") and recipe["kernel"] == "m3"
    np.testing.assert_array_equal(opened.x.values, open_dataset(stored).coordinates["x"])
    np.testing.assert_array_equal(
        opened.potential[1990:2010].values, open_dataset(stored)["train"]["potential"][1990:2010]
    )
    opened.close()


def test_digest_is_the_sha256_of_the_manifest_file(stored: Path, dataset: Dataset) -> None:
    import hashlib

    assert dataset.digest == hashlib.sha256((root_of(stored) / "manifest.json").read_bytes()).hexdigest()
    assert Manifest.decode(dataset.manifest.encode()) == dataset.manifest


def test_verify_finds_nothing_wrong_with_a_good_one(stored: Path, dataset: Dataset) -> None:
    assert list(verify_files(stored, dataset.root, dataset.manifest)) == []


def test_an_altered_recipe_is_noticed(copy: Path) -> None:
    """The manifest vouches for all other files; provenance.json vouches for the manifest."""
    file = root_of(copy) / "manifest.json"
    file.write_text(file.read_text().replace('"sigma": 100.0', '"sigma": 101.0'))
    with pytest.raises(DatasetDamaged, match="do not agree"):
        open_dataset(copy)


def test_missing_shard(copy: Path) -> None:
    shard_file(copy).unlink()
    with pytest.raises(DatasetDamaged, match=f"{shard_file(copy).relative_to(root_of(copy))} is missing"):
        open_dataset(copy)


def test_truncated_shard(copy: Path) -> None:
    victim = shard_file(copy)
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DatasetDamaged, match="bytes instead of"):
        open_dataset(copy)


@pytest.mark.parametrize("field", ["potential", "energy"])
@pytest.mark.parametrize("where", [0.0, 0.5, 0.9999])
def test_one_flipped_bit_is_found_by_reading_and_by_verify(copy: Path, field: str, where: float) -> None:
    victim = shard_file(copy, field=field)
    content = bytearray(victim.read_bytes())
    content[int(where * len(content))] ^= 1
    victim.write_bytes(content)
    data = open_dataset(copy)
    if copy.suffix == ".zarr":  # HDF5 has padding that no checksum of its own covers; the sha256 does
        with pytest.raises(DatasetDamaged, match="damaged"):
            data["train"].shard(1)
    problems = list(verify_files(copy, data.root, data.manifest))
    assert problems == [f"{victim.relative_to(data.root)} was altered: its sha256 is not the manifest's"]


def test_a_stranger_among_the_files(copy: Path) -> None:
    (root_of(copy) / "train" / "note.txt").write_text("hello")
    assert list(verify_files(copy, root_of(copy), open_dataset(copy).manifest)) == [
        "train/note.txt does not belong to the data set"
    ]


def test_links_are_not_followed(copy: Path, tmp_path: Path) -> None:
    shard = shard_file(copy)
    shutil.move(shard, tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetDamaged, match="not a plain file"):
        open_dataset(copy)
    shard.unlink()
    shutil.move(tmp_path / "elsewhere", shard)
    shutil.move(shard.parent, tmp_path / "moved")
    shard.parent.symlink_to(tmp_path / "moved")
    with pytest.raises(DatasetDamaged, match="symbolic link"):
        open_dataset(copy)


def test_a_linked_data_set_is_opened(stored: Path, tmp_path: Path) -> None:
    """The user's own link to a whole data set is the user's business."""
    if stored.suffix == ".zarr":
        (tmp_path / "here.zarr").symlink_to(stored)
        assert open_dataset(tmp_path / "here.zarr").digest == open_dataset(stored).digest


def test_a_version_can_be_insisted_on(stored: Path, dataset: Dataset) -> None:
    assert open_dataset(f"{stored}@{dataset.digest[:8]}").digest == dataset.digest
    with pytest.raises(VersionMismatch, match="not 0123456789ab"):
        open_dataset(f"{stored}@0123456789ab")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "train/../../x", "train//x", "", "a/./b", "a\nb", "C:\\x", "x" * 2000]
)
def test_paths_out_of_the_data_set_are_refused(copy: Path, name: str) -> None:
    forge_manifest(copy, files={name: [1, "0" * 64]})
    with pytest.raises(ManifestError):
        open_dataset(copy)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"kind"', '"added": 1, "kind"'),
        lambda text: text.replace("100.0", "1e2"),
        lambda text: text.replace("\n", "\n "),
        lambda text: text + "\n",
        lambda text: text.replace("spectra", "spectr\\u0061"),
        lambda text: json.dumps(json.loads(text)),
    ],
    ids=["key", "number", "space", "line", "escape", "compact"],
)
def test_a_manifest_is_written_one_way(copy: Path, edit: Callable[[str], str]) -> None:
    """So that its sha256 is the version, and two versions never have one name."""
    file = root_of(copy) / "manifest.json"
    file.write_text(edit(file.read_text()))
    (root_of(copy) / "provenance.json").unlink()
    with pytest.raises(ManifestError, match="not as qwell writes it"):
        open_dataset(copy)


def test_no_more_shards_than_files(copy: Path) -> None:
    """And no more files than a reader could list: a manifest of 4 kB must not take gigabytes."""
    for rows, message in ((4_000, "lists"), (2**40, "at most 131,072")):
        forge_manifest(copy, splits={"train": {"rows": rows, "shard_rows": 1, "chunk_rows": 1}})
        with pytest.raises(ManifestError, match=message):
            open_dataset(copy)


FIELD = {"name": "a", "dims": ["x"], "shape": [2], "dtype": "float32", "units": "", "long_name": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"}, {"format_version": 99}, {"format_version": 1},
        {"state": "begun"}, {"files": []}, {"files": {"a": 1}},
        {"fields": 3}, {"fields": [{"name": "x"}]}, {"splits": {"train": {"rows": -1}}}, {"splits": None},
        {"storage": "tar"}, {"storage": "hdf5-single"},
        {"splits": {"train": {"rows": 2**60, "shard_rows": 10, "chunk_rows": 10}}}, {"row_order": "?"},
        {"splits": {"../x": {"rows": 1, "shard_rows": 1, "chunk_rows": 1}}}, {"recipe": []},
        {"coordinates": {}},
        {"fields": [FIELD | {"shape": [2**40]}]}, {"fields": [FIELD | {"dtype": "object"}]},
        {"fields": [FIELD | {"name": "a/b"}]}, {"fields": [FIELD | {"dims": []}]},
    ],
)  # fmt: skip
def test_malformed_manifests(copy: Path, changes: dict[str, object]) -> None:
    forge_manifest(copy, **changes)
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


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_a_manifest_that_lists_shards_of_rows_it_denies(tmp_path: Path, suffix: str) -> None:
    """Else a data set without its validation rows would be a good one."""
    path = tmp_path / f"x{suffix}"
    generate(SpectraRecipe("m3", n=1000, validation=200, solver="lanes"), path, workers=0)
    splits = json.loads((root_of(path) / "manifest.json").read_text())["splits"]
    forge_manifest(path, splits=splits | {"validation": splits["validation"] | {"rows": 0}})
    with pytest.raises(DatasetDamaged, match=r"lists validation/.*0.*, which such a data set has not"):
        open_dataset(path)
