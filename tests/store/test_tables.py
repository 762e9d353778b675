"""Arrays from people's files: what is read, and what is refused before memory is taken."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from qwell.errors import InvalidInput
from qwell.store.tables import read_arrays

NAMES = {"potential": "v", "energy": "e"}


def test_named_arrays_and_optional_ones(tmp_path: Path) -> None:
    v, e = np.arange(12.0).reshape(3, 4), np.ones((3, 2))
    np.savez(tmp_path / "a.npz", v=v, e=e)
    np.savez(tmp_path / "b.npz", v=v)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["v"], file["e"] = v, e
    for name in ("a.npz", "c.h5"):
        read = read_arrays(tmp_path / name, NAMES)
        np.testing.assert_array_equal(read["potential"], v)
        np.testing.assert_array_equal(read["energy"], e)
    assert list(read_arrays(tmp_path / "b.npz", NAMES)) == ["potential"]


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path: Path) -> None:
    """Said of the file's own directory, before anything is unpacked."""
    archive = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("v.npy", "w") as file:
        for _ in range(300):
            file.write(b"\0" * 1_000_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", (10**7, 101), "f8", chunks=(1000, 101), compression="gzip")
    for name in ("a.npz", "a.h5"):
        with pytest.raises(InvalidInput, match="unpack it yourself"):
            read_arrays(tmp_path / name, NAMES)


@pytest.mark.parametrize(
    "values", [np.array(["a"]), np.zeros((2, 2, 2)), np.zeros(3, complex), np.zeros((2, 3), bool)]
)
def test_what_is_no_table_of_numbers(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", v=values)
    with pytest.raises(InvalidInput):
        read_arrays(tmp_path / "a.npz", NAMES)
