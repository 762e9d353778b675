"""Emulators against the truth, frame by frame (dynamics paper, Table I, Figs. 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.emulation import gallery_figure, maps_figure, packets_figure, rollout_figure
from qwell.models.layers import Network
from qwell.physics.propagators.settings import energy, setting_of
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.store.driven import is_driven, potentials_of
from qwell.studies.finding import Cell, Finding, check_index
from qwell.studies.probes.asked import OfTrajectories
from qwell.studies.probes.emulator import learned, load_emulator
from qwell.train.calibration import COVERAGE
from qwell.train.config import MEASURED
from qwell.train.horizon import horizon_in, relative_errors
from qwell.train.metrics import WavesCompared, waves_compared
from qwell.train.rollout import history_of, predict_frames
from qwell.train.runs import trained_on

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
    "within": f"within {COVERAGE:.0%}",
}

CASE_HEAD = ["case", *NUMBERS.values(), *ERRORS.values()]


def sides(psi: np.ndarray, potential: np.ndarray, dx: float) -> np.ndarray:
    """Probability left and right of where the potential is not zero, (…, 2), from ψ (…, n); NaN if free."""
    where = np.flatnonzero(potential)
    density = np.abs(psi).astype(float) ** 2 * dx
    if not len(where):
        return np.full((*psi.shape[:-1], 2), np.nan)
    return np.stack([density[..., : where[0]].sum(-1), density[..., where[-1] + 1 :].sum(-1)], axis=-1)


def _cases(
    data: Dataset,
    split: str,
    predicted: np.ndarray,
    truth: np.ndarray,
    compared: WavesCompared,
    bound: np.ndarray | None,
) -> list[dict[str, Any]]:
    """What is said of each simulation: its numbers, and the errors of its prediction.

    Arguments:
        data, split: where the simulations are.
        predicted, truth: (cases, frames, n) complex.
        compared: the two, frame by frame.
        bound: on the relative error of each frame, if the emulator was calibrated, (frames,).
    """
    part, (ring, how), driven = data[split], setting_of(data.origin), is_driven(data)
    cases = []
    for i, potential in enumerate(part["potential"][:]):
        drift, errors = np.nan, np.full(2, np.nan)  # in a potential that changes the energy does too
        if not driven:
            start = energy(truth[i, :1], potential, ring, how.hamiltonian)[0]
            drift = np.abs(energy(predicted[i, ::20], potential, ring, how.hamiltonian) / start - 1).max()
            errors = sides(predicted[i], potential, ring.dx) - sides(truth[i], potential, ring.dx)
            errors = np.abs(errors).max(0)
        cases.append(
            {
                "data": data.name,
                "row": i,
                **{name: float(part[name][i]) for name in NUMBERS if name in part.fields},
                "mae": float(compared.mae[i].mean()),
                "mae_parts": float(compared.mae_parts[i].mean()),
                "C": float(compared.correlation[i].mean()),
                "norm_drift": float(np.abs(compared.norm[i]).max()),
                "energy_drift": float(drift),
                "reflection_error": float(errors[0]),
                "transmission_error": float(errors[1]),
                "within": share_within(predicted[i], truth[i], bound),
            }
        )
    return cases


@dataclass(frozen=True)
class _Bound:
    """On the relative error of each frame (frames,), if an emulator was calibrated; and by what data."""

    values: np.ndarray | None = None
    count: int = 0
    digest: str | None = None

    @classmethod
    def of(cls, path: str | Path, frames: int) -> _Bound:
        about = trained_on(path)
        if (horizon := horizon_in(about)) is None:
            return cls()
        return cls(horizon.bound(frames), horizon.count, about["horizon"].get("digest"))

    def made_by(self, data: Dataset, split: str) -> bool:
        """Whether these very simulations made it, so that they say nothing of how often it holds."""
        return self.values is not None and (split, data.digest) == (MEASURED, self.digest)

    def on(self, data: Dataset, split: str) -> np.ndarray | None:
        """What simulations are compared with; None where they made it."""
        return None if self.made_by(data, split) else self.values

    def to_json(self) -> list[float | None] | None:
        """The values, null where there is no bound; None if the emulator was not calibrated."""
        if self.values is None:
            return None
        return [value if np.isfinite(value) else None for value in self.values.tolist()]

    def told(self, data: Sequence[Dataset], split: str) -> str:
        """What the last column says, in words."""
        if not self.count:
            return ""
        own = [one.name for one in data if self.made_by(one, split)]
        but = f", but not of {', '.join(own)}, which made the bound" if own else ""
        return f"; frames within their {COVERAGE:.0%} bound, by {self.count} simulations{but}"


def share_within(predicted: np.ndarray, truth: np.ndarray, bound: np.ndarray | None) -> float:
    """Of the frames of a case (frames, n) that have a bound, the share that keeps it; NaN without any."""
    if bound is None or not np.isfinite(bound).any():
        return float("nan")
    known = np.isfinite(bound)
    return float((relative_errors(predicted, truth)[known] <= bound[known]).mean())


def _row(name: str, case: Mapping[str, float]) -> list[Cell]:
    """A line of the table: what a case is, as far as it has numbers, and its errors."""
    return [name, *(f"{case[key]:.3g}" if key in case else "" for key in NUMBERS), *_cells(case)]


def _cells(errors: Mapping[str, float]) -> list[Cell]:
    """Errors as a table shows them."""
    return [f"{errors[key]:.5f}" if key == "C" else errors[key] for key in ERRORS]


def _means(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of every error, over the cases that have it: free ones have no sides."""
    known = {key: [c[key] for c in cases if not np.isnan(c[key])] for key in ERRORS}
    return {key: float(np.mean(values)) if values else float("nan") for key, values in known.items()}


