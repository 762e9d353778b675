"""Are energies what their recipe says? Values everywhere, and a sample solved again by scipy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qwell.physics.grid import Grid
from qwell.physics.matter import medium_of
from qwell.physics.spectrum import eigenvalues
from qwell.progress import track
from qwell.store.dataset import Dataset

TOLERANCE = 1e-9


def audit_spectra(data: Dataset, samples: int, seed: int) -> tuple[list[str], dict[str, float], str]:
    """Problems, numbers, and a few words on what was done; see `audit`."""
    problems = list(check_values(data))
    if problems:
        return problems, {}, ""
    solved, worst = solve_again(data, samples, seed)
    if worst > TOLERANCE and data.recipe.get("solver") != "given":
        problems.append(f"energies deviate from scipy's by up to {worst:.1e}, more than {TOLERANCE:g}")
    summary = f"{solved:,} potentials solved again, largest deviation {worst:.1e} of max(|E|, π²/8)"
    return problems, {"solved_again": solved, "largest_deviation": worst}, summary


def energy_deviation(energy: np.ndarray, reference: np.ndarray, unit: float) -> float:
    """max |E − E_ref| / max(|E_ref|, unit): relative, but not blind where an energy crosses zero.

    `unit` is the ground-state energy of the empty box, π²/8 up to discretisation.
    """
    return float((np.abs(energy - reference) / np.maximum(np.abs(reference), unit)).max(initial=0.0))


def check_values(data: Dataset) -> Iterator[str]:
    """Yield a line for each shard that holds NaN, levels out of order, or densities that are none."""
    for name, split in data.splits.items():
        for i in track(range(split.shards), f"shards of {name} read"):
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
    grid = Grid.of_points(len(data.coordinates["x"]))
    unit = grid.box_energies(1)[0]
    felt = medium_of(data.recipe, grid.x)
    solved, worst = 0, 0.0
    for name, split in data.splits.items():
        if not len(split):
            continue
        rng = np.random.default_rng(seed)
        # a few contiguous runs touch few chunks, and rows are independent of their position
        starts = rng.integers(0, max(len(split) - 50, 1), size=-(-min(samples, len(split)) // 50))
        for start in track(starts.tolist(), f"parts of {name} solved again"):
            span = slice(int(start), int(start) + 50)
            potential, energy = split["potential"][span], split["energy"][span]
            reference = eigenvalues(felt(potential), grid, energy.shape[1])
            worst = max(worst, energy_deviation(energy, reference, unit))
            solved += len(potential)
    return solved, worst
