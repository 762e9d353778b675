"""Are driven trajectories what their recipe says? Values, norms, beginnings and drives everywhere; a sample
made again, and by another integrator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from qwell.datagen.audit.trajectories import STORED_ROUNDING
from qwell.datagen.recipes.driven import DrivenRecipe
from qwell.datagen.recipes.driven_fields import numbers_of, signals_of
from qwell.physics.waves import as_complex
from qwell.progress import track
from qwell.store.dataset import Dataset

MOST_SIMULATIONS = 4  # a split, each with the seven others that it is propagated with
OTHER = {"split-operator-4": "magnus", "magnus": "split-operator-4", "split-operator": "split-operator-4"}
# What may be compared between integrators besides ψ: numbers of order 1 that follow its error.
COMPARED = ("norm", "population", "transmitted_left", "transmitted_right")


def audit_driven(data: Dataset, samples: int, seed: int) -> tuple[list[str], dict[str, float], str]:
    """Problems, numbers, and a few words on what was done; see `audit`."""
    recipe = DrivenRecipe.from_json(data.recipe)
    problems = list(check_driven(data, recipe))
    if problems:
        return problems, {}, ""
    how, rounding = recipe.propagation, STORED_ROUNDING[recipe.dtype]
    allowed = how.norm_tolerance + rounding
    count, again, other = simulate_again(data, recipe, min(samples, MOST_SIMULATIONS), seed)
    if again > allowed:
        problems.append(f"simulations deviate from those made again by {again:.1e}")
    tolerance = 10 * (how.tolerance or 0.0) + allowed if how.substep is None else np.inf
    if other > tolerance:
        problems.append(
            f"simulations deviate from those by {OTHER[how.method]} by {other:.1e}, more than {tolerance:.1e}"
        )
    numbers = {"simulated_again": count, "largest_deviation": again, "deviation_of_integrators": other}
    summary = (
        f"{count} simulations made again, largest deviation {again:.1e}; by {OTHER[how.method]} {other:.1e}"
    )
    return problems, numbers, summary


def check_driven(data: Dataset, recipe: DrivenRecipe) -> Iterator[str]:
    """Yield a line for each shard or simulation whose values are not those of its recipe."""
    for name, split in data.splits.items():
        for i in track(range(split.shards), f"shards of {name} read"):
            rows, start = split.shard(i), split.layout.span(i)[0]
            for field_name, values in rows.items():
                if bad := int((~np.isfinite(values)).sum()):
                    yield f"{name} shard {i}: {bad} values of {field_name} are NaN or infinite"
            yield from (f"{name} shard {i}: {line}" for line in _norms(rows, recipe))
            for k in range(len(rows["potential"])):
                row = {field_name: values[k] for field_name, values in rows.items()}
                yield from (
                    f"{name} simulation {start + k}: {line}" for line in _row(row, recipe, name, start + k)
                )


def _norms(rows: Mapping[str, np.ndarray], recipe: DrivenRecipe) -> Iterator[str]:
    """Norms that are not 1, or with open ends rise."""
    allowed = recipe.propagation.norm_tolerance + 4 * STORED_ROUNDING[recipe.dtype]
    if "psi" in rows:
        psi = rows["psi"].astype(float)
        norm = np.einsum("ntxp,ntxp->nt", psi, psi) * recipe.ring.dx
        if "norm" in rows and (far := np.abs(norm - rows["norm"]).max()) > allowed:
            yield f"norms differ from those of the wave functions by up to {far:.1e}"
    elif "norm" in rows:
        norm = rows["norm"]
    else:
        return
    if recipe.absorber is None:
        if (drift := np.abs(norm - 1).max()) > allowed:
            yield f"norms differ from 1 by up to {drift:.1e}"
    elif (rise := np.diff(norm, axis=1).max(initial=0.0)) > allowed:
        yield f"norms rise by up to {rise:.1e} over a frame, with absorbing ends"
    if "population" in rows and (rows["population"].sum(axis=2) > norm + allowed).any():
        yield "populations add up to more than the norm"


def _row(row: Mapping[str, np.ndarray], recipe: DrivenRecipe, split: str, number: int) -> Iterator[str]:
    """What of one simulation is not that of the recipe."""
    initial, potential = recipe.beginning(split, number)
    if (row["potential"] != potential).any():
        yield "the potential is not that of the recipe"
    rounding = STORED_ROUNDING[recipe.dtype] * max(float(np.abs(initial).max()), 1.0)
    if "psi" in row and np.abs(as_complex(row["psi"][0]) - initial).max() > rounding + 1e-12:
        yield "the first frame is not that of the recipe"
    mine = [recipe.drive(split, number)]
    asked = signals_of(recipe.drives, mine, recipe.times) | numbers_of(recipe.drives, mine)
    for name, (values,) in asked.items():
        if np.abs(row[name] - values).max() > 1e-9 * max(np.abs(values).max(), 1.0):
            yield f"the {name} is not that of the recipe"


def simulate_again(data: Dataset, recipe: DrivenRecipe, samples: int, seed: int) -> tuple[int, float, float]:
    """Make a seeded random sample again, as it was made and by another integrator of half the tolerance.

    Returns: how many simulations; the largest difference of a value of any field, in units of the largest of
    its field; and, for the other integrator, the largest L2 norm of a difference of wave functions between
    the detectors, or difference of norms, populations and transmissions.
    """
    how = recipe.propagation
    finer = replace(how, method=OTHER[how.method], substep=None, tolerance=(how.tolerance or 1e-6) / 2)
    others = replace(recipe, propagation=finer)
    rng = np.random.default_rng(seed)
    count, again, other = 0, 0.0, 0.0
    left, right = recipe.detectors
    for name, split in data.splits.items():
        chosen = np.sort(rng.permutation(len(split))[:samples]).tolist()
        for row in track(chosen, f"simulations of {name} made again"):
            stored = {key: values[0] for key, values in split.rows(row, row + 1).items()}
            same, different = (
                {key: values[0] for key, values in one.rows(name, row, row + 1).items()}
                for one in (recipe, others)
            )
            for key, values in stored.items():
                size = max(float(np.abs(values).max()), 1.0)
                again = max(again, float(np.abs(values.astype(float) - same[key]).max()) / size)
            if "psi" in stored:
                inside = slice(left, right) if recipe.absorber is not None else slice(None)
                difference = as_complex(stored["psi"] - different["psi"])[:, inside]
                norms = np.sqrt((np.abs(difference) ** 2).sum(axis=1) * recipe.ring.dx)
                other = max(other, float(norms.max()))
            for key in set(COMPARED) & set(stored):
                other = max(other, float(np.abs(stored[key] - different[key]).max()))
            count += 1
    return count, again, other
