"""A league of networks of energies: the same potentials for all, the best classical method at equal error.

Test sets are fixed: every kernel × σ × correlation length below, the same potentials each time. A network's
opponent on a set is the fastest of the classical methods that errs no more than it does there: Galerkin's in
a few sines (`galerkin`), or the batched Sturm sequences of `lanes`, which are exact. Times are CPU seconds of
one thread, the least of some repetitions in batches of 1,000.

To compare with a solver that is far more exact than the network, or slower than need be, is the commonest
flaw of claims that networks are faster: N. McGreivy, A. Hakim, "Weak baselines and reporting biases lead to
overoptimism in machine learning for fluid-related partial differential equations", arXiv:2407.07218.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.files import atomic_write
from qwell.models.layers import Network
from qwell.physics import kernels, potentials
from qwell.physics.galerkin import galerkin
from qwell.physics.grid import Grid
from qwell.physics.spectrum import eigenvalues
from qwell.train.calibration import UNLIKE, Calibration, calibration_in
from qwell.train.devices import threads
from qwell.train.eigen import predict
from qwell.train.runs import load_model, trained_on

GRID, LEVELS = Grid(100), 10
KERNELS = ("rbf", "m5", "m3", "exp")
SIGMAS = (100.0, 1000.0)
LENGTHS = (0.1, 0.2, 0.4)
SINES = (10, 12, 14, 16, 20, 24, 32, 48)
SEED = 40_707_218  # of the test potentials; no data set of ours has it
REPEATS = 3
Solver = Callable[[np.ndarray], np.ndarray]
Player = tuple[Network, dict[str, Any], Calibration | None]


@dataclass(frozen=True)
class Law:
    """A law of potentials: kernel, standard deviation and correlation length."""

    kernel: str
    sigma: float
    length: float

    def draw(self, n: int) -> np.ndarray:
        """n potentials, (n, points) float32; a smaller number is the beginning of a larger."""
        root = potentials.factor(kernels.covariance(self.kernel, GRID, self.sigma, self.length))
        return potentials.rows(root, SEED, "test", 0, n).astype(np.float32)


@dataclass(frozen=True)
class Entry:
    """A network, or a classical method, on a test set: one line of the table.

    Arguments:
        kernel, sigma, length, potentials: of the set, and how many.
        model, learned_from, parameters, updates: who; empty or 0 of classical methods.
        nmse, nmse_se: error, and its standard error over potentials.
        relative_error: ⟨|E − f|⟩/⟨|E|⟩ over all levels.
        covered, marked: share of levels in their 90 % intervals, of potentials that are not marked, and share
            of those that are, as unlike the training's; empty if the network is not calibrated.
        us: CPU µs a potential, one thread.
        opponent, opponent_us: the fastest classical method that errs no more, and its time.
    """

    kernel: str
    sigma: float
    length: float
    potentials: int
    model: str
    learned_from: str
    parameters: int
    updates: int
    nmse: float
    nmse_se: float
    relative_error: float
    covered: float | None
    marked: float | None
    us: float
    opponent: str
    opponent_us: float


def laws() -> list[Law]:
    """Every kernel × σ × length."""
    return [Law(k, s, length) for k in KERNELS for s in SIGMAS for length in LENGTHS]


def classical() -> dict[str, Solver]:
    """Name → method, from few sines to exact."""
    solvers: dict[str, Solver] = {
        f"Galerkin, {modes} sines": partial(galerkin, grid=GRID, levels=LEVELS, modes=modes)
        for modes in SINES
    }
    return solvers | {"lanes": partial(eigenvalues, grid=GRID, levels=LEVELS, solver="lanes")}


def league(
    models: Sequence[str | Path], n: int = 2000, progress: Callable[[int], object] = lambda sets: None
) -> Iterator[Entry]:
    """Entries of all test sets, classical methods first.

    Arguments:
        models: runs, model folders, addresses, or names of pretrained models, of 101 points and 10 levels.
        n: potentials a set.
        progress: called with 1 for each set done.

    Raises InvalidInput for a network of another size; and as `load_model` does.
    """
    if n < 2:
        raise InvalidInput(f"potentials is {n}; it must be at least 2")
    players = {Path(model).name: _player(model) for model in models}
    for one in laws():
        with threads(1):
            found = _on(one, n, players)
        yield from found
        progress(1)


def _on(one: Law, n: int, players: Mapping[str, Player]) -> list[Entry]:
    """Entries of one test set."""
    v = one.draw(n)
    exact = eigenvalues(v, GRID, LEVELS)
    known = [_entry(one, name, *_timed(solver, v), exact) for name, solver in classical().items()]
    networks = []
    for name, (network, about, calibration) in players.items():
        found, us = _timed(partial(predict, network), v)
        made = _entry(one, name, found, us, exact, known)
        parameters = sum(p.numel() for p in network.parameters())
        who = {"learned_from": about.get("data", ""), "updates": about.get("updates", 0)}
        networks.append(replace(made, parameters=parameters, **who, **_trust(calibration, v, found, exact)))
    return known + networks


def _player(model: str | Path) -> Player:
    network, about = load_model(model, task="spectra"), trained_on(model)
    if (network.config.points, network.config.levels) != (GRID.mesh + 1, LEVELS):
        raise InvalidInput(
            f"{model} was made for {network.config.points} points and {network.config.levels} levels; the"
            f" league has {GRID.mesh + 1} and {LEVELS}"
        )
    return network, about, calibration_in(about, GRID.mesh + 1, LEVELS)


def _timed(solver: Solver, v: np.ndarray, batch: int = 1000) -> tuple[np.ndarray, float]:
    """Energies, and CPU µs a potential."""
    parts = [v[a : a + batch] for a in range(0, len(v), batch)]
    least = np.inf
    solver(v[:2])  # compiles
    for _ in range(REPEATS):
        clock = time.process_time()
        found = np.concatenate([solver(part) for part in parts])
        least = min(least, time.process_time() - clock)
    return found, least / len(v) * 1e6


def _entry(
    one: Law,
    name: str,
    found: np.ndarray,
    us: float,
    exact: np.ndarray,
    known: Sequence[Entry] = (),
) -> Entry:
    """What can be said of anyone; `known` are those whom it may have as opponents."""
    squares, power = ((found - exact) ** 2).sum(axis=1), (exact**2).sum(axis=1)
    nmse = squares.sum() / power.sum()
    deviation = float((squares - nmse * power).std(ddof=1) * np.sqrt(len(found)) / power.sum())
    able = [entry for entry in known if entry.nmse <= nmse]
    best = min(able, key=lambda entry: entry.us, default=None)
    relative = float(np.abs(found - exact).mean() / np.abs(exact).mean())
    return Entry(
        one.kernel, one.sigma, one.length, len(found), name, "", 0, 0, float(nmse), deviation, relative, None,
        None, us, best.model if best else "", best.us if best else 0.0,
    )  # fmt: skip


def _trust(
    calibration: Calibration | None, v: np.ndarray, found: np.ndarray, exact: np.ndarray
) -> dict[str, Any]:
    if calibration is None:
        return {}
    like = calibration.p_values(v) >= UNLIKE
    inside = np.abs(found - exact)[like] <= calibration.half_widths(v[like], found[like])
    return {"covered": float(inside.mean()) if inside.size else None, "marked": float(1 - like.mean())}


def write_csv(entries: Sequence[Entry], path: Path) -> None:
    """The table as CSV, numbers in four digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Entry)])
    for entry in entries:
        values = asdict(entry).values()
        writer.writerow([f"{v:.4g}" if isinstance(v, float) else "" if v is None else v for v in values])
    atomic_write(path, text.getvalue().encode())
