"""Potentials from and energies to people's files: `.npy` and `.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qwell.errors import InvalidInput, WriteError

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
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInput(f"{path} does not hold a table of numbers: {error}") from error
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "fiu" or table.ndim not in (1, 2):
        raise InvalidInput(f"{path} does not hold a table of real numbers; expected one potential a row")
    return np.atleast_2d(table).astype(np.float64)


def write_table(path: Path, table: np.ndarray) -> None:
    """Write rows of numbers as `.npy` or `.csv`; WriteError if the disk refuses."""
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; write energies as .npy or .csv")
    try:
        if path.suffix == ".npy":
            np.save(path, table)
        else:
            np.savetxt(path, table, delimiter=",", fmt="%.10g")
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another --out") from error
