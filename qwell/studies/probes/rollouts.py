"""Emulators against the truth, frame by frame (dynamics paper, Table I, Figs. 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.emulation import gallery_figure, maps_figure, packets_figure, rollout_figure
from qwell.physics.propagators.settings import energy, setting_of
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_index
from qwell.studies.probes.asked import OfTrajectories
from qwell.studies.probes.emulator import learned, load_emulator
from qwell.train.metrics import WavesCompared, waves_compared
from qwell.train.rollout import history_of, predict_frames

GALLERY = 60  # cases that one picture holds
NUMBERS = {"x0": "X0", "s0": "S0", "e0": "E0", "height": "V", "width": "over"}
ERRORS = {
    "mae": "MAE",
    "mae_parts": "MAE of parts",
    "C": "C",
    "norm_drift": "norm",
    "energy_drift": "energy",
    "reflection_error": "R error",
    "transmission_error": "T error",
}


def sides(psi: np.ndarray, potential: np.ndarray, dx: float) -> np.ndarray:
    """Probability left and right of where the potential is not zero, (…, 2), from ψ (…, n); NaN if free."""
    where = np.flatnonzero(potential)
    density = np.abs(psi).astype(float) ** 2 * dx
    if not len(where):
        return np.full((*psi.shape[:-1], 2), np.nan)
    return np.stack([density[..., : where[0]].sum(-1), density[..., where[-1] + 1 :].sum(-1)], axis=-1)


def _cases(
    data: Dataset, split: str, predicted: np.ndarray, truth: np.ndarray, compared: WavesCompared
) -> list[dict[str, Any]]:
    """What is said of each simulation: its numbers, and the errors of its prediction.

    Arguments:
        data, split: where the simulations are.
        predicted, truth: (cases, frames, n) complex.
        compared: the two, frame by frame.
    """
    part, (ring, how) = data[split], setting_of(data.origin)
    cases = []
    for i, potential in enumerate(part["potential"][:]):
        start = energy(truth[i, :1], potential, ring, how.hamiltonian)[0]
        drift = np.abs(energy(predicted[i, ::20], potential, ring, how.hamiltonian) / start - 1).max()
        errors = np.abs(sides(predicted[i], potential, ring.dx) - sides(truth[i], potential, ring.dx)).max(0)
        cases.append(
            {
                "data": data.name,
                "row": i,
                **{name: float(part[name][i]) for name in NUMBERS},
                "mae": float(compared.mae[i].mean()),
                "mae_parts": float(compared.mae_parts[i].mean()),
                "C": float(compared.correlation[i].mean()),
                "norm_drift": float(np.abs(compared.norm[i]).max()),
                "energy_drift": float(drift),
                "reflection_error": float(errors[0]),
                "transmission_error": float(errors[1]),
            }
        )
    return cases


def _row(name: str, case: Mapping[str, float]) -> list[Cell]:
    """A line of the table: what a case is, as far as it has numbers, and its errors."""
    return [name, *(f"{case[key]:.3g}" if key in case else "" for key in NUMBERS), *_cells(case)]


def _cells(errors: Mapping[str, float]) -> list[Cell]:
    """Errors as a table shows them."""
    return [f"{errors[key]:.5f}" if key == "C" else errors[key] for key in ERRORS]


def rollouts(
    path: str | Path,
    data: Sequence[Dataset],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
    row: int = OfTrajectories.row,
    device: str = "cpu",
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """Roll an emulator out over every simulation of a split of one or more data sets.

    Arguments:
        path: a run, model folder or pretrained name.
        data: trajectories.
        frames: predicted from a seed of true frames.
        row: simulation of the first data set that is drawn.
        anyway: also over waves of another mesh, time step or Hamiltonian than it learned from.

    Raises InvalidInput for data that the emulator cannot be rolled out on.
    """
    for one in data:
        model, v_scale = load_emulator(path, *setting_of(one.origin), device, anyway)
    check_index(row, data[0], split)
    cases: list[dict[str, Any]] = []
    figures: dict[str, Figure] = {}
    last: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    for one in data:
        psi, potential = one[split]["psi"][:], one[split]["potential"][:]
        predicted, truth = predict_frames(model, v_scale, psi, potential, frames)
        compared = waves_compared(predicted, truth)
        cases += _cases(one, split, predicted, truth, compared)
        named = [f"{one.stem} {i}: C {c:.4f}" for i, c in enumerate(compared.correlation.mean(axis=1))]
        last += zip(named, truth[:, -1], predicted[:, -1], potential, strict=True)
        if not figures:
            figures[""] = rollout_figure(
                one.coordinates["x"], one.coordinates["time"][history_of(model) :][:frames],
                truth[row], predicted[row], potential[row], compared.mae, compared.correlation, row,
                f"{model.registry_name}, {one.stem} {row}",
            )  # fmt: skip
    if 1 < len(last) <= GALLERY:
        title = f"{model.registry_name}: |ψ| of the last of {frames} frames, true (grey) and predicted (red)"
        figures["gallery"] = gallery_figure(data[0].coordinates["x"], last, title)
    known = {key: [c[key] for c in cases if not np.isnan(c[key])] for key in ERRORS}  # free: no sides
    means = {key: float(np.mean(values)) if values else float("nan") for key, values in known.items()}
    stems = {one.name: one.stem for one in data}
    rows = [*(_row(f"{stems[c['data']]} {c['row']}", c) for c in cases), _row("mean", means)]
    numbers = {
        "model": str(path),
        "network": model.registry_name,
        **learned(path),
        "parameters": sum(p.numel() for p in model.parameters()),
        "frames": frames,
        "split": split,
        "data": {one.name: one.digest for one in data},
        "mean": means,
        "cases": cases,
    }
    head = ["case", *NUMBERS.values(), *ERRORS.values()]
    title = f"{model.registry_name}, {frames} frames: errors averaged over frames; largest drifts"
    return Finding("rollout", title, head, rows, numbers, figures)


def _means_of(
    mae: np.ndarray, mae_parts: np.ndarray, correlation: np.ndarray, met: np.ndarray
) -> dict[str, float | int] | None:
    """Means over the cases (n,) that meet a potential, of errors (n, frames); None if there are none."""
    if not met.any():
        return None
    means = {"mae": mae, "mae_parts": mae_parts, "C": correlation}
    return {"cases": int(met.sum()), **{name: float(values[met].mean()) for name, values in means.items()}}


def emulators(
    paths: Sequence[str | Path],
    data: Sequence[Dataset],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """Several emulators on the same cases: means over cases and frames (Tables I and III, Fig. 3).

    Arguments:
        paths: runs, model folders or pretrained names.
        data, split: trajectories.
        frames: predicted.
        anyway: see `rollouts`.
    """
    rows: list[list[Cell]] = []
    listed: list[dict[str, Any]] = []
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    shown: dict[str, np.ndarray] = {}
    for path in track(paths, "emulators"):
        parts, free = {}, []
        for one in data:
            model, v_scale = load_emulator(path, *setting_of(one.origin), anyway=anyway)
            part = one[split]
            free.append(~part["potential"][:].any(axis=1))
            pair = predict_frames(model, v_scale, part["psi"][:], part["potential"][:], frames)
            parts[one.stem] = waves_compared(*pair)
            if len(parts) == 1:
                shown[Path(path).name], truth = pair[0][0], pair[1][0]
        mae, mae_parts, correlation, norm = (
            np.concatenate([getattr(c, key) for c in parts.values()])
            for key in ("mae", "mae_parts", "correlation", "norm")
        )
        name = Path(path).name
        curves[name] = mae.mean(axis=0), correlation.mean(axis=0)
        parameters = sum(p.numel() for p in model.parameters())
        means = [float(a.mean()) for a in (mae, mae_parts, correlation)]
        worst, drift = float(correlation.mean(axis=1).min()), float(np.abs(norm).max())
        cells = [f"{means[2]:.5f}", f"{worst:.5f}"]
        rows.append([name, model.registry_name, parameters, *means[:2], *cells, drift])
        listed.append(
            {
                "run": str(path),
                "network": model.registry_name,
                **learned(path),
                "parameters": parameters,
                "mae": means[0],
                "mae_parts": means[1],
                "C": means[2],
                "worst_C": worst,
                "norm_drift": drift,
                "with_potential": _means_of(mae, mae_parts, correlation, met=~np.concatenate(free)),
                "C_by_data": {stem: float(c.correlation.mean()) for stem, c in parts.items()},
                "mae_by_data": {stem: float(c.mae.mean()) for stem, c in parts.items()},
                "mae_parts_by_data": {stem: float(c.mae_parts.mean()) for stem, c in parts.items()},
            }
        )
    head = ["run", "network", "parameters", "MAE", "MAE of parts", "C", "worst C", "norm drift"]
    count, digests = len(mae), {d.name: d.digest for d in data}
    numbers = {"frames": frames, "cases": count, "data": digests, "emulators": listed}
    times = data[0].coordinates["time"][1 : frames + 1]
    figures = {
        "": packets_figure(times, curves),
        "maps": maps_figure(data[0].coordinates["x"], times, truth, shown, f"{data[0].stem} 0"),
    }
    return Finding("emulators", f"Emulators on {count} cases, {frames} frames", head, rows, numbers, figures)