def _told(frames: int, keep_norm: bool) -> str:
    """How far was predicted, in words."""
    return f"{frames} frames" + (", each brought to the true norm" if keep_norm else "")


def rollouts(
    path: str | Path,
    data: Sequence[Dataset],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
    row: int = OfTrajectories.row,
    device: str = "cpu",
    anyway: bool = OfTrajectories.anyway,
    keep_norm: bool = OfTrajectories.keep_norm,
) -> Finding:
    """Roll an emulator out over every simulation of a split of one or more data sets.

    Arguments:
        path: a run, model folder or pretrained name.
        data: trajectories.
        frames: predicted from a seed of true frames.
        row: simulation of the first data set that is drawn.
        anyway, keep_norm: see `load_emulator` and `rollout`.

    Raises InvalidInput for data that the emulator cannot be rolled out on.
    """
    for one in data:
        model, v_scale = load_emulator(path, *setting_of(one.origin), device, anyway)
    check_index(row, data[0], split)
    bound = _Bound.of(path, frames)
    cases: list[dict[str, Any]] = []
    figures: dict[str, Figure] = {}
    last: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    for one in data:
        waves, potential = (one[split]["psi"][:], potentials_of(one, split)), one[split]["potential"][:]
        predicted, truth = predict_frames(model, v_scale, *waves, frames, keep_norm)
        compared = waves_compared(predicted, truth)
        cases += _cases(one, split, predicted, truth, compared, bound.on(one, split))
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
    means = _means(cases)
    rows = [*(_row(f"{Path(c['data']).stem} {c['row']}", c) for c in cases), _row("mean", means)]
    asked = {"frames": frames, "keep_norm": keep_norm, "split": split}
    numbers = {
        "model": str(path),
        "network": model.registry_name,
        **learned(path),
        "parameters": sum(p.numel() for p in model.parameters()),
        **asked,
        "data": {one.name: one.digest for one in data},
        "bound": bound.to_json(),
        "mean": means,
        "cases": cases,
    }
    title = f"{model.registry_name}, {_told(frames, keep_norm)}: errors averaged over frames; largest drifts"
    return Finding("rollout", title + bound.told(data, split), CASE_HEAD, rows, numbers, figures)


