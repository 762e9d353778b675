"""What a search for states found, as tables and figures, beside an independent solver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace

import numpy as np
import torch
from matplotlib.figure import Figure

from qwell.figures.variational import energy_history, sampled_figure, states_figure
from qwell.papers.stated import GROUND_STATES
from qwell.progress import Done, stage, track
from qwell.studies.finding import Cell, Finding
from qwell.studies.variational.config import SampledConfig, VariationalConfig
from qwell.studies.variational.potentials import exact_states
from qwell.studies.variational.sampled import AXES, SampledProblem, SampledState, problem_of, solve_sampled
from qwell.studies.variational.states import States, solve

MISSED = 1e-8  # of the energy, above which it is said
SLACK = 2e-11  # what the independent solver rounds away
Log = Callable[[dict[str, float | str]], None]


def search(config: VariationalConfig, log: Log) -> tuple[States, Finding]:
    """Find the states of a well, from one or several beginnings, and say how good they are.

    Arguments:
        config: how; its seed is the first of its `seeds`.
        log: takes rows of measurements on the way.

    Returns the states of the lowest energy, and what was found.
    """
    all_energies, x, all_psi = exact_states(
        config.well, config.among_all(config.levels) + 1 + config.mirrored
    )
    chosen = [config.among_all(k) for k in range(config.levels)]
    above = [float(all_energies[n + 1 + config.mirrored]) for n in chosen]
    energies, psi = all_energies[chosen], all_psi[chosen]
    found: list[States] = []
    histories: list[dict[str, list[float]]] = []
    for seed in track(range(config.seed, config.seed + config.seeds), "beginnings"):
        states, history = _solve_once(replace(config, seed=seed), log, above)
        found.append(states)
        histories.append(history)
    best = min(range(config.seeds), key=lambda s: sum(level.energy for level in found[s].levels))
    a, b = config.well.region
    inside = (x > a) & (x < b)
    waves = found[best](x[inside])
    true = psi[:, inside] * np.sign((waves * psi[:, inside]).sum(axis=1))[:, None]
    lines = [level.energy for level in found[best].levels]
    figures = {
        "": states_figure(x[inside], config.well(x[inside]), waves, true, lines),
        "history": energy_history(histories[best], float(energies[0])),
    }
    return found[best], _search_finding(config, found, energies, above, figures)


def _solve_once(
    config: VariationalConfig, log: Log, above: Sequence[float]
) -> tuple[States, dict[str, list[float]]]:
    """The states from one beginning, and the energies on the way, by method and level."""
    history: dict[str, list[float]] = {}

    def note(level: int, method: str, step: int, energy: float) -> None:
        rows = history.setdefault(method if config.levels == 1 else f"level {level}, {method}", [])
        rows.append(energy)
        if step % 50 == 0:
            place = {"update": len(rows) - 1, "seed": config.seed, "level": level}
            log({**place, "method": method, "energy": energy})

    return solve(config, note, above), history


def _search_finding(
    config: VariationalConfig,
    found: Sequence[States],
    energies: np.ndarray,
    above: Sequence[float],
    figures: Mapping[str, Figure],
) -> Finding:
    """The table and numbers of a search: states by seed, beside the energies of the independent solver."""
    well = config.well
    rows: list[list[Cell]] = [
        [
            seed, k, f"{level.energy:.12f}", f"{level.energy - e:+.1e}",
            f"{level.bound - e:+.1e}", f"{level.norm - 1:.0e}",
            level.residual, level.variance, level.restarts, level.seconds,
        ]
        for seed, states in enumerate(found, start=config.seed)
        for k, (level, e) in enumerate(zip(states.levels, energies, strict=True))
    ]  # fmt: skip
    numbers = {
        "well": well.name,
        "formula": well.formula,
        "stated": GROUND_STATES.get(well.name),
        "exact": energies.tolist(),
        "next": list(above),
        "parity": [config.sign(k) for k in range(config.levels)],
        "closed_form": well.energy,
        "config": config.to_json(),
        "runs": [[asdict(level) for level in states.levels] for states in found],
        "errors": [
            [level.energy - float(e) for level, e in zip(states.levels, energies, strict=True)]
            for states in found
        ],
    }
    title = f"{well.name}: H = −½ d²/dx² + {well.formula}, beside an independent solver"
    head = (
        "seed",
        "level",
        "Ē",
        "Ē − E",
        "Temple's bound − E",
        "norm² − 1",
        "G",
        "⟨(H − Ē)²⟩",
        "restarts",
        "CPU s",
    )
    return Finding("report", title, head, rows, numbers, figures)


def warnings_of(states: States, errors: Sequence[float], above: Sequence[float]) -> list[str]:
    """What a user should know about states: near degeneracy, walls, energies that are missed or too low.

    Arguments:
        states: what was found.
        errors: Ē − E by the independent solver, by level.
        above: energy of the next level of equal parity, by level.
    """
    said = []
    for k, (level, error) in enumerate(zip(states.levels, errors, strict=True)):
        if states.config.walls and level.edge > 1e-8:
            said.append(
                f"level {k}: {level.edge:.0e} of the wave function is at the region's ends; widen --region"
            )
        gap, within = above[k] - (level.energy - error), math.sqrt(max(level.variance, 0.0))
        if gap <= within:
            said.append(
                f"level {k}: the next level lies {gap:.1e} above, within what is found ({within:.0e}): the"
                " state may be any mixture of both" + _advice(states)
            )
        elif "linear" in states.config.optimizer and error > MISSED:
            said.append(
                f"level {k}: Ē lies {error:.1e} above the independent solver's energy; take more"
                " --linear-steps and --points, or another --seed"
            )
        if k == 0 and error < -SLACK:
            said.append(
                f"level {k}: Ē lies {-error:.1e} below the exact energy: the rule of integration or the free"
                " ends were made use of; take more --points, or walls"
            )
    return said


def _advice(states: States) -> str:
    symmetric = states.config.well.symmetric and not states.config.mirrored
    return "; --parity even and odd tell them apart" if symmetric else ""


def search_sampled(
    config: SampledConfig, log: Callable[[dict[str, float | str]], None]
) -> tuple[SampledState, Finding]:
    """Find a ground state by Monte Carlo, from one or several beginnings.

    Arguments:
        config: how.
        log: takes rows of measurements on the way.

    Returns the state of the first beginning, and what all of them found.
    """
    problem = problem_of(config.potential, config.dimensions)
    states, seconds = {}, {}
    for seed in track(range(config.seed, config.seed + config.seeds), "beginnings"):
        clock = time.process_time()

        with stage("steps", config.steps) as done:

            def note(step: int, energy: float, seed: int = seed, done: Done = done) -> None:
                done(to=step + 1)
                log({"update": step, "seed": seed, "energy": energy})

            states[seed] = solve_sampled(problem, replace(config, seed=seed), note)
        seconds[seed] = round(time.process_time() - clock, 1)
    return states[config.seed], sampled_finding(problem, states, seconds)


def sampled_finding(
    problem: SampledProblem, states: Mapping[int, SampledState], seconds: Mapping[int, float]
) -> Finding:
    """What Monte Carlo found, by seed."""
    rows: list[list[Cell]] = [
        [
            seed, f"{s.energy:.8f}", s.error,
            "–" if problem.energy is None else f"{s.energy - problem.energy:+.1e}",
            s.variance, round(s.samples), s.acceptance, seconds[seed],
        ]
        for seed, s in states.items()
    ]  # fmt: skip
    first = next(iter(states.values()))
    axis = np.linspace(-4, 4, 121)
    mesh = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    points = torch.zeros(len(mesh), problem.dimensions, dtype=torch.float64)
    points[:, :2] = torch.from_numpy(mesh)
    with torch.no_grad():
        log = 2 * (first.network(points)[:, 0] - 0.5 * (points**2).sum(-1))
    density = (log - log.max()).exp().reshape(len(axis), -1).numpy()
    measured = [field.name for field in fields(first) if field.name not in ("network", "history")]
    numbers = {
        "problem": problem.name,
        "formula": problem.formula,
        "exact": problem.energy,
        "runs": [
            {"seed": seed, **{name: getattr(s, name) for name in measured}} for seed, s in states.items()
        ],
    }
    figure = sampled_figure(first.history, problem.energy, axis, density, (AXES[0], AXES[1]))
    title = f"{problem.name}: H = −½∇² + {problem.formula} in {problem.dimensions} dimensions, Monte Carlo"
    head = ("seed", "Ē", "±", "Ē − E", "variance of E_loc", "independent samples", "acceptance", "CPU s")
    return Finding("report", title, head, rows, numbers, {"": figure})
