"""Emulators against the truth, frame by frame (dynamics paper, Table I, Figs. 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qwell.figures.emulation import packets_figure, rollout_figure
from qwell.models.layers import Network
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_index
from qwell.studies.probes.asked import OfTrajectories
from qwell.train.metrics import WavesCompared, waves_compared
from qwell.train.rollout import history_of, predict_frames
from qwell.train.runs import load_model, trained_on

Energies = Callable[[np.ndarray, np.ndarray], np.ndarray]


def load_emulator(path: str | Path, device: str = "cpu") -> tuple[Network, float]:
    """A trained emulator and the v_scale it was trained with; InvalidInput if it is another network."""
    model = load_model(path, device, "dynamics")
    return model, float(trained_on(path).get("v_scale", 1.0))


def sides(psi: np.ndarray, potential: np.ndarray, dx: float) -> np.ndarray:
    """Probability left and right of where the potential is not zero, (…, 2), from ψ (…, n); NaN if free."""
    where = np.flatnonzero(potential)
    density = np.abs(psi).astype(float) ** 2 * dx
    if not len(where):
        return np.full((*psi.shape[:-1], 2), np.nan)
    return np.stack([density[..., : where[0]].sum(-1), density[..., where[-1] + 1 :].sum(-1)], axis=-1)


def rollouts(
    path: str | Path,
    data: Sequence[Dataset],
    energies: Sequence[Energies],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
    row: int = OfTrajectories.row,
    device: str = "cpu",
) -> Finding:
    """Roll an emulator out over every simulation of a split of one or more data sets.

    Arguments:
        path: a run, model folder or pretrained name.
        data: trajectories.
        energies: for each, ⟨H⟩ of wave functions in potentials.
        frames: predicted from a seed of true frames.
        row: simulation of the first data set that is drawn.

    Raises InvalidInput for data that the emulator cannot be rolled out on.
    """
    model, v_scale = load_emulator(path, device)
    check_index(row, data[0], split)
    rows: list[list[Cell]] = []
    cases: list[dict[str, Any]] = []
    parts: list[WavesCompared] = []
    figure = None
    for one, energy in zip(data, energies, strict=True):
        part, x = one[split], one.coordinates["x"]
        psi, potential = part["psi"][:], part["potential"][:]
        predicted, truth = predict_frames(model, v_scale, psi, potential, frames)
        compared = waves_compared(predicted, truth)
        parts.append(compared)
        for i in range(len(psi)):
            numbers = {name: float(part[name][i]) for name in ("x0", "s0", "e0", "height", "width")}
            start = energy(truth[i, :1], potential[i])[0]
            drift = np.abs(energy(predicted[i, ::20], potential[i]) / start - 1).max()
            dx = x[1] - x[0]
            errors = np.abs(sides(predicted[i], potential[i], dx) - sides(truth[i], potential[i], dx)).max(0)
            measured = {
                "mae": float(compared.mae[i].mean()),
                "mae_parts": float(compared.mae_parts[i].mean()),
                "C": float(compared.correlation[i].mean()),
                "norm_drift": float(np.abs(compared.norm[i]).max()),
                "energy_drift": float(drift),
                "reflection_error": float(errors[0]),
                "transmission_error": float(errors[1]),
            }
            shown = [f"{v:.5f}" if key == "C" else v for key, v in measured.items()]
            rows.append([f"{one.stem} {i}", *(f"{v:.3g}" for v in numbers.values()), *shown])
            cases.append({"data": one.name, "row": i, **numbers, **measured})
        if figure is None:
            label = f"{model.registry_name}, {one.stem} {row}"
            times = one.coordinates["time"][history_of(model) :][:frames]
            figure = rollout_figure(
                x, times, truth[row], predicted[row], potential[row], compared, row, label
            )
    keys = ("mae", "mae_parts", "C", "norm_drift", "energy_drift", "reflection_error", "transmission_error")
    known = {key: [c[key] for c in cases if not np.isnan(c[key])] for key in keys}  # free cases have no sides
    means = {key: float(np.mean(values)) if values else float("nan") for key, values in known.items()}
    rows.append(["mean", *[""] * 5, *(f"{v:.5f}" if k == "C" else v for k, v in means.items())])
    head = [
        "case",
        "X0",
        "S0",
        "E0",
        "V",
        "over",
        "MAE",
        "MAE of parts",
        "C",
        "norm",
        "energy",
        "R error",
        "T error",
    ]
    numbers_of = {
        "model": str(path),
        "network": model.registry_name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "frames": frames,
        "split": split,
        "data": {one.name: one.digest for one in data},
        "mean": means,
        "cases": cases,
    }
    assert figure is not None  # there is at least one data set
    title = (
        f"{model.registry_name}, {frames} frames: error and correlation averaged over frames; largest drifts"
    )
    return Finding("rollout", title, head, rows, numbers_of, {"": figure})


def emulators(
    paths: Sequence[str | Path],
    data: Sequence[Dataset],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
) -> Finding:
    """Several emulators on the same cases: means over cases and frames (Tables I and III, Fig. 3).

    Arguments:
        paths: runs, model folders or pretrained names.
        data, split: trajectories.
        frames: predicted.
    """
    rows: list[list[Cell]] = []
    listed: list[dict[str, Any]] = []
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for path in paths:
        model, v_scale = load_emulator(path)
        parts = {}
        for one in data:
            part = one[split]
            pair = predict_frames(model, v_scale, part["psi"][:], part["potential"][:], frames)
            parts[one.stem] = waves_compared(*pair)
        mae, mae_parts, correlation, norm = (
            np.concatenate([getattr(c, key) for c in parts.values()])
            for key in ("mae", "mae_parts", "correlation", "norm")
        )
        name = Path(path).name
        curves[name] = mae.mean(axis=0), correlation.mean(axis=0)
        parameters = sum(p.numel() for p in model.parameters())
        means = [float(a.mean()) for a in (mae, mae_parts, correlation)]
        worst, drift = float(correlation.mean(axis=1).min()), float(np.abs(norm).max())
        shown = [f"{means[2]:.5f}", f"{worst:.5f}"]
        rows.append([name, model.registry_name, parameters, *means[:2], *shown, drift])
        listed.append(
            {
                "run": str(path),
                "network": model.registry_name,
                "parameters": parameters,
                "mae": means[0],
                "mae_parts": means[1],
                "C": means[2],
                "worst_C": worst,
                "norm_drift": drift,
                "C_by_data": {stem: float(c.correlation.mean()) for stem, c in parts.items()},
                "mae_by_data": {stem: float(c.mae.mean()) for stem, c in parts.items()},
                "mae_parts_by_data": {stem: float(c.mae_parts.mean()) for stem, c in parts.items()},
            }
        )
    head = ["run", "network", "parameters", "MAE", "MAE of parts", "C", "worst C", "norm drift"]
    count = len(mae)
    numbers = {
        "frames": frames,
        "cases": count,
        "data": {d.name: d.digest for d in data},
        "emulators": listed,
    }
    figure = packets_figure(data[0].coordinates["time"][1 : frames + 1], curves)
    return Finding(
        "emulators", f"Emulators on {count} cases, {frames} frames", head, rows, numbers, {"": figure}
    )
