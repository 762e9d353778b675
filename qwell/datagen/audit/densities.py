"""Are densities what their recipe says? Values everywhere, and a sample by matrix exponentials."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.physics.waves import as_complex
from qwell.progress import track
from qwell.store.dataset import Dataset


def audit_densities(data: Dataset, samples: int, seed: int) -> tuple[list[str], dict[str, float], str]:
    """Problems, numbers, and a few words on what was done; see `audit`."""
    recipe = DensitiesRecipe.from_json(data.recipe)
    rng = np.random.default_rng(seed)
    problems, worst, count = [], 0.0, 0
    for name, split in data.splits.items():
        for i in track(range(split.shards), f"shards of {name} read"):
            rows = split.shard(i)
            for field, values in rows.items():
                if bad := int((~np.isfinite(values)).sum()):
                    problems.append(f"{name} shard {i}: {bad} values of {field} are NaN or infinite")
            clean = (rows["psi"][:, 1:] ** 2).sum(-1)
            off = np.abs(rows["density"] / np.maximum(clean, 1e-300) - 1)
            if not recipe.noise and (off > 1e-12).any():
                problems.append(f"{name} shard {i}: densities are not |ψ|²")
        chosen = np.sort(rng.choice(len(split), min(samples, len(split), 20), replace=False))
        for row in track(chosen.tolist(), f"rows of {name} made again"):
            one = {field: np.asarray(split[field][row : row + 1])[0] for field in rows}
            psi, slope = (as_complex(one[f]) for f in ("psi", "slope"))
            here = np.stack([psi, slope], -1)
            for t, v in enumerate(one["potential"]):
                step = expm(recipe.cell * np.array([[0.0, 1.0], [v - recipe.energy, 0.0]]))
                worst = max(worst, float(np.abs(step @ here[t] - here[t + 1]).max()))
            count += 1
    if worst > 1e-10:
        problems.append(f"wave functions deviate from those made again by {worst:.1e}")
    summary = f"{count} rows made again by matrix exponentials, largest deviation {worst:.1e}"
    return problems, {"made_again": count, "largest_deviation": worst}, "" if problems else summary
