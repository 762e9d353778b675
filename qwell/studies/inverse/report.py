"""How good a potential is: errors three ways, and energies with their own, beside what needs no training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from qwell.figures.inverse import penalty_figure, potential_figure
from qwell.papers.stated import POTENTIALS
from qwell.progress import track
from qwell.studies.finding import Cell, Finding
from qwell.studies.inverse.config import FinderConfig
from qwell.studies.inverse.finder import Found, find
from qwell.studies.inverse.systems import System, mesh_of, plane_of
from qwell.train.config import known

POINTS, SWEEPS = 20_000, 200
HELD_OUT = 10**6  # seeds of points nobody has learned from begin here


@dataclass(frozen=True)
class Quality:
    """How far a potential is from the true one, on points it has not learned from.

    Arguments:
        box: ε, mean |U − V| over points spread evenly in the system's box, [−5, 5]^d (Eq. 9).
        centre: the same in [−1, 1]^d, where the released scripts measure.
        weighted: the same over points from |ψ|².
        worst: largest |U − V| of the points of `weighted`.
        energy: Ē over points from |ψ|²; error: its standard error, of sampling alone; effective: number of
            independent points; model: √(variance of E(r)), the potential's own error.
        uniform: Ē over points spread evenly in the box (Eq. 10).
    """

    box: float
    centre: float
    weighted: float
    worst: float
    energy: float
    error: float
    effective: float
    model: float
    uniform: float


def quality(u: Callable[[Tensor], Tensor], system: System, seed: int = 0) -> Quality:
    """Measure a potential on fresh points."""

    def miss(x: Tensor) -> float:
        return float((u(x) - system.potential(x)).abs().mean())

    chain = system.walk(500, SWEEPS, HELD_OUT + seed)
    energy, error, effective = chain.mean(lambda x: system.kinetic(x) + u(x))
    x = chain.flat()
    local = system.kinetic(x) + u(x)
    even = system.uniform(POINTS, HELD_OUT + seed)
    spread = system.kinetic(even) + u(even)
    return Quality(
        miss(even),
        miss(system.uniform(POINTS, HELD_OUT + seed, 1.0)),
        miss(x),
        float((u(x) - system.potential(x)).abs().max()),
        energy,
        error,
        effective,
        float(local[torch.isfinite(local)].std()),
        float(spread[torch.isfinite(spread)].mean()),
    )


def without_training(system: System, pins: Sequence[Sequence[float]] = ()) -> Callable[[Tensor], Tensor]:
    """V(r₀) + ∇²ψ/2ψ(r) − ∇²ψ/2ψ(r₀): the answer where ψ is known in full, without any network."""
    at = torch.tensor(pins or (system.pin,), dtype=torch.float64)
    energy = (system.potential(at) + system.kinetic(at)).mean()
    return lambda x: energy - system.kinetic(x)


def search(
    config: FinderConfig, system: System, log: Callable[[dict[str, float]], None]
) -> tuple[list[Found], Finding]:
    """Find a potential from one or several beginnings, and say how good it is."""
    config = config.resolved(system)
    found, measured = [], []
    for seed in track(range(config.seed, config.seed + config.seeds), "beginnings"):
        found.append(find(replace(config, seed=seed), system, log))
        measured.append(quality(found[-1].potential, system, seed))
    free = quality(without_training(system, known(config.pins)), system)
    rows: list[list[Cell]] = [
        _row(str(f.potential.config.seed), q, f.seconds) for f, q in zip(found, measured, strict=True)
    ]
    if config.seeds > 1:
        table = np.array([list(asdict(q).values()) for q in measured])
        rows.append(_row("mean", Quality(*table.mean(0)), float(np.mean([f.seconds for f in found]))))
        rows.append(_row("spread", Quality(*table.std(0, ddof=1)), float("nan")))
    rows.append(_row("without training", free, 0.0))
    chain = found[0].chain
    numbers = {
        "system": system.name,
        "exact": system.energy,
        "config": config.to_json(),
        "stated": POTENTIALS.get(system.name, {}).get(config.method),
        "runs": [
            {**asdict(q), "loss": f.history[-1]["loss"] if f.history else None, "seconds": f.seconds}
            for f, q in zip(found, measured, strict=True)
        ],
        "without_training": asdict(free),
        "sampling": None
        if chain is None
        else {"acceptance": chain.acceptance, "step": chain.step, "effective": chain.mean(_radius)[2]},
    }
    best = min(range(config.seeds), key=lambda s: measured[s].box)
    head = (
        "seed", "ε box", "ε [−1, 1]", "ε by ψ²", "worst", "Ē", "± of sampling", "Ē − E", "± of the model",
        "Ē even", "CPU s",
    )  # fmt: skip
    for row in rows:
        exact = np.isfinite(system.energy) and row[0] != "spread"
        row.insert(7, f"{float(row[5]) - system.energy:+.1e}" if exact else "–")
    title = f"{system.name}: the potential by {config.method}, {config.field} field"
    return found, Finding("report", title, head, rows, numbers, {"": _figure(found[best], system)})


def _radius(x: Tensor) -> Tensor:
    return x.norm(dim=-1)


def _row(name: str, q: Quality, seconds: float) -> list[Cell]:
    return [
        name,
        q.box,
        q.centre,
        q.weighted,
        q.worst,
        f"{q.energy:.7f}",
        q.error,
        q.model,
        f"{q.uniform:.5f}",
        round(seconds, 1),
    ]


def _figure(found: Found, system: System) -> Figure:
    a, b = system.box
    line = np.linspace(a, b, 402)  # even: not through a singularity at 0
    points = torch.zeros(len(line), system.dimensions, dtype=torch.float64)
    first, second = plane_of(system)  # along the first ψ is large: not along a node
    points[:, first] = torch.from_numpy(line)
    plane = None
    if system.dimensions > 1:
        axis = np.linspace(a, b, 102)
        on, square = mesh_of(system, axis), (len(axis), len(axis))
        plane = (
            axis, system.potential(on).numpy().reshape(square), found.potential(on).numpy().reshape(square)
        )  # fmt: skip
    return potential_figure(
        line,
        system.wave(points).numpy(),
        system.potential(points).numpy(),
        {found.potential.config.method: found.potential(points).numpy()},
        found.history,
        system.energy,
        plane,
        ("xyz"[first], "xyz"[second]),
    )


def penalty_sweep(
    config: FinderConfig,
    system: System,
    penalties: Sequence[float],
    log: Callable[[dict[str, float]], None],
) -> Finding:
    """Errors and losses against λ (Fig. 3)."""
    config = config.resolved(system)
    rows: list[list[Cell]] = []
    errors, losses, energies = [], [], []
    for penalty in penalties:
        runs = [
            find(replace(config, penalty=penalty, seed=seed), system, log)
            for seed in range(config.seed, config.seed + config.seeds)
        ]
        measured = [quality(run.potential, system, k) for k, run in enumerate(runs)]
        errors.append([q.centre for q in measured])
        losses.append([run.history[-1]["loss"] for run in runs])
        energies.append([q.energy for q in measured])
        boxes = float(np.mean([q.box for q in measured]))
        rows.append(
            [
                f"{penalty:g}", boxes, float(np.mean(errors[-1])), float(np.mean(losses[-1])),
                f"{np.mean(energies[-1]):.4f}",
            ]
        )  # fmt: skip
    numbers = {
        "system": system.name,
        "config": config.to_json(),
        "penalties": list(penalties),
        "errors": errors,
        "losses": losses,
        "energies": energies,
    }
    title = f"{system.name}: errors against λ, {config.seeds} beginnings each"
    figure = penalty_figure(penalties, errors, losses)
    return Finding("sweep", title, ("λ", "ε box", "ε [−1, 1]", "loss", "Ē"), rows, numbers, {"": figure})
