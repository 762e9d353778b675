"""A league of emulators: the same simulations for all, the best classical method at equal error.

An emulator's opponent on a test set is the fastest of the classical methods that errs no more than it does
there: Strang's splitting with a few steps a frame, on the mesh of the simulations and on coarser ones, in the
same program as emulators on the ring; or Chebyshev's expansion in float32 with a loose tolerance. All deliver
every frame on the simulations' points, and are timed together: CPU time of one thread, all cases at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.layers import Network
from qwell.models.propagating import UnitaryConfig, UnitaryEmulator
from qwell.physics.barriers import Potential
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation, kinetic_energy, setting_of
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex
from qwell.studies.league.seeds import training_of
from qwell.studies.league.table import fastest, names_of
from qwell.studies.probes.emulator import differences
from qwell.train.devices import threads
from qwell.train.horizon import horizon_in, relative_errors
from qwell.train.metrics import waves_compared
from qwell.train.rollout import history_of, rollout
from qwell.train.runs import load_model, trained_on

MESHES, STEPS = (256, 512, 1024), (1, 2, 4, 8)  # points, and steps a frame of coarse splittings
TOLERANCES = (1e-1, 1e-2, 1e-4)  # of Chebyshev's expansion in float32
ENOUGH = 1.0  # seconds that are timed, at least
REPEATS = 5
THREADS = 1
HISTORY = 8  # true frames kept before those that are predicted, at most


@dataclass(frozen=True)
class Cases:
    """Simulations as a test set.

    Arguments:
        name: of the set.
        psi: ψ(0), (n, N) complex.
        potential: V, (n, N), Hartree.
        packets: width S0 in Bohr and energy E0 in Hartree of each packet, (n, 2).
        ring, how: the box, and the exact motion; how.frames are predicted.
    """

    name: str
    psi: np.ndarray
    potential: np.ndarray
    packets: np.ndarray
    ring: Ring
    how: Propagation

    @property
    def key(self) -> tuple[str, int, int, float]:
        """Of the test set."""
        return self.name, len(self.psi), self.how.frames, self.how.dt


@dataclass(frozen=True)
class Entry:
    """An emulator, or a classical method, on a test set: one line of the table.

    Arguments:
        cases, simulations, frames, dt: of the set; atomic units.
        model, learned_from, parameters, updates: who, and what its training cost; empty or 0 of classical
            methods.
        kind, seed: of the training, if it is a run: trainings of one kind differ in nothing but the seed.
        error, error_se: mean of 1 − C over frames and simulations, C = |⟨ψ̂, ψ⟩|/(‖ψ̂‖ ‖ψ‖); and its standard
            error over simulations.
        error_last: mean of 1 − C at the last frame.
        off, off_last: mean of ‖ψ̂ − ψ‖/‖ψ‖ over frames and simulations, and at the last frame.
        covered: share of frames of simulations that are not marked within their 90 % bound; empty if the
            emulator is not calibrated, or all are marked.
        bound_last: the bound at the last frame; empty if there is none.
        marked: share of simulations outside what was learned from, by its recipe: other dx, dt or
            Hamiltonian, or S0, E0 or V beyond its range. Empty if the recipe is not known.
        us: CPU µs a frame and simulation, in batches of so many simulations and with so many threads.
        opponent, opponent_us: the fastest classical method that errs no more, and its time in the same run.
    """

    cases: str
    simulations: int
    frames: int
    dt: float
    model: str
    learned_from: str
    parameters: int
    updates: int
    kind: str
    seed: str
    error: float
    error_se: float
    error_last: float
    off: float
    off_last: float
    covered: float | None
    bound_last: float | None
    marked: float | None
    batch: int
    threads: int
    us: float
    opponent: str
    opponent_us: float

    @property
    def key(self) -> tuple[str, int, int, float]:
        """Of the test set."""
        return self.cases, self.simulations, self.frames, self.dt


class Strang(UnitaryEmulator):
    """ψ' = (e^{−iVδ/2} F⁻¹ e^{−iTδ} F e^{−iVδ/2})^s ψ, δ = Δt/s: a split step as an emulator on the ring.

    The same program, with the phases of physics instead of learned ones; T is that of the simulations' mesh.

    Arguments:
        ring, how: of the simulations.
        mesh: points on which waves are advanced, even.
        steps: s.
        v_scale: what the potentials that it is given were divided by, Hartree.
    """

    def __init__(self, ring: Ring, how: Propagation, mesh: int, steps: int, v_scale: float = 1.0) -> None:
        super().__init__(UnitaryConfig(points=ring.points, layers=steps, mesh=mesh))
        self.dt, self.v_scale = how.dt, v_scale
        kept = torch.arange(-mesh // 2, mesh // 2).roll(mesh // 2)  # waves of the mesh
        kinetic = torch.from_numpy(kinetic_energy(ring, how.hamiltonian)[kept.numpy()]).float()
        angles = (kinetic * self.dt / steps).expand(steps, -1)
        self.waves = torch.polar(torch.ones_like(angles), -angles)

    def prepare(self, potential: Tensor) -> tuple[Tensor, ...]:
        steps = self.config.layers
        angle = self._held(potential) * self.v_scale * self.dt / steps
        angles = torch.stack([angle / 2, *[angle] * (steps - 1), angle / 2])
        return torch.polar(torch.ones_like(angles), -angles), self.waves


@dataclass(frozen=True)
class _Player:
    network: Network
    about: Mapping[str, Any]
    kind: str
    seed: str

    def sees(self, cases: Cases) -> bool:
        """Whether it can be asked about them at all."""
        config = self.network.config
        if isinstance(self.network, UnitaryEmulator):
            return bool(config.points == cases.ring.points)
        return getattr(config, "channels", 3) != 2 or not cases.potential.any()


class EmulatorLeague:
    """The league of emulators; see `table.season`.

    Arguments:
        models: runs, model folders, addresses, or names of pretrained emulators.
        cases: the test sets. Emulators that see no potential play on free ones only, and those on the ring on
            sets of their number of points.

    Raises InvalidInput for two models of one name, or one that fits no set; and as `load_model` does.
    """

    entry = Entry

    def __init__(self, models: Sequence[str | Path], cases: Sequence[Cases]) -> None:
        self.cases = cases
        self.networks = {name: _player(model) for name, model in names_of(models).items()}
        for name, player in self.networks.items():
            if not any(player.sees(one) for one in cases):
                points = ", ".join(map(str, sorted({one.ring.points for one in cases})))
                raise InvalidInput(
                    f"{name} fits none of the test sets, which have {points} points; train one on such data"
                )

    def sets(self) -> Sequence[Cases]:
        """The test sets."""
        return self.cases

    def players(self, one: Cases) -> list[str]:
        """Who plays on a set."""
        return [*classical(one), *(name for name, player in self.networks.items() if player.sees(one))]

    def play(self, one: Cases) -> list[Entry]:
        """Entries of one test set."""
        with threads(THREADS):
            truth = _true_frames(one)
            known = [_entry(one, n, *_timed(method), truth) for n, method in classical(one).items()]
            emulators = [(n, p) for n, p in self.networks.items() if p.sees(one)]
            return known + [_emulator(one, name, player, truth, known) for name, player in emulators]


def _player(model: str | Path) -> _Player:
    network = load_model(model, task="dynamics").eval()
    if history_of(network) > HISTORY:
        raise InvalidInput(
            f"{model} sees {history_of(network)} frames; the league has {HISTORY} to begin with"
        )
    return _Player(network, trained_on(model), *training_of(model))


def classical(one: Cases) -> dict[str, Callable[[], np.ndarray]]:
    """Name → method; each gives ψ(Δt) … of a test set, (n, frames, N) complex64."""
    start = np.stack([one.psi.real, one.psi.imag], axis=-1).astype(np.float32)[:, None]

    def split(mesh: int, steps: int) -> np.ndarray:
        program = Strang(one.ring, one.how, mesh, steps).eval()
        return as_complex(rollout(program, start, one.potential, one.how.frames), np.complex64)

    def chebyshev(tolerance: float) -> np.ndarray:
        how = replace(one.how, method="chebyshev", precision="float32", tolerance=tolerance, substep=None)
        return as_complex(propagate(one.psi, one.potential, one.ring, how)[:, 1:], np.complex64)

    found: dict[str, Callable[[], np.ndarray]] = {
        f"Strang, {mesh} points, {steps} steps": partial(split, mesh, steps)
        for mesh in MESHES
        for steps in STEPS
        if mesh <= one.ring.points
    }
    return found | {f"Chebyshev, float32, {t:g}": partial(chebyshev, t) for t in TOLERANCES}


def _true_frames(one: Cases) -> np.ndarray:
    """ψ(0) … to what an emulator of the longest history predicts, (n, HISTORY + frames, N, 2) float32."""
    how = replace(one.how, frames=HISTORY + one.how.frames)
    return propagate(one.psi, one.potential, one.ring, how).astype(np.float32)


def _timed(method: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What a method gives, and the least CPU seconds of some repetitions; the first one may compile."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < REPEATS and sum(times) < ENOUGH):
        clock = time.process_time()
        found = method()
        times.append(time.process_time() - clock)
    return found, min(times)


def _entry(
    one: Cases, name: str, found: np.ndarray, seconds: float, truth: np.ndarray, first: int = 1
) -> Entry:
    """What can be said of anyone whose frames begin at a true one."""
    frames, count = one.how.frames, len(one.psi)
    true = as_complex(truth[:, first : first + frames])
    error = np.maximum(1 - waves_compared(found.astype(complex), true).correlation, 0)
    off = relative_errors(found, true)
    each = error.mean(axis=1)
    spread = float(each.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
    return Entry(
        *one.key, name, "", 0, 0, "", "", float(each.mean()), spread, float(error[:, -1].mean()),
        float(off.mean()), float(off[:, -1].mean()), None, None, None, count, THREADS,
        1e6 * seconds / frames / count, "", 0.0,
    )  # fmt: skip


def _emulator(one: Cases, name: str, player: _Player, truth: np.ndarray, known: Sequence[Entry]) -> Entry:
    network, about, frames = player.network, player.about, one.how.frames
    history = history_of(network)
    scale = float(about.get("v_scale", 1.0))
    asked = partial(rollout, network, truth[:, :history], one.potential / scale, frames)
    parts, seconds = _timed(asked)
    found, true = (as_complex(p, np.complex64) for p in (parts, truth[:, history : history + frames]))
    made = _entry(one, name, found, seconds, truth, history)
    opponent, opponent_us = fastest(known, made.error)
    marked = _outside(about.get("recipe"), one)
    horizon = horizon_in(about)
    bound = None if horizon is None else horizon.bound(frames)
    like = np.ones(len(true), bool) if marked is None else ~marked
    covered = None
    if bound is not None and like.any() and (kept := np.isfinite(bound)).any():
        covered = float((relative_errors(found, true)[like][:, kept] <= bound[kept]).mean())
    last = None if bound is None or not np.isfinite(bound[-1]) else float(bound[-1])
    return replace(
        made, learned_from=about.get("data", ""), updates=about.get("updates", 0), kind=player.kind,
        seed=player.seed, parameters=sum(p.numel() for p in network.parameters()), covered=covered,
        bound_last=last, marked=None if marked is None else float(marked.mean()), opponent=opponent,
        opponent_us=opponent_us,
    )  # fmt: skip


def _outside(recipe: Any, one: Cases) -> np.ndarray | None:
    """Which simulations (n,) are outside what a recipe has, see `Entry`; None if it does not say."""
    if not isinstance(recipe, dict) or "ring" not in recipe or "drives" in recipe:
        return None
    if differences(recipe, one.ring, one.how):
        return np.ones(len(one.psi), bool)
    try:
        ring, families = setting_of(recipe)[0], recipe["families"]
        packets = [np.concatenate([np.ravel(family[name]) for family in families]) for name in ("s0", "e0")]
        fields = [Potential.from_json(v).on(ring) for family in families for v in family["potentials"]]
        if not fields or not all(np.isfinite(part).all() and part.size for part in packets):
            return None
    except (KeyError, TypeError, ValueError, InvalidInput):
        return None
    seen = [one.packets[:, 0], one.packets[:, 1], one.potential.min(axis=1), one.potential.max(axis=1)]
    lows = [p.min() for p in packets] + 2 * [min(v.min() for v in fields)]
    highs = [p.max() for p in packets] + 2 * [max(v.max() for v in fields)]
    pairs = zip(seen, lows, highs, strict=True)
    return np.any([(value < low) | (value > high) for value, low, high in pairs], axis=0)
