"""The lowest states of a well, one after another, each orthogonal to those below, and how good they are."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qwell.errors import CheckpointError, InvalidInput
from qwell.models.tensors import read_tensors, write_tensors
from qwell.progress import Done, stage, track
from qwell.studies.variational.config import VariationalConfig
from qwell.studies.variational.minimise import Functional, Report, adam, lbfgs, linear
from qwell.studies.variational.trial import Rule, Trial, Wave, legendre, rectangle
from qwell.train.runs import Run

RESTARTS = 2
GOOD = 2e-8  # distance of Ē from Temple's lower bound above which the search begins anew with other weights


@dataclass(frozen=True)
class Level:
    """A state that was found, measured on a finer rule of integration.

    Arguments:
        energy: Ē.
        norm: ⟨φ|φ⟩ of the function normalised on the rule it was found with.
        residual: G = mean over 100,000 equally spaced points of ((H − Ē)φ)² (paper, Eq. 30).
        variance: ⟨(H − Ē)²⟩; some eigenvalue lies within its root of Ē.
        bound: Temple's lower bound of the energy, Ē − ⟨(H − Ē)²⟩/(E' − Ē), E' the next level of equal parity
            by an independent solver; −∞ if Ē is not below E'.
        overlaps: with the states below.
        edge: ∫φ² within a fiftieth of the region's ends.
        found: Ē on the rule it was found with.
        seconds: of the processor, of all beginnings.
        restarts: how many more than one beginning were tried; the lowest energy is kept.
        seed: of the weights it ended with.
    """

    energy: float
    norm: float
    residual: float
    variance: float
    bound: float
    overlaps: tuple[float, ...]
    edge: float
    found: float
    seconds: float
    restarts: int
    seed: int


@dataclass(frozen=True)
class States:
    """The lowest states of a well. Call it for the normalised φ_k(x).

    Arguments:
        config: how they were looked for.
        trials: a network each.
        levels: what each is worth.
    """

    config: VariationalConfig
    trials: tuple[Trial, ...]
    levels: tuple[Level, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """φ_k(x), (levels, n), normalised and orthogonal, the largest lobe positive."""
        fine = _rule(self.config, 4)
        at = torch.from_numpy(np.array(x, float)).to(getattr(torch, self.config.dtype))
        waves = _on(self.trials, fine.to(at.dtype), at)
        found = torch.stack([wave.value for wave in waves]).double().numpy()
        return found * np.sign(found[np.arange(len(found)), np.abs(found).argmax(axis=1)])[:, None]

    def save(self, run: Run) -> None:
        """Write the networks and what they are into a run."""
        about = [asdict(level) for level in self.levels]
        for one in about:
            one["bound"] = one["bound"] if math.isfinite(one["bound"]) else None
        for k, trial in enumerate(self.trials):
            write_tensors(_weights(run, k), trial.state_dict(), about[k])
        run.write("model/levels.json", json.dumps(about, indent=1) + "\n")


def solve(
    config: VariationalConfig, report: Callable[[int, str, int, float], None], above: Sequence[float]
) -> States:
    """Find the lowest states of a well.

    Arguments:
        config: how.
        above: for every level, the energy of the next one of equal parity, by an independent solver.
        report: called with level, method, step and Ē on the way.
    """
    trials: list[Trial] = []
    levels: list[Level] = []
    steps = config.adam_steps + config.lbfgs_steps * ("lbfgs" in config.optimizer)
    steps += config.linear_steps * ("linear" in config.optimizer)
    for k in track(range(config.levels), "states"):
        clock = time.process_time()
        best: tuple[Level, Trial] | None = None
        for restart in range(RESTARTS):
            trial_seed = 1000 * restart + config.seed
            with stage("steps at most", steps) as done:

                def note(method: str, step: int, energy: float, level: int = k, done: Done = done) -> None:
                    done(1, note=method)
                    report(level, method, step, energy)

                below = [other for other in trials if other.sign == config.sign(k)]
                trial, found = _minimise(config, below, trial_seed, config.sign(k), note)
            level = _measure(config, below, trial, found, trial_seed, above[k])
            if math.isfinite(level.energy) and (best is None or level.energy < best[0].energy):
                best = level, trial
            if "linear" not in config.optimizer or level.energy - level.bound <= GOOD:
                break
        if best is None:
            raise InvalidInput("no finite energy was found; choose a smaller --rate, or float64")
        seconds = time.process_time() - clock
        levels.append(replace(best[0], seconds=seconds, restarts=restart))
        trials.append(best[1])
    return States(config, tuple(trials), tuple(levels))


def load_states(path: str | Path) -> States:
    """Load the states that `qtrain variational` found.

    Raises:
        RunNotFound: nothing there.
        CheckpointError: damaged files, or a run of another kind.
    """
    run = Run.open(path, "variational")
    try:
        config = VariationalConfig.from_json(run.config["variational"])
        trials, levels = [], []
        for k in range(config.levels):
            weights, level = read_tensors(_weights(run, k))
            level = level or json.loads((run.model / "levels.json").read_text())[k]  # of version 0.1.0
            bound = level.get("bound")  # null where there is none
            rest = {"overlaps": tuple(level["overlaps"]), "bound": -math.inf if bound is None else bound}
            levels.append(Level(**{**level, **rest}))
            trial = _trial(config, 0, config.sign(k))
            trial.load_state_dict(weights)
            trials.append(trial)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} holds no finished run of `qtrain variational`, or is damaged: {error}"
        ) from error
    return States(config, tuple(trials), tuple(levels))


def _weights(run: Run, level: int) -> Path:
    return run.model / f"state-{level}.safetensors"


def _trial(config: VariationalConfig, seed: int, sign: int) -> Trial:
    well = config.well
    dtype = getattr(torch, config.dtype)
    return Trial(well.region, config.wave_layers, well.kinks, config.walls, dtype, seed, sign)


def _rule(config: VariationalConfig, finer: int = 1) -> Rule:
    """The rule of integration, or a Legendre rule with so many times its points.

    Where states have a parity, half of the region with half of the points counts twice.
    """
    well = config.well
    if config.rule == "rectangle" and finer == 1:
        return rectangle(well.region, config.points)
    points = finer * min(config.points, 2000)
    if not config.mirrored:
        return legendre(well.region, points, well.kinks)
    a, b = well.region
    middle = (a + b) / 2
    half = legendre((middle, b), points // 2, tuple(k for k in well.kinks if k > middle))
    return Rule(half.x, 2 * half.w)


def _functional(config: VariationalConfig, below: Sequence[Trial], finer: int = 1) -> Functional:
    rule = _rule(config, finer)
    dtype = getattr(torch, config.dtype)
    potential = torch.from_numpy(config.well(rule.x.numpy())).to(dtype)
    rule = rule.to(dtype)
    return Functional(rule, potential, tuple(_on(below, rule, rule.x)), config.form)


def _on(trials: Sequence[Trial], rule: Rule, at: Tensor) -> list[Wave]:
    """Trial functions at points, orthonormal in the order given, as a rule of integration sees it.

    Those of different parity are orthogonal, which a rule on half of the region does not see.
    """
    inside: list[Wave] = []
    outside: list[Wave] = []
    with torch.no_grad():
        for trial in trials:
            here, there = trial.waves(rule.x, second=True), trial.waves(at, second=True)
            for other, a, b in zip(trials, inside, outside, strict=False):
                if other.sign != trial.sign:
                    continue
                overlap = (rule.w * a.value * here.value).sum()
                here, there = here.less(overlap, a), there.less(overlap, b)
            norm = (rule.w * here.value**2).sum().sqrt()
            inside.append(here.over(norm))
            outside.append(there.over(norm))
    return outside


def _minimise(
    config: VariationalConfig, below: Sequence[Trial], seed: int, sign: int, report: Report
) -> tuple[Trial, float]:
    """A trial function of least energy, and that energy."""
    energy = _functional(config, below)
    trial = _trial(config, seed, sign)
    adam(energy, trial, config.adam_steps, config.rate, report, constant=config.optimizer == "adam")
    if "lbfgs" in config.optimizer:
        lbfgs(energy, trial, config.lbfgs_steps, report)
    if "linear" in config.optimizer:
        linear(energy, trial, config.linear_steps, report)
    with torch.no_grad():
        return trial, float(energy(trial))


def _measure(
    config: VariationalConfig,
    below: Sequence[Trial],
    trial: Trial,
    found: float,
    seed: int,
    above: float,
) -> Level:
    coarse, fine = _functional(config, below), _functional(config, below, finer=4)
    all_trials = [*below, trial]
    a, b = config.well.region
    uniform = torch.linspace(a, b, 100_000, dtype=fine.potential.dtype)
    v = torch.from_numpy(config.well(uniform.double().numpy())).to(uniform.dtype)
    with torch.no_grad():
        ours, w = _on(all_trials, fine.rule, fine.rule.x)[-1], fine.rule.w
        assert ours.bend is not None
        level = (
            fine(trial)
            if config.form == "gradient"
            else Functional(fine.rule, fine.potential, fine.below)(trial)
        )
        left = -ours.bend / 2 + (fine.potential - level) * ours.value
        wave = _on(all_trials, fine.rule, uniform)[-1]
        assert wave.bend is not None
        rest = -wave.bend / 2 + (v - level) * wave.value
        rough = (coarse.rule.w * coarse.waves(trial).value ** 2).sum()
        exact = (w * fine.waves(trial).value ** 2).sum()
        near = (fine.rule.x < a + (b - a) / 50) | (fine.rule.x > b - (b - a) / 50)
        variance = float((w * left**2).sum())
        gap = above - float(level)
        return Level(
            energy=float(level),
            norm=float(exact / rough),
            residual=float((rest**2).mean()),
            variance=variance,
            bound=float(level) - variance / gap if gap > 0 else -math.inf,
            overlaps=tuple(float((w * state.value * ours.value).sum()) for state in fine.below),
            edge=float((w * ours.value**2)[near].sum()),
            found=found,
            seconds=0.0,
            restarts=0,
            seed=seed,
        )