EMULATOR_HEAD = {
    "network": "network",
    "parameters": "parameters",
    "mae": "MAE",
    "mae_parts": "MAE of parts",
    "C": "C",
    "worst_C": "worst C",
    "norm_drift": "norm drift",
}


def _over_cases(parts: Mapping[str, WavesCompared], key: str) -> np.ndarray:
    """One error of all cases of all data sets, (cases, frames)."""
    return np.concatenate([getattr(compared, key) for compared in parts.values()])


def _measured(
    path: str | Path, model: Network, parts: Mapping[str, WavesCompared], met: np.ndarray
) -> dict[str, Any]:
    """What is said of an emulator.

    Arguments:
        parts: data set → its rollouts compared with the truth.
        met: (cases,), whether a case has a potential.
    """
    errors = {"mae": "mae", "mae_parts": "mae_parts", "C": "correlation"}
    values = {name: _over_cases(parts, key) for name, key in errors.items()}
    meeting = {name: float(v[met].mean()) for name, v in values.items()} if met.any() else {}
    return {
        "run": str(path),
        "network": model.registry_name,
        **learned(path),
        "parameters": sum(p.numel() for p in model.parameters()),
        **{name: float(v.mean()) for name, v in values.items()},
        "worst_C": float(values["C"].mean(axis=1).min()),
        "norm_drift": float(np.abs(_over_cases(parts, "norm")).max()),
        "with_potential": {"cases": int(met.sum()), **meeting} if meeting else None,
        **{
            f"{name}_by_data": {stem: float(getattr(c, key).mean()) for stem, c in parts.items()}
            for name, key in errors.items()
        },
    }


def emulators(
    paths: Sequence[str | Path],
    data: Sequence[Dataset],
    split: str = OfTrajectories.split,
    frames: int = OfTrajectories.frames,
    anyway: bool = OfTrajectories.anyway,
    keep_norm: bool = OfTrajectories.keep_norm,
) -> Finding:
    """Several emulators on the same cases: means over cases and frames (Tables I and III, Fig. 3).

    Arguments:
        paths: runs, model folders or pretrained names.
        data, split: trajectories.
        frames: predicted.
        anyway, keep_norm: see `rollouts`.
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
            waves = part["psi"][:], potentials_of(one, split)
            free.append(~waves[1].any(axis=tuple(range(1, waves[1].ndim))))
            pair = predict_frames(model, v_scale, *waves, frames, keep_norm)
            parts[one.stem] = waves_compared(*pair)
            if len(parts) == 1:
                shown[Path(path).name], truth = pair[0][0], pair[1][0]
        entry = _measured(path, model, parts, met=~np.concatenate(free))
        listed.append(entry)
        name = Path(path).name
        curves[name] = _over_cases(parts, "mae").mean(axis=0), _over_cases(parts, "correlation").mean(axis=0)
        rows.append([name, *(entry[key] for key in EMULATOR_HEAD)])
        rows[-1][5:7] = [f"{entry['C']:.5f}", f"{entry['worst_C']:.5f}"]
    count, digests = len(np.concatenate(free)), {d.name: d.digest for d in data}
    numbers = {"frames": frames, "keep_norm": keep_norm, "cases": count, "data": digests, "emulators": listed}
    times = data[0].coordinates["time"][1 : frames + 1]
    figures = {
        "": packets_figure(times, curves),
        "maps": maps_figure(data[0].coordinates["x"], times, truth, shown, f"{data[0].stem} 0"),
    }
    title, head = f"Emulators on {count} cases, {_told(frames, keep_norm)}", ["run", *EMULATOR_HEAD.values()]
    return Finding("emulators", title, head, rows, numbers, figures)
