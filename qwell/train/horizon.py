"""How far an emulator's waves are off, by horizon: split conformal prediction of the error of each frame.

n simulations of the law that was learned, not learned from, have n relative errors e = ‖ψ̂ − ψ‖/‖ψ‖ at a
frame. The ⌈(n + 1)c⌉-th smallest of them is a bound that another such simulation keeps at that frame with
probability c at least, whatever the emulator is (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qwell.errors import CheckpointError, InvalidInput
from qwell.models.layers import Network
from qwell.store.dataset import Dataset
from qwell.store.driven import potentials_of
from qwell.train.calibration import COVERAGE
from qwell.train.config import MEASURED
from qwell.train.rollout import history_of, predict_frames

COVERAGES = (0.5, 0.8, COVERAGE)
LEAST, MOST = 4, 40  # simulations to calibrate with
MOST_FRAMES = 1000


@dataclass(frozen=True)
class Horizon:
    """Bounds on the relative error of each predicted frame.

    Arguments:
        count: simulations that it was calibrated with.
        bounds: (coverages, frames), infinite where there were too few simulations.
    """

    count: int
    bounds: np.ndarray

    def bound(self, frames: int, coverage: float = COVERAGE) -> np.ndarray:
        """Of the first frames (frames,); infinite beyond those that it was calibrated for.

        Raises InvalidInput for a coverage that was not calibrated.
        """
        if coverage not in COVERAGES:
            raise InvalidInput(f"coverage is {coverage}; choose one of {', '.join(map(str, COVERAGES))}")
        known = self.bounds[COVERAGES.index(coverage), :frames]
        return np.concatenate([known, np.full(frames - len(known), np.inf)])

    @property
    def unbounded(self) -> dict[float, int]:
        """The coverages that there were too few simulations for, and how many each of them takes."""
        takes = {c: math.ceil(c / (1 - c) - 1e-9) for c in COVERAGES}  # the least n ≥ (n + 1)c
        return {c: least for c, least in takes.items() if self.count < least}

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, four digits rounded up, null for infinity; `from_json` is the inverse."""
        rows = [[_up(v) if math.isfinite(v) else None for v in row] for row in self.bounds]
        return {"count": self.count, "coverages": list(COVERAGES), "bounds": rows}

    @classmethod
    def from_json(cls, obj: Any) -> Horizon:
        """Build from a model's files; CheckpointError if they are damaged."""
        try:
            rows = [[np.inf if v is None else float(v) for v in row] for row in obj["bounds"]]
            made = cls(int(obj["count"]), np.array(rows))
            fits = made.bounds.ndim == 2 and made.bounds.shape[0] == len(COVERAGES) and made.count >= 1
            if not fits or obj["coverages"] != list(COVERAGES) or not (made.bounds >= 0).all():
                raise ValueError("coverages and bounds do not fit")
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the calibration of the emulator is damaged: {error}") from error
        return made


def _up(value: float) -> float:
    """Four digits, no less than the value."""
    rounded = float(f"{value:.3e}")
    return rounded if rounded >= value else float(f"{value * (1 + 1e-3):.3e}")


def relative_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """‖ψ̂ − ψ‖/‖ψ‖ of waves (…, n) complex, (…); infinite where a prediction is no number."""
    size = np.linalg.norm(truth, axis=-1)
    error = np.linalg.norm(predicted - truth, axis=-1) / np.maximum(size, np.finfo(np.float32).tiny)
    return np.nan_to_num(error, nan=np.inf)


def horizon_of(model: Network, v_scale: float, data: Dataset, frames: int | None = None) -> Horizon:
    """Calibrate an emulator with simulations of a validation split.

    Arguments:
        model, v_scale: in eval mode; its potentials are divided by v_scale.
        data: trajectories; at most the first 40 of its validation split are used.
        frames: predicted; all there are by default, at most 1,000.

    Raises InvalidInput for fewer than 4 simulations, or frames that are not there.
    """
    rows = slice(0, min(len(data[MEASURED]) if MEASURED in data.splits else 0, MOST))
    if rows.stop < LEAST:
        raise InvalidInput(
            f"{data.path} has {rows.stop} simulations in {MEASURED}, too few to calibrate an emulator with;"
            f" give trajectories with --validation {LEAST} or more"
        )
    psi = data[MEASURED]["psi"][rows]
    frames = frames or min(psi.shape[1] - history_of(model), MOST_FRAMES)
    pair = predict_frames(model, v_scale, psi, potentials_of(data, MEASURED, rows), frames)
    errors = np.sort(relative_errors(*pair), axis=0)
    at = [math.ceil((len(errors) + 1) * c) for c in COVERAGES]
    bounds = [errors[k - 1] if k <= len(errors) else np.full(frames, np.inf) for k in at]
    return Horizon(len(errors), np.array(bounds))


def horizon_in(metadata: Mapping[str, Any]) -> Horizon | None:
    """That of an emulator which says so much of itself (`trained_on`); None if it was not calibrated."""
    found = metadata.get("horizon")
    return None if found is None else Horizon.from_json(found)
