"""Emulators where they were not trained: sweeps, other packets, other options.

Dynamics paper, Figs. 4, S5 and S7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from qwell.errors import InvalidInput
from qwell.figures.emulation import options_figure, packets_figure, sweep_figure
from qwell.models.emulators import WindowEmulator
from qwell.models.layers import Network
from qwell.physics.barriers import Potential
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation, setting_of
from qwell.physics.ring import Ring
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.store.driven import static_only
from qwell.studies.finding import Cell, Finding
from qwell.studies.probes.asked import OfTrajectories
from qwell.studies.probes.emulator import learned, load_emulator
from qwell.train.metrics import waves_compared
from qwell.train.rollout import history_of, predict_frames
from qwell.train.runs import trained_on

AXES = {
    "s0": "S0  [bohr]",
    "e0": "E0  [hartree]",
    "wb": "width of the barrier  [bohr]",
    "hb": "height of the barrier  [hartree]",
}
FIXED = {"x0": 20.0, "s0": 2.5, "e0": 5.0, "wb": 7.0, "hb": 6.0}
SWEEPS = {
    "s0": np.linspace(0.5, 6.0, 12),
    "e0": np.linspace(0.5, 12.0, 12),
    "wb": np.array([0.5, 1, 1.5, 2, 3, 5, 7, 10, 15, 20]),
    "hb": np.linspace(0.0, 20.0, 11),
}


def simulate(
    ring: Ring, how: Propagation, cases: Sequence[Mapping[str, float]], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """True trajectories in rectangular barriers, made on the spot.

    Arguments:
        ring: the box.
        how: method, Hamiltonian, times.
        cases: numbers x0, s0, e0 of the packet, hb and wb of the barrier; no barrier where wb is 0.
        kind: of packet.

    Returns: ψ (cases, frames + 1, n, 2) float32 and V (cases, n).
    """
    psi = np.array([packet(ring, kind, c["x0"], c["s0"], c["e0"]) for c in cases])
    walls = [
        Potential("rectangle", {"height": c["hb"], "width": c["wb"]}) if c["wb"] else Potential()
        for c in cases
    ]
    potential = np.array([wall.on(ring) for wall in walls])
    return propagate(psi, potential, ring, how).astype(np.float32), potential


def sweep(
    paths: Sequence[str | Path],
    hamiltonian: str = OfTrajectories.hamiltonian,
    frames: int = OfTrajectories.frames,
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """Mean correlation against S0, E0, width and height, one at a time; a band over the networks given.

    Arguments:
        paths: emulators trained alike with different seeds, or one.
        hamiltonian: of the truth, which is made on the paper's ring.
        frames: predicted.
        anyway: see `rollouts`.
    """
    truth = Ring(), Propagation(hamiltonian=hamiltonian)
    loaded = [load_emulator(path, *truth, anyway=anyway) for path in paths]
    seen = max(history_of(model) for model, _ in loaded)
    ring, how = truth[0], replace(truth[1], frames=seen + frames - 1)
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rows: list[list[Cell]] = []
    for key, values in track(list(SWEEPS.items()), "numbers varied"):
        psi, potential = simulate(ring, how, [{**FIXED, key: float(v)} for v in values], "gaussian")
        found = np.array(
            [
                waves_compared(*predict_frames(model, v_scale, psi, potential, frames)).correlation.mean(
                    axis=1
                )
                for model, v_scale in loaded
            ]
        )
        curves[key] = values, found
        rows += [
            [AXES[key], float(v), float(c.mean()), float(c.min()), float(c.max())]
            for v, c in zip(values, found.T, strict=True)
        ]
    numbers = {
        "models": [str(path) for path in paths],
        **learned(paths[0]),
        "fixed": FIXED,
        "frames": frames,
        "curves": {k: {"values": v.tolist(), "C": c.tolist()} for k, (v, c) in curves.items()},
    }
    figure = sweep_figure(curves, _trained_values(paths[0]), AXES)
    head = ["varied", "value", "mean C", "least", "largest"]
    return Finding(
        "sweep",
        f"Correlation over {frames} frames; others fixed at {_said(FIXED)}",
        head,
        rows,
        numbers,
        {"": figure},
    )


def _said(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{k.upper()} {v:g}" for k, v in numbers.items())


def _trained_values(path: str | Path) -> dict[str, list[float]]:
    """The numbers that a network's training data has, as far as its recipe says."""
    families = trained_on(path).get("recipe", {}).get("families", [])
    found: dict[str, list[float]] = {}
    for family in families:
        for name in ("s0", "e0"):
            found.setdefault(name, []).extend(family[name])
        for potential in family["potentials"]:
            if potential.get("shape") == "rectangle":
                found.setdefault("hb", []).append(potential["height"])
                found.setdefault("wb", []).append(potential["width"])
    return found


