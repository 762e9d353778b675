"""What is particular to HDF5: the master, shards that lie, and the single file."""

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import copy_of, forge_file, root_of, shard_file

from qwell.datagen.pipeline import finalise, generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetDamaged, DatasetIncomplete, DatasetNotFound, InvalidInput
from qwell.store.derive import convert
from qwell.store.reader import open_dataset
from qwell.store.staging import finish_master
from qwell.store.transfer import pull
from qwell.store.verify import verify_files

RECIPE = SpectraRecipe("m3", n=2500, validation=0, solver="lanes")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hdf5") / "m3.h5"
    generate(RECIPE, path, workers=0, shard_rows=1000)
    return path


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    return copy_of(stored, tmp_path / "m3.h5")


def test_h5py_reads_the_master(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ours = open_dataset(stored)["train"]
    with h5py.File(stored) as file:
        np.testing.assert_array_equal(file["train/potential"][:], ours["potential"][:])
        np.testing.assert_array_equal(file["train/energy"][995:1005], ours["energy"][995:1005])
        assert file["train/energy"].attrs["units"] == "hbar^2/(m length^2)"
        assert [d[0].name for d in file["train/energy"].dims] == ["/train/sample", "/train/level"]
        assert file["validation/potential"].shape == (0, 101)


def test_both_back_ends_hold_the_same_numbers(stored: Path, tmp_path: Path) -> None:
    generate(RECIPE, tmp_path / "m3.zarr", workers=0, shard_rows=1000)
    a, b = open_dataset(stored)["train"], open_dataset(tmp_path / "m3.zarr")["train"]
    for field in ("potential", "energy"):
        np.testing.assert_array_equal(a[field][:], b[field][:])


def test_every_chunk_has_fletcher32(copy: Path) -> None:
    """A bit flipped in the rows is found on reading, by HDF5 itself."""
    victim = shard_file(copy)
    with h5py.File(victim) as file:
        assert all(array.fletcher32 for array in file.values())
        offset = file["energy"].id.get_chunk_info(0).byte_offset
    content = bytearray(victim.read_bytes())
    content[offset + 100] ^= 1
    victim.write_bytes(content)
    data = open_dataset(copy)
    with pytest.raises(DatasetDamaged, match="qdata repair"):
        data["train"].shard(1)
    assert len(data["train"].shard(0)["energy"]) == 1000


def test_chunks_lie_in_the_order_of_writing(stored: Path) -> None:
    """Else equal rows would give files that differ from run to run."""
    for shard in range(3):
        with h5py.File(shard_file(stored, shard=shard)) as file:
            places = [
                file[name].id.get_chunk_info(i).byte_offset
                for name in ("potential", "energy")
                for i in range(file[name].id.get_num_chunks())
            ]
        assert places == sorted(places)


def test_a_lost_master_is_made_again(copy: Path) -> None:
    before = copy.read_bytes()
    copy.unlink()
    time.sleep(1.1)  # HDF5 notes times in seconds, unless it is told not to
    with pytest.raises(DatasetIncomplete, match="qdata finalise"):
        open_dataset(copy)
    finish_master(copy, open_dataset(root_of(copy)).manifest)
    assert copy.read_bytes() == before


def test_a_master_of_another_version_is_named(copy: Path, tmp_path: Path) -> None:
    generate(SpectraRecipe("m3", n=10, validation=0), tmp_path / "other.h5", workers=0)
    copy.write_bytes((tmp_path / "other.h5").read_bytes())
    data = open_dataset(copy)
    assert list(verify_files(copy, data.root, data.manifest)) == [
        f"m3.h5 is damaged, of another version, or made for another name; `qdata finalise {copy}` makes it"
        " again"
    ]


def test_a_renamed_data_set_is_named_and_mended(copy: Path) -> None:
    """`mv m3.h5 n.h5` with its shards: ours reads on, h5py would read NaN from the master of the old name."""
    renamed = copy.with_name("n.h5")
    copy.rename(renamed)
    root_of(copy).rename(root_of(renamed))
    data = open_dataset(renamed)
    with h5py.File(renamed) as file:
        assert np.isnan(file["train/energy"][0]).all()
    (problem,) = verify_files(renamed, data.root, data.manifest)
    assert f"made for another name; `qdata finalise {renamed}`" in problem
    finalise(renamed)
    with h5py.File(renamed) as file:
        np.testing.assert_array_equal(file["train/energy"][:], data["train"]["energy"][:])
    assert list(verify_files(renamed, data.root, data.manifest)) == []


def test_a_name_that_hdf5_cannot_use_is_refused_before_anything_is_made(copy: Path, tmp_path: Path) -> None:
    """In the names of sources of virtual arrays % begins a pattern."""
    bad = tmp_path / "50%.h5"
    for work in (
        lambda: generate(SpectraRecipe("m3", n=10, validation=0), bad, workers=0),
        lambda: convert(open_dataset(copy), bad),
        lambda: pull(f"file://{copy}", bad),
    ):
        with pytest.raises(InvalidInput, match="choose another name"):
            work()
        assert {p.name for p in tmp_path.iterdir()} == {copy.name, root_of(copy).name}
    generate(SpectraRecipe("m3", n=10, validation=0), tmp_path / "50%.zarr", workers=0)


def test_a_master_without_its_shards(copy: Path) -> None:
    root_of(copy).rename(copy.with_name("elsewhere"))
    with pytest.raises(DatasetNotFound, match=r"m3.h5.shards beside it"):
        open_dataset(copy)


def soft(file: h5py.File) -> None:
    del file["energy"]
    file["energy"] = h5py.SoftLink("/potential")


def external_link(file: h5py.File) -> None:
    del file["energy"]
    file["energy"] = h5py.ExternalLink("/etc/passwd", "/energy")


def external_storage(file: h5py.File) -> None:
    del file["energy"]
    file.create_dataset("energy", (1000, 10), "f8", external=[("/etc/passwd", 0, 80000)])


def virtual(file: h5py.File) -> None:
    del file["energy"]
    layout = h5py.VirtualLayout((1000, 10), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "energy", (1000, 10), "f8")
    file.create_virtual_dataset("energy", layout)


def compressed(file: h5py.File) -> None:
    """A bomb: a few kilobytes that unpack to anything."""
    del file["energy"]
    file.create_dataset("energy", data=np.zeros((1000, 10)), compression="gzip", fletcher32=True)


def huge(file: h5py.File) -> None:
    del file["energy"]
    file.create_dataset("energy", (2**40, 10), "f8", chunks=(2**20, 10), fletcher32=True)


def huge_chunks(file: h5py.File) -> None:
    del file["energy"]
    file.create_dataset("energy", (1000, 10), "f8", chunks=(2**22, 10), maxshape=(None, 10), fletcher32=True)


def objects(file: h5py.File) -> None:
    del file["energy"]
    file.create_dataset("energy", (1000, 10), h5py.string_dtype())


def a_group(file: h5py.File) -> None:
    del file["energy"]
    file.create_group("energy")


def shuffled(file: h5py.File) -> None:
    """Chunks of the right size, whose bytes are in another order: numbers, and wrong ones."""
    del file["energy"]
    file.create_dataset("energy", data=np.ones((1000, 10)), chunks=(1000, 10), shuffle=True, fletcher32=True)


def unchecked(file: h5py.File) -> None:
    del file["energy"]
    file.create_dataset("energy", data=np.zeros((1000, 10)), chunks=(1000, 10))


@pytest.mark.parametrize(
    "change",
    [
        soft,
        external_link,
        external_storage,
        virtual,
        compressed,
        huge,
        huge_chunks,
        objects,
        a_group,
        unchecked,
        shuffled,
    ],
)
def test_shards_that_lie_are_refused(copy: Path, change: Callable[[h5py.File], None]) -> None:
    """Also where the manifest vouches for them."""
    victim = shard_file(copy)
    with h5py.File(victim, "r+") as file:
        change(file)
    forge_file(copy, victim)
    with pytest.raises(DatasetDamaged):
        open_dataset(copy)["train"].shard(1)
