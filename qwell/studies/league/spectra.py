"""A league of networks of energies: the same potentials for all, the best classical method at equal error.

Test sets are fixed: every kernel × σ × correlation length below, alone, on a finer mesh, and with matter; the
same potentials each time. A network's
opponent on a set is the fastest of the classical methods that errs no more than it does there: Galerkin's in
a few sines (`galerkin`), or the batched Sturm sequences of `lanes`, which are exact. Times are CPU seconds of
one thread, the least of some repetitions in batches of 1,000.

To compare with a solver that is far more exact than the network, or slower than need be, is the commonest
flaw of claims that networks are faster: N. McGreivy, A. Hakim, "Weak baselines and reporting biases lead to
overoptimism in machine learning for fluid-related partial differential equations", arXiv:2407.07218.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.models.layers import Network
from qwell.physics import kernels, potentials
from qwell.physics.galerkin import galerkin
from qwell.physics.grid import Grid
from qwell.physics.matter import medium_of
from qwell.physics.spectrum import eigenvalues
from qwell.studies.league.asked import POTENTIALS
from qwell.studies.league.seeds import training_of
from qwell.studies.league.table import fastest, names_of
from qwell.train.calibration import Calibration, calibration_in, law_of, trusted
from qwell.train.devices import threads
from qwell.train.eigen import predict
from qwell.train.runs import load_model, trained_on

GRID, LEVELS = Grid(100), 10  # of the networks
KERNELS = ("rbf", "m5", "m3", "exp")
SIGMAS = (100.0, 1000.0)
LENGTHS = (0.1, 0.2, 0.4)
MEDIA = ((100, ""), (200, ""), (100, "case1"), (100, "case2"))  # mesh and matter effect
SINES = (10, 12, 14, 16, 20, 24, 32, 48)
SEED = 40_707_218  # of the test potentials; no data set of ours has it
REPEATS = 3
BATCH, THREADS = 1000, 1
Solver = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """A law of potentials and of their energies.

    Arguments:
        kernel, sigma, length: of the random process.
        mesh: that energies are solved for on; networks see every (mesh/100)-th point.
        matter: effect between the potential that is applied and the one that acts; "" for none.
        potentials: how many of it are a test set.
    """

    kernel: str
    sigma: float
    length: float
    mesh: int = GRID.mesh
    matter: str = ""
    potentials: int = POTENTIALS

    @property
    def key(self) -> tuple[str, float, float, int, str, int]:
        """Of the test set."""
        return self.kernel, self.sigma, self.length, self.mesh, self.matter, self.potentials

    @property
    def grid(self) -> Grid:
        """The mesh."""
        return Grid(self.mesh)

    @property
    def recipe(self) -> dict[str, Any]:
        """As far as a data set's says it."""
        return {
            "kernel": self.kernel, "sigma": self.sigma, "length": self.length, "mesh": self.mesh,
            "matter": self.matter or None,
        }  # fmt: skip

    def draw(self) -> np.ndarray:
        """The potentials, (potentials, mesh + 1) float32; fewer are the beginning of more."""
        root = potentials.factor(kernels.covariance(self.kernel, self.grid, self.sigma, self.length))
        return potentials.rows(root, SEED, "test", 0, self.potentials).astype(np.float32)

    def classical(self) -> dict[str, Solver]:
        """Name → method, applied potentials on the mesh to energies; from few sines to exact."""
        felt = medium_of(self.recipe, self.grid.x)
        solvers: dict[str, Solver] = {
            f"Galerkin, {modes} sines": partial(galerkin, grid=self.grid, levels=LEVELS, modes=modes)
            for modes in SINES
        }
        exact = partial(eigenvalues, grid=self.grid, levels=LEVELS, solver="lanes")
        solvers["lanes"] = exact
        if self.mesh != GRID.mesh:
            coarse = partial(eigenvalues, grid=GRID, levels=LEVELS, solver="lanes")
            solvers[f"lanes, mesh {GRID.mesh}"] = lambda v: coarse(self.seen(v))

        def of_applied(solve: Solver) -> Solver:
            return lambda v: solve(felt(v))

        return {name: of_applied(solve) for name, solve in solvers.items()}

    def seen(self, v: np.ndarray) -> np.ndarray:
        """Potentials as networks see them, (n, 101)."""
        return np.ascontiguousarray(v[:, :: self.mesh // GRID.mesh])


@dataclass(frozen=True)
class Entry:
    """A network, or a classical method, on a test set: one line of the table.

    Arguments:
        kernel, sigma, length, mesh, matter, potentials: of the set, and how many.
        model, learned_from, parameters, updates: who, and what its training cost; empty or 0 of classical
            methods.
        kind, seed: of the training, if it is a run: trainings of one kind differ in nothing but the seed.
        nmse, nmse_se: error, and its standard error over potentials.
        relative_error: ⟨|E − f|⟩/⟨|E|⟩ over all levels.
        covered, marked: share of levels in their 90 % intervals, of potentials that are not marked, and share
            of those that are, as unlike the training's; empty if the network is not calibrated.
        set_marked: why the whole set is of another law than the one that was calibrated for, so that its
            intervals promise nothing: "potentials", for too many are marked; or "mesh" or "matter", which are
            not those of the record. Empty if it is not.
        us: CPU µs a potential, in batches of so many and with so many threads.
        opponent, opponent_us: the fastest classical method that errs no more, and its time in the same run.
    """

    kernel: str
    sigma: float
    length: float
    mesh: int
    matter: str
    potentials: int
    model: str
    learned_from: str
    parameters: int
    updates: int
    kind: str
    seed: str
    nmse: float
    nmse_se: float
    relative_error: float
    covered: float | None
    marked: float | None
    set_marked: str
    batch: int
    threads: int
    us: float
    opponent: str
    opponent_us: float

    @property
    def key(self) -> tuple[str, float, float, int, str, int]:
        """Of the test set."""
        return self.kernel, self.sigma, self.length, self.mesh, self.matter, self.potentials

    @property
    def error(self) -> float:
        """By which opponents are chosen."""
        return self.nmse


def laws(n: int = POTENTIALS) -> list[Law]:
    """Every kernel × σ × length, on the networks' mesh, on a finer one, and with two matter effects."""
    made = product(MEDIA, KERNELS, SIGMAS, LENGTHS)
    return [Law(k, s, length, *medium, n) for medium, k, s, length in made]


@dataclass(frozen=True)
class _Player:
    network: Network
    about: Mapping[str, Any]
    calibration: Calibration | None
    kind: str
    seed: str

    def trusted(self, one: Law, v: np.ndarray, found: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
        """How its intervals fare on a set; nothing if it is not calibrated."""
        if self.calibration is None:
            return {}
        return trusted(self.calibration, v, found, exact, (law_of(self.about), one.recipe))


class SpectraLeague:
    """The league of networks of energies; see `table.season`.

    Arguments:
        models: runs, model folders, addresses, or names of pretrained models, of 101 points and 10 levels.
        n: potentials a set.

    Raises InvalidInput for a network of another size, or two of one name; and as `load_model` does.
    """

    entry = Entry

    def __init__(self, models: Sequence[str | Path], n: int = POTENTIALS) -> None:
        self.n = n
        self.networks = {name: _player(model) for name, model in names_of(models).items()}

    def sets(self) -> list[Law]:
        """All laws."""
        return laws(self.n)

    def players(self, one: Law) -> list[str]:
        """Who plays on a set."""
        return [*one.classical(), *self.networks]

    def play(self, one: Law) -> list[Entry]:
        """Entries of one test set."""
        with threads(THREADS):
            return self._play(one)

    def _play(self, one: Law) -> list[Entry]:
        v = one.draw()
        seen = one.seen(v)
        exact = eigenvalues(medium_of(one.recipe, one.grid.x)(v), one.grid, LEVELS)
        known = [_entry(one, name, *_timed(solver, v), exact) for name, solver in one.classical().items()]
        networks = []
        for name, player in self.networks.items():
            found, us = _timed(partial(predict, player.network), seen)
            made = _entry(one, name, found, us, exact, known)
            who = {
                "parameters": sum(p.numel() for p in player.network.parameters()),
                "learned_from": player.about.get("data", ""), "updates": player.about.get("updates", 0),
                "kind": player.kind, "seed": player.seed,
            }  # fmt: skip
            networks.append(replace(made, **who, **player.trusted(one, seen, found, exact)))
        return known + networks


def _player(model: str | Path) -> _Player:
    network, about = load_model(model, task="spectra"), trained_on(model)
    if (network.config.points, network.config.levels) != (GRID.mesh + 1, LEVELS):
        raise InvalidInput(
            f"{model} was made for {network.config.points} points and {network.config.levels} levels; the"
            f" league has {GRID.mesh + 1} and {LEVELS}"
        )
    return _Player(network, about, calibration_in(about, GRID.mesh + 1, LEVELS), *training_of(model))


def _timed(solver: Solver, v: np.ndarray) -> tuple[np.ndarray, float]:
    """Energies, and CPU µs a potential."""
    parts = [v[a : a + BATCH] for a in range(0, len(v), BATCH)]
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
    relative = float(np.abs(found - exact).mean() / np.abs(exact).mean())
    opponent, opponent_us = fastest(known, nmse)
    return Entry(
        *one.key, name, "", 0, 0, "", "", float(nmse), deviation, relative, None, None, "", BATCH, THREADS,
        us, opponent, opponent_us,
    )  # fmt: skip