def packets(
    path: str | Path,
    data: Dataset,
    frames: int = OfTrajectories.frames,
    split: str = OfTrajectories.split,
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """The cases of a data set again with packets of other shapes: Gaussian, triangle, square.

    Arguments:
        path: an emulator.
        data, split: whose numbers x0, s0, e0 and rectangular barriers are taken; the truth is made on its
            ring, with its Hamiltonian and time step.
        frames: predicted.
        anyway: see `rollouts`.
    """
    static_only(data, "this probe")
    ring, made = setting_of(data.origin)
    model, v_scale = load_emulator(path, ring, made, anyway=anyway)
    how = Propagation(hamiltonian=made.hamiltonian, dt=made.dt, frames=history_of(model) + frames - 1)
    part = data[split]
    names = {"x0": "x0", "s0": "s0", "e0": "e0", "hb": "height", "wb": "width"}
    cases = [{key: float(part[name][i]) for key, name in names.items()} for i in range(len(part))]
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rows: list[list[Cell]] = []
    for kind in track(("gaussian", "triangle", "square"), "kinds of packets"):
        psi, potential = simulate(ring, how, cases, kind)
        compared = waves_compared(*predict_frames(model, v_scale, psi, potential, frames))
        curves[kind] = compared.mae.mean(axis=0), compared.correlation.mean(axis=0)
        means = [float(a.mean()) for a in (compared.mae, compared.mae_parts, compared.correlation)]
        rows.append([kind, *means, float(compared.correlation.mean(axis=1).min())])
    numbers = {
        "model": str(path),
        **learned(path),
        "data": data.digest,
        "frames": frames,
        "packets": {str(r[0]): {"mae": r[1], "mae_parts": r[2], "C": r[3]} for r in rows},
    }
    figure = packets_figure(how.dt * np.arange(1, frames + 1), curves)
    head = ["packet", "MAE", "MAE of parts", "C", "worst C"]
    title = f"Other packets: {len(cases)} cases of {data.stem}, {frames} frames"
    return Finding("packets", title, head, rows, numbers, {"": figure})


OPTIONS = ("history", "width", "hidden")


def _only(i: int, options: Sequence[int], base: Sequence[int]) -> bool:
    """Whether options differ in number i alone; hidden, which follows width, does not count beside it."""
    differ = {j for j in range(len(OPTIONS)) if options[j] != base[j]}
    return differ == {i} or (OPTIONS[i] == "width" and differ == {1, 2})


def _comparable(
    path: str | Path, first: str | Path, model: Network, base: Sequence[int] | None
) -> tuple[int, ...]:
    """The options of a run, if it can be compared with the first one, whose options are `base`."""
    if not isinstance(model, WindowEmulator):
        raise InvalidInput(f"{path} sees no windows; leave it out")
    for key, what in (
        ("updates", "learned another number of updates"),
        ("digest", "learned from other data"),
    ):
        if trained_on(path).get(key) != trained_on(first).get(key):
            raise InvalidInput(f"{path} {what} than {first}; compare runs that differ in one option")
    options = model.config.history, model.config.width, model.config.k
    if base and options != base and not any(_only(i, options, base) for i in range(len(OPTIONS))):
        raise InvalidInput(f"{path} differs from {first} in more than one option; leave it out")
    return options


def hyper(
    paths: Sequence[str | Path],
    data: Dataset,
    frames: int = OfTrajectories.frames,
    split: str = OfTrajectories.split,
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """Emulators with another history, width or hidden size than the first, on the same cases (Fig. S7).

    Arguments:
        paths: runs that see windows. The first is what the others are compared with: each has one option
            changed, or none and another seed. Runs that differ in the seed alone are averaged.
        data, split: cases.
        frames: predicted.
        anyway: see `rollouts`.

    Raises InvalidInput if a run differs in two options, or learned another number of updates or from other
    data; and if nothing differs.
    """
    rows: list[list[Cell]] = []
    measured: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    static_only(data, "this probe")
    for path in track(paths, "emulators"):
        model, v_scale = load_emulator(path, *setting_of(data.origin), anyway=anyway)
        options = _comparable(path, paths[0], model, next(iter(measured), None))
        pair = predict_frames(model, v_scale, data[split]["psi"][:], data[split]["potential"][:], frames)
        compared = waves_compared(*pair)
        mae, correlation = float(compared.mae.mean()), float(compared.correlation.mean())
        measured.setdefault(options, []).append((mae, correlation))
        parameters = sum(p.numel() for p in model.parameters())
        rows.append([Path(path).name, *options, parameters, mae, correlation])
    base = next(iter(measured))
    points = {
        name: [
            (
                float(options[i]),
                fmean(m for m, _ in found),
                fmean(c for _, c in found),
                max(c for _, c in found),
            )
            for options, found in measured.items()
            if options == base or _only(i, options, base)
        ]
        for i, name in enumerate(OPTIONS)
    }
    points = {name: found for name, found in points.items() if len(found) > 1}
    if not points:
        raise InvalidInput("all runs have the same history, width and hidden size; give some that differ")
    numbers = {
        "models": [str(p) for p in paths],
        "frames": frames,
        **learned(paths[0]),
        "base": dict(zip(OPTIONS, base, strict=True)),
        "points": points,  # value, mean MAE, mean C, largest C over seeds
        "seeds": {"/".join(map(str, options)): len(found) for options, found in measured.items()},
    }
    head = ["run", *OPTIONS, "parameters", "MAE", "C"]
    title = f"Options of emulators, on {data.stem}, {frames} frames"
    drawn = {name: [(v, mae, c) for v, mae, c, _ in found] for name, found in points.items()}
    return Finding("hyper", title, head, rows, numbers, {"": options_figure(drawn)})
