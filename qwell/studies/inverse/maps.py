"""Potentials that runs found for one state, beside each other on a plane (Hong et al., Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qwell.errors import InvalidInput
from qwell.figures.inverse import maps_figure
from qwell.studies.finding import Cell, Finding
from qwell.studies.inverse.finder import load_potential
from qwell.studies.inverse.report import quality
from qwell.studies.inverse.systems import SYSTEMS, mesh_of, plane_of, system_of

HALF, POINTS = 2.0, 102  # an even number of points: not through a singularity at 0


def potentials(runs: Sequence[str | Path]) -> Finding:
    """Draw the potentials of several runs, ψ and V on one plane, and measure each.

    Arguments:
        runs: folders of `qtrain potential`, of one system in two or three dimensions.

    Raises:
        RunNotFound, CheckpointError: a run that is not there, or holds no potential.
        InvalidInput: different systems, or one whose potential is a line.
    """
    found = {Path(run).name: load_potential(run) for run in runs}
    if len(found) < len(runs):
        raise InvalidInput("two runs have one name, or a run is named twice; the panels are titled by names")
    names = {one.config.system for one in found.values()}
    if len(names) > 1:
        raise InvalidInput(f"the runs have different systems: {', '.join(sorted(names))}; give runs of one")
    name = names.pop()
    if name not in SYSTEMS or system_of(name).dimensions == 1:
        drawn = " ".join(str(Path(run) / "report.png") for run in runs)
        raise InvalidInput(f"{name} has one dimension; its potentials are drawn on a line already: {drawn}")
    system = system_of(name)
    axis = np.linspace(-HALF, HALF, POINTS)
    points, square = mesh_of(system, axis), (POINTS, POINTS)
    maps = {label: one(points).numpy().reshape(square) for label, one in found.items()}
    wave, exact = (f(points).numpy().reshape(square) for f in (system.wave, system.potential))
    measured = {label: quality(one, system, one.config.seed) for label, one in found.items()}
    rows: list[list[Cell]] = [[label, q.box, q.weighted, f"{q.energy:.4f}"] for label, q in measured.items()]
    numbers = {
        "system": name,
        "errors": {label: q.box for label, q in measured.items()},
        "energies": {label: q.energy for label, q in measured.items()},
    }
    axes = tuple("xyz"[k] for k in plane_of(system))
    figure = maps_figure(axis, maps, wave, exact, axes)
    head = ("run", "ε box", "ε by ψ²", "Ē")
    return Finding("potentials", f"{name}: potentials that runs found", head, rows, numbers, {"": figure})
