"""Potentials from and energies to people's files: `.npy`, `.npz`, `.csv`, HDF5. Pickles are never opened."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from qwell.errors import InvalidInput
from qwell.files import whole_file

SUFFIXES = (".npy", ".csv")


def read_table(path: Path) -> np.ndarray:
    """Read rows of numbers.

    Arguments:
        path: `.npy` (numbers, 1-D or 2-D; pickles are refused) or `.csv` (comma-separated, `#` comments).

    Returns: (n, columns) float64; a single row may be given flat, or in a CSV as one column.

    Raises InvalidInput if the file is missing, of another kind, or does not hold numbers.
    """
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; give potentials as .npy or .csv")
    try:
        if path.suffix == ".npy":
            table = np.load(path, allow_pickle=False)
        else:
            table = np.loadtxt(path, delimiter=",", ndmin=2)
            table = table.T if table.shape[1] == 1 else table
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no file {path}") from error
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise InvalidInput(f"{path} does not hold a table of numbers: {error}") from error
    if not isinstance(table, np.ndarray):
        raise InvalidInput(f"{path} does not hold a table of numbers, but several; name it .npz")
    _check_table(str(path), table)
    return np.atleast_2d(table).astype(np.float64)


def read_arrays(path: Path, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Read named arrays from a file.

    Arguments:
        path: `.npz` or HDF5 with the arrays; `.npy` and `.csv` hold the first of them only.
        names: what each is called by us → its name in the file. All but the first may be missing there.

    Returns: (n, columns) numbers, those that are there.

    Raises InvalidInput if the file is missing, of another kind, or does not hold numbers.
    """
    first = next(iter(names))
    if path.suffix in SUFFIXES:
        return {first: read_table(path)}
    if path.suffix not in (".npz", ".h5", ".hdf5"):
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; give .npz, .npy, .csv, .h5 or .hdf5")
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    found: dict[str, np.ndarray] = {}
    there: list[str] = []
    try:
        if path.suffix == ".npz":
            with ZipFile(path) as archive:
                _check_size(path, sum(entry.file_size for entry in archive.infolist()))
            with np.load(path, allow_pickle=False) as file:
                there = list(file.files)
                found = {ours: file[name] for ours, name in names.items() if name in file.files}
        else:
            import h5py

            with h5py.File(path, "r") as file:
                there = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
                for ours, name in names.items():
                    if name in file and isinstance(file.get(name, getlink=True), h5py.HardLink):
                        if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind not in "fiu":
                            raise ValueError(f"{name} is no array of numbers")
                        _check_size(path, file[name].nbytes)
                        found[ours] = file[name][()]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, MemoryError) as error:
        raise InvalidInput(f"{path} cannot be read as arrays of numbers: {error}") from error
    if first not in found:
        raise InvalidInput(
            f"{path} has no array {names[first]!r}; it has {', '.join(there) or 'none'}: name the right one"
        )
    for ours, values in found.items():
        _check_table(f"{names[ours]} in {path}", values)
    return {ours: np.atleast_2d(values) for ours, values in found.items()}


def read_potentials(path: Path, array: str = "potential") -> np.ndarray:
    """Potentials of a file, one a row, (n, points) float64.

    Arguments:
        path: as in `read_arrays`.
        array: the name of the array in `.npz` or HDF5.

    Raises InvalidInput as `read_arrays` does, or if there are none.
    """
    table = read_arrays(path, {"potential": array})["potential"].astype(np.float64)
    if not len(table):
        raise InvalidInput(f"{path} holds no potentials, an array of shape {table.shape}; expected one a row")
    return table


def _check_table(what: str, values: np.ndarray) -> None:
    """Raise InvalidInput unless an array holds rows of real numbers, or one."""
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2):
        raise InvalidInput(
            f"{what} is of shape {values.shape} and type {values.dtype}; expected real numbers of shape"
            " (potentials, columns), a row for each potential"
        )


def _check_size(path: Path, unpacked: int) -> None:
    """Refuse a small file that unpacks to a huge one; numbers of physics compress little."""
    if unpacked > 2**28 + 50 * path.stat().st_size:
        raise ValueError(
            f"its {path.stat().st_size:,} bytes would unpack to {unpacked:,}; unpack it yourself"
        )


def write_table(path: Path, table: np.ndarray) -> None:
    """Write rows of numbers as `.npy` or `.csv`; WriteError if the disk refuses."""
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; write energies as .npy or .csv")
    with whole_file(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, table)
        else:
            np.savetxt(temporary, table, delimiter=",", fmt="%.10g")
