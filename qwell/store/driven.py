"""Potentials of trajectories as networks see them: V(x), or V(x, t) at the frames where it is driven.

A data set of driven trajectories tells it all: where the drive is a field, V(x, t) = V(x) − E(t) (x − L/2)
of its `potential` and `drive`; else V(x, t) is its `potential_driven`, which is kept on demand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.store.dataset import Dataset

EVERY = "potential_driven"  # V(x, t) at the frames
FIELDS = ("dipole", "chirp")  # kinds of drives that are a field E(t)
TAIL = 1e-6  # of the largest |V|: what is less touches nothing


def _terms(recipe: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of all terms of all drives of a recipe."""
    for family in [*recipe.get("families", []), *recipe.get("tests", [])]:
        for drive in family.get("drives", []):
            yield from (str(term.get("kind")) for term in drive)


def is_driven(data: Dataset) -> bool:
    """Whether the potentials of trajectories change with time."""
    return next(_terms(data.origin), None) is not None


def static_only(data: Dataset, what: str) -> Dataset:
    """The same trajectories; InvalidInput if they are driven, where something takes static potentials."""
    if is_driven(data):
        raise InvalidInput(
            f"{data.path} has potentials that change with time, and {what} takes V(x); give trajectories"
            " that are not driven"
        )
    return data


def potentials_of(data: Dataset, split: str, rows: slice = slice(None)) -> np.ndarray:
    """V of some rows, Hartree: (n, N) if it is static, (n, frames, N) at the frames if it is driven.

    Raises InvalidInput if the data set does not hold V(x, t).
    """
    part = data[split]
    if not is_driven(data):
        return part["potential"][rows]
    if EVERY in part.fields:
        return part[EVERY][rows]
    kinds = set(_terms(data.origin))
    if not kinds <= set(FIELDS):
        raise InvalidInput(
            f"{data.path} does not hold V(x, t), which {' and '.join(sorted(kinds))} drive; make it with"
            " --keep psi,potential"
        )
    fields = [part[name][rows] for name in part.fields if name.removeprefix("drive_").isdigit()]
    signal = part["drive"][rows] + sum(fields)
    x = np.asarray(data.coordinates["x"])
    box = x[1] * len(x)
    v: np.ndarray = part["potential"][rows][:, None] - signal[..., None] * (x - box / 2)
    return v


def touched_of(data: Dataset, split: str, rows: slice = slice(None)) -> np.ndarray:
    """Where there is a potential to touch, as `potentials_of`, 0 elsewhere.

    Of driven trajectories without their tails: V(x) where the drive is a field, which is everywhere, else
    V(x, t).
    """
    part = data[split]
    if not is_driven(data) or EVERY not in part.fields:
        potential = part["potential"][rows]
    else:
        potential = part[EVERY][rows]
    if not is_driven(data) or not potential.size:
        return potential
    size = np.abs(potential)
    return np.where(size > TAIL * size.max(), potential, 0.0)
