"""What a network says of one potential: levels, densities, and how far both are to be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, extras_needed
from qwell.explore.opened import Opened
from qwell.physics.grid import Grid
from qwell.physics.matter import medium_of
from qwell.physics.spectrum import eigenvalues


@dataclass(frozen=True)
class Familiar:
    """A network of energies with what it was trained on.

    Arguments:
        name: of the network.
        model: the network itself.
        about: what it was trained on, as `qwell.train.runs.trained_on` says.
    """

    name: str
    model: Any
    about: Mapping[str, Any]

    @classmethod
    def load(cls, name: str) -> Familiar:
        """Load a network by its name or run; errors as of `qwell.load_model`."""
        with extras_needed():
            from qwell.train.runs import load_model, trained_on

            return cls(name, load_model(name, task="spectra"), trained_on(name))

    @property
    def points(self) -> int:
        """Of its potentials."""
        return int(self.model.config.points)

    @cached_property
    def calibration(self) -> Any:
        """What makes its intervals; None if it was not calibrated."""
        from qwell.train.calibration import calibration_in

        return calibration_in(self.about, self.points, self.model.config.levels)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Of the data set that it learned from, as far as it says."""
        recipe = self.about.get("recipe")
        return recipe if isinstance(recipe, Mapping) else {}

    def described(self) -> dict[str, Any]:
        """What it was trained on, in short."""
        kept = {k: self.recipe[k] for k in ("kernel", "sigma", "length", "n", "mesh") if k in self.recipe}
        return {
            "name": self.name,
            "model": self.model.registry_name,
            "points": self.points,
            "levels": int(self.model.config.levels),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "data": self.about.get("data"),
            "updates": self.about.get("updates"),
            "measured": self.about.get("measured"),
            "calibrated_by": self.calibration.count if self.calibration else None,
            **kept,
        }


def network_of(opened: Opened, name: str) -> Familiar:
    """A network that was listed; it is kept. InvalidInput for others, MissingExtra without torch."""
    found: Familiar = opened.network(name, "spectra", Familiar.load)
    return found


def on_points(potential: np.ndarray, points: int) -> np.ndarray:
    """A potential (n,) on another number of points between the same walls, linear between its own."""
    if len(potential) == points:
        return potential
    return np.interp(Grid.of_points(points).x, Grid.of_points(len(potential)).x, potential)


def predicted(
    network: Familiar, potential: np.ndarray, coverage: float, certify: float | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a network says of a potential, and what can be said of that.

    Arguments:
        network: of energies.
        potential: (n,), energy units; it is brought to the network's points.
        coverage: of the intervals, one of `qwell.train.calibration.COVERAGES`.
        certify: δ for which |E_i − f_i| ≤ δ is to be proven; None for no proofs, which take time.

    Returns:
        Plain values: `energy` (levels), `error` f_i − E_i on the network's mesh, `half_width` (None if it was
        not calibrated or the potential is unlike those of the training), `p_value`, `beyond`, `certified` and
        `within`. Arrays: `density` (levels, points), ∂f_i/∂v_m, and its `x`.

    Raises InvalidInput for a coverage that was not calibrated, or a δ that cannot be proven.
    """
    from qwell.train.calibration import UNLIKE, check_coverage
    from qwell.train.eigen import beyond_taught, gradient_densities, predict

    check_coverage(coverage)
    # the network's own precision first: all is said of the numbers that it saw
    v = on_points(potential, network.points)[None].astype(np.float32).astype(float)
    grid = Grid.of_points(network.points)
    energy = predict(network.model, v)
    exact = eigenvalues(medium_of(network.recipe, grid.x)(v), grid, energy.shape[1])
    head: dict[str, Any] = {
        "energy": energy[0].tolist(),
        "error": (energy - exact)[0].tolist(),
        "beyond": beyond_taught(v, network.recipe),
        "half_width": None,
        "p_value": None,
        "unlike": UNLIKE,
        "coverage": coverage,
        "resampled": len(potential) != network.points,
    }
    if network.calibration:
        rare = float(network.calibration.p_values(v)[0])
        width = network.calibration.half_widths(v, energy, coverage)[0].tolist()
        head |= {"p_value": rare, "half_width": width if rare >= UNLIKE else None}
    if certify is not None:
        head |= _proven(network, v, energy, certify)
    density = gradient_densities(network.model, v)[0]
    return head, {"density": density, "x": grid.x}


def _proven(network: Familiar, v: np.ndarray, energy: np.ndarray, delta: float) -> dict[str, Any]:
    from qwell.studies.certify import Certifier  # numba is loaded only where it is used

    try:
        proven = Certifier(network.about, network.points, delta)(v, energy)
    except InvalidInput as error:
        return {"certified": None, "why_not": str(error)}
    return {"certified": proven.certified[0].tolist(), "within": proven.within[0].tolist(), "delta": delta}
