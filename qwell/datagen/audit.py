"""Are the numbers of a data set right? Values checked everywhere, a sample made again by the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qwell.datagen.grid import Grid
from qwell.datagen.matter import matter_of
from qwell.datagen.spectrum import eigenvalues
from qwell.store.dataset import Dataset

TOLERANCE = 1e-9


@dataclass
class Audit:
    """What was found: problems, numbers, and a few words on what was done."""

    problems: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    summary: str = ""


def audit(data: Dataset, samples: int = 1000, seed: int = 0) -> Audit:
    """Check every value of a data set, and a seeded random sample of rows against the reference method.

    Arguments:
        data: of any kind; of kinds without numbers to check nothing is said.
        samples: rows a split to make again; of trajectories at most 8.
        seed: of the choice.
    """
    if data.kind == "spectra":
        return _audit_spectra(data, samples, seed)
    if data.kind == "trajectories":
        from qwell.datagen.audit_trajectories import audit_trajectories

        return Audit(*audit_trajectories(data, samples, seed))
    if data.kind == "densities":
        from qwell.datagen.audit_densities import audit_densities

        return Audit(*audit_densities(data, samples, seed))
    return Audit()


def _audit_spectra(data: Dataset, samples: int, seed: int) -> Audit:
    found = Audit(list(check_values(data)))
    if found.problems:
        return found
    solved, worst = solve_again(data, samples, seed)
    found.numbers = {"solved_again": solved, "largest_deviation": worst}
    found.summary = f"{solved:,} potentials solved again, largest deviation {worst:.1e} of max(|E|, π²/8)"
    if worst > TOLERANCE and data.recipe.get("solver") != "given":
        found.problems.append(f"energies deviate from scipy's by up to {worst:.1e}, more than {TOLERANCE:g}")
    return found


def energy_deviation(energy: np.ndarray, reference: np.ndarray, unit: float) -> float:
    """max |E − E_ref| / max(|E_ref|, unit): relative, but not blind where an energy crosses zero.

    `unit` is the ground-state energy of the empty box, π²/8 up to discretisation.
    """
    return float((np.abs(energy - reference) / np.maximum(np.abs(reference), unit)).max(initial=0.0))


def check_values(data: Dataset) -> Iterator[str]:
    """Yield a line for each shard that holds NaN, levels out of order, or densities that are none."""
    for name, split in data.splits.items():
        for i in range(split.shards):
            rows = split.shard(i)
            for name_of, values in rows.items():
                if bad := int((~np.isfinite(values)).sum()):
                    yield f"{name} shard {i}: {bad} values of {name_of} are NaN or infinite"
            if (np.diff(rows["energy"], axis=1) <= 0).any():
                yield f"{name} shard {i}: energies are not in ascending order"
            if "density" in rows:
                density = rows["density"]
                if (density < 0).any() or not np.allclose(density.sum(axis=2), 1.0, atol=1e-5):
                    yield f"{name} shard {i}: a density is negative or does not sum to 1"


def solve_again(data: Dataset, samples: int = 1000, seed: int = 0) -> tuple[int, float]:
    """Solve a seeded random sample of every split again with the reference solver.

    Arguments:
        data: a data set of spectra.
        samples: rows a split.
        seed: of the choice.

    Returns: the number of potentials solved and the largest deviation (`energy_deviation`).
    """
    grid = Grid(len(data.coordinates["x"]) - 1)
    unit = grid.box_energies(1)[0]
    matter = matter_of(data.recipe)
    solved, worst = 0, 0.0
    for split in data.splits.values():
        if not len(split):
            continue
        rng = np.random.default_rng(seed)
        # a few contiguous runs touch few chunks, and rows are independent of their position
        starts = rng.integers(0, max(len(split) - 50, 1), size=-(-min(samples, len(split)) // 50))
        for start in starts:
            span = slice(int(start), int(start) + 50)
            potential, energy = split["potential"][span], split["energy"][span]
            felt = potential if matter is None else matter[0](potential, grid.x, matter[1])
            reference = eigenvalues(felt, grid, energy.shape[1])
            worst = max(worst, energy_deviation(energy, reference, unit))
            solved += len(potential)
    return solved, worst
