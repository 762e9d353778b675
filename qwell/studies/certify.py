"""Certificates of a network's energies, where the law that it learned is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.physics.certify import check_delta, smallest_delta
from qwell.physics.grid import Grid
from qwell.physics.matter import medium_of
from qwell.physics.spectrum import SOLVERS


@dataclass(frozen=True)
class Certificates:
    """What is proven of predicted energies f_i.

    Arguments:
        certified: (n, levels) bool, whether |E_i − f_i| ≤ δ is proven.
        within: (n, levels) float64, the smallest distance that is proven, energy units: |E_i − f_i| and some
            1e-11 for M = 100 and σ = 100; infinite where f_i is NaN or infinite.
    """

    certified: np.ndarray
    within: np.ndarray


@dataclass(frozen=True)
class Certifier:
    """Proves that predicted energies lie within δ of the levels, by `qwell.physics.certify`.

    A level is an eigenvalue of the matrix H on the model's mesh. That is the law which the model learned if
    its record says that qwell solved for its energies. With matter H has the total potential, as it is
    computed in float64 from the potential that is given.

    Arguments:
        about: what the model was trained on, as `qwell.train.runs.trained_on` says.
        points: the number of points of its potentials.
        delta: δ, energy units.

    Raises InvalidInput if δ is not a positive number, the law is not known, or it is one of another mesh.
    """

    about: Mapping[str, Any]
    points: int
    delta: float

    def __post_init__(self) -> None:
        check_delta(self.delta)
        if not _solved(self._recipe):
            raise InvalidInput(
                "nothing can be certified: the model's record does not say that the energies it learned were"
                " solved for by qwell, so that their law is unknown; leave --certify out, or ask a model that"
                " was trained on a data set of `qdata generate`, or of `qdata import` without energies"
            )
        if other := sorted(_meshes(self._recipe) - {self.grid.mesh}):
            raise InvalidInput(
                f"nothing can be certified: the model's record says that its energies were solved for on"
                f" {other[0]} mesh intervals, and its potentials have {self.points} points, {self.grid.mesh}"
                " intervals; the levels of the two are different numbers"
            )
        medium_of(self._recipe, self.grid.x)  # of different effects there is no law

    def __call__(self, potential: np.ndarray, energy: np.ndarray) -> Certificates:
        """Certificates of energies (n, levels), predicted for applied potentials (n, points)."""
        total = medium_of(self._recipe, self.grid.x)(potential)
        within = smallest_delta(total, self.grid, energy)
        return Certificates(within <= self.delta, within)

    @property
    def grid(self) -> Grid:
        """The mesh."""
        return Grid.of_points(self.points)

    @property
    def _recipe(self) -> Mapping[str, Any]:
        recipe = self.about.get("recipe")
        return recipe if isinstance(recipe, Mapping) else {}


def _meshes(recipe: Mapping[str, Any]) -> set[int]:
    """The meshes that a data set's energies were solved for on, as far as it says; also of merged sets."""
    inner = recipe.get("of")
    parts = inner if isinstance(inner, list) else []
    nested = [inner, *(part.get("recipe") for part in parts if isinstance(part, Mapping))]
    own = {recipe["mesh"]} if isinstance(recipe.get("mesh"), int) else set()
    return own.union(*(_meshes(one) for one in nested if isinstance(one, Mapping)))


def _solved(recipe: Mapping[str, Any]) -> bool:
    """Whether qwell solved for all energies of a data set; also of subsets and merged sets."""
    inner = recipe.get("of")
    if isinstance(inner, Mapping):
        return _solved(inner)
    if isinstance(inner, list):
        parts = [part.get("recipe") if isinstance(part, Mapping) else None for part in inner]
        return bool(parts) and all(isinstance(part, Mapping) and _solved(part) for part in parts)
    return recipe.get("solver") in SOLVERS
