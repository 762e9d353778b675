"""Noise: how far the potential is off that a network finds, and that of pointwise inversion (a curve)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from qwell.figures.inverse import noise_figure
from qwell.progress import track
from qwell.studies.finding import Cell, Finding
from qwell.studies.inverse.config import FinderConfig, StateConfig
from qwell.studies.inverse.finder import find
from qwell.studies.inverse.report import quality, without_training
from qwell.studies.inverse.states import state_asked_for
from qwell.train.config import known


def noise_study(
    config: FinderConfig,
    asked: StateConfig,
    noises: Sequence[float],
    log: Callable[[dict[str, float]], None],
) -> Finding:
    """Errors of a network and of pointwise inversion against noise; every beginning has noise of its own.

    Arguments:
        config: how; its seed is the first of its `seeds`, of weights, points and noise.
        asked: the state, on a grid.
        noises: relative standard deviations of |ψ|².
        log: takes rows of measurements on the way.

    Raises InvalidInput as `state_asked_for` and `find` do.
    """
    pins = config.pins or ()
    rows: list[list[Cell]] = []
    errors: dict[str, list[list[float]]] = {"network": [], "pointwise": []}
    energies: list[list[float]] = []
    for noise in track(noises, "noises"):
        found: list[tuple[float, float, float]] = []
        for seed in range(config.seed, config.seed + config.seeds):
            state = state_asked_for(replace(asked, noise=noise, noise_seed=seed), pins)
            resolved = replace(config, seed=seed).resolved(state)
            ours = quality(find(resolved, state, log).potential, state, seed)
            plain = quality(without_training(state, known(resolved.pins)), state, seed)
            found.append((ours.box, plain.box, ours.energy - state.energy))
        network, pointwise, off = (list(column) for column in zip(*found, strict=True))
        errors["network"].append(network)
        errors["pointwise"].append(pointwise)
        energies.append(off)
        means = [float(np.mean(values)) for values in (network, pointwise)]
        spreads = [float(np.std(v, ddof=1)) if len(v) > 1 else float("nan") for v in (network, pointwise)]
        rows.append([f"{noise:g}", means[0], spreads[0], means[1], spreads[1], means[1] / means[0]])
    numbers = {
        "system": asked.data or asked.file,
        "config": config.to_json(),
        "state": asked.to_json(),
        "noises": list(noises),
        "errors": errors,
        "energies_off": energies,
    }
    head = ("noise", "ε network", "spread", "ε pointwise", "spread", "pointwise / network")
    begun = f"{config.seeds} beginning{'s' * (config.seeds > 1)}"
    title = f"{asked.data or asked.file}: errors against relative noise of |ψ|², {begun} each"
    return Finding("noise", title, head, rows, numbers, {"": noise_figure(noises, errors)})
