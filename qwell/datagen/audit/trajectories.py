"""Are trajectories what their recipe says? Values, norms and beginnings everywhere, a sample made again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qwell.datagen.recipes.trajectories import TrajectoriesRecipe
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import CONTROLLED, Propagation
from qwell.physics.waves import as_complex
from qwell.progress import track
from qwell.store.dataset import Dataset

# What rounding to the stored dtype may do to ψ.
STORED_ROUNDING = {"float64": 1e-15, "float32": 3e-7}
MOST_SIMULATIONS = 8  # made again with the exact propagator, a second each


def audit_trajectories(data: Dataset, samples: int, seed: int) -> tuple[list[str], dict[str, float], str]:
    """Problems, numbers, and a few words on what was done; see `audit`."""
    recipe = TrajectoriesRecipe.from_json(data.recipe)
    problems = list(check_trajectories(data, recipe))
    if problems:
        return problems, {}, ""
    how = recipe.propagation
    allowed = how.norm_tolerance + STORED_ROUNDING[recipe.dtype]
    allowed += (how.tolerance or 0.0) if how.method in CONTROLLED else 0.0
    count, again, exact, back = simulate_again(data, recipe, min(samples, MOST_SIMULATIONS), seed)
    if again > allowed:
        problems.append(f"wave functions deviate from those made again by {again:.1e}")
    if how.substep is None and exact > allowed:
        problems.append(f"wave functions deviate from exact ones by {exact:.1e}, more than {allowed:.1e}")
    if back > 10 * allowed:
        problems.append(f"propagation there and back errs by {back:.1e}")
    numbers = {
        "simulated_again": count,
        "largest_deviation": again,
        "deviation_from_exact": exact,
        "irreversibility": back,
    }
    summary = (
        f"{count} simulations made again, largest deviation {again:.1e}; from exact propagation {exact:.1e};"
        f" there and back {back:.1e}"
    )
    return problems, numbers, summary


def check_trajectories(data: Dataset, recipe: TrajectoriesRecipe) -> Iterator[str]:
    """Yield a line for each shard whose values, norms, packets or potentials are not those of its recipe."""
    rounding, ring = STORED_ROUNDING[recipe.dtype], recipe.ring
    for name, split in data.splits.items():
        for i in track(range(split.shards), f"shards of {name} read"):
            rows, start = split.shard(i), split.layout.span(i)[0]
            for field_name, values in rows.items():
                if bad := int((~np.isfinite(values)).sum()):
                    yield f"{name} shard {i}: {bad} values of {field_name} are NaN or infinite"
            psi = rows["psi"]
            norm = np.einsum("ntxp,ntxp->nt", psi, psi, dtype=float) * ring.dx
            if np.abs(norm - 1).max() > recipe.propagation.norm_tolerance + rounding:
                yield f"{name} shard {i}: norms differ from 1 by up to {np.abs(norm - 1).max():.1e}"
            for k in range(len(psi)):
                initial, potential = recipe.beginning(name, start + k)
                if (rows["potential"][k] != potential).any():
                    yield f"{name} simulation {start + k}: the potential is not that of the recipe"
                if np.abs(as_complex(psi[k, 0]) - initial).max() > rounding:
                    yield f"{name} simulation {start + k}: the first frame is not that of the recipe"


def simulate_again(
    data: Dataset, recipe: TrajectoriesRecipe, samples: int, seed: int
) -> tuple[int, float, float, float]:
    """Make a seeded random sample again.

    Returns: how many simulations; the largest |ψ − ψ_again|; the largest |ψ − ψ_exact| with `eigen`; and the
    largest |ψ(0) − ψ_back| after going back from the last frame, by conjugation.
    """
    rng, how = np.random.default_rng(seed), recipe.propagation
    exactly = Propagation("eigen", how.hamiltonian, how.dt, how.frames)
    count, again, exact, back = 0, 0.0, 0.0, 0.0
    for name, split in data.splits.items():
        rows = np.sort(rng.permutation(len(split))[:samples])
        for row in track(rows.tolist(), f"simulations of {name} made again"):
            psi = as_complex(split["psi"][int(row)])
            initial, potential = recipe.beginning(name, int(row))
            there = as_complex(propagate(initial, potential, recipe.ring, how)[0])
            truth = as_complex(propagate(initial, potential, recipe.ring, exactly)[0])
            home = as_complex(propagate(there[-1].conj(), potential, recipe.ring, how)[0, -1])
            again = max(again, float(np.abs(psi - there).max()))
            exact = max(exact, float(np.abs(psi - truth).max()))
            back = max(back, float(np.abs(home.conj() - initial).max()))
            count += 1
    return count, again, exact, back
