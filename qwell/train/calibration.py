"""Intervals of predicted energies that cover as often as they say, and marks for unfamiliar potentials.

Split conformal prediction. One half of the calibration potentials teaches a scale s_i(v) of the error of
level i, log s_i linear in what is seen of a potential before its energies are known: how far it lies from the
mean along groups of the leading modes of the training potentials, how much of it lies outside these, and how
close the predicted levels are. The other half, of n potentials, gives the scores |E_i − f_i|/s_i, and of each
level q_i, the ⌈(n + 1)c⌉-th smallest. For a potential that is exchangeable with these

    P( E_i ∈ [f_i − q_i s_i, f_i + q_i s_i] ) ≥ c,    and < c + 1/(n + 1) without ties,

whatever the network. That holds on average over potentials of the training's law, not for each of them, nor
for others: so a p-value says how rare a potential at least so unusual is among those of calibration, by
Mahalanobis' distance in the leading modes and by what lies outside them, either of them large or small
(Bonferroni's correction for the four). Below `UNLIKE` it is marked, and has no interval; among the others the
promise is then P ≥ (c − UNLIKE)/(1 − UNLIKE), .899 for .9. And s is never below
its median in calibration: potentials that seem easier, as smoother ones of another law do, need not be.

Potentials of another law that happen to look familiar are not protected by this: they are what the mark left
of a set which it mostly took away. So sets are judged too. Of m potentials of the training's law the number
beyond the K-th most extreme of n in calibration is beta-binomial, (m, K, n + 1 − K), since all orders of the
n + m are equally likely; with K the most for which one potential is marked, each of the four tails has its
p-value, and the smallest times four is that of the set. Below `FOREIGN` the whole set is marked.

Sources: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World" (2005); J. Lei, M. G'Sell,
A. Rinaldo, R. Tibshirani, L. Wasserman, "Distribution-Free Predictive Inference for Regression", J. Am. Stat.
Assoc. 113, 1094 (2018), section 5.2 for the local scale.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qwell.errors import CheckpointError, InvalidInput

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
COVERAGE = 0.9  # unless another is asked for
UNLIKE = 0.01  # p-value below which a potential is not like those of the training
FOREIGN = 0.001  # p-value below which potentials, as a set, are not of the law of the training
TAILS = 4  # two distances, each too large or too small
LEAST = 1000  # potentials that calibrate
VARIANCE = 0.9999  # share of the training potentials' that the leading modes hold
MOST_MODES = 32
GROUPS = 6  # of leading modes, for the scale
RIDGE = 1e-3
TAIL = 200  # numbers that describe a distribution of scores
TINY = 1e-12


@dataclass(frozen=True)
class Calibration:
    """What makes intervals and p-values; see the module.

    Arguments:
        count: n, the potentials that gave the scores.
        mean: (points,) of the training potentials.
        modes: (modes, points), their leading principal axes, orthonormal.
        spread: (modes,) standard deviations along them.
        bounds: (2, features), what features of the scale are cut to: it is not extrapolated.
        weights: (features + 1, levels) of log s, the last row constant.
        least: (levels,), the smallest s.
        quantiles: (coverages, levels), q for each of `COVERAGES`.
        distances: (2, tail), ascending scores of distance within and outside the modes.
        ranks: (tail,), how many of the n have at least such a score; few are left out at both ends.
    """

    count: int
    mean: np.ndarray
    modes: np.ndarray
    spread: np.ndarray
    bounds: np.ndarray
    weights: np.ndarray
    least: np.ndarray
    quantiles: np.ndarray
    distances: np.ndarray
    ranks: np.ndarray

    def half_widths(
        self,
        potential: np.ndarray,
        energy: np.ndarray,
        coverage: float = COVERAGE,
    ) -> np.ndarray:
        """q_i s_i(v) of predicted energies (n, levels) of potentials (n, points), in the energies' unit.

        Infinite where there were too few potentials to calibrate a coverage with.

        Raises InvalidInput for a coverage that was not calibrated.
        """
        check_coverage(coverage)
        return self.quantiles[COVERAGES.index(coverage)] * self._scale(potential, energy)

    def p_values(self, potential: np.ndarray) -> np.ndarray:
        """How rare potentials at least as unusual as these (n, points) are: (n,), 4/(count + 1) to 1."""
        return np.minimum(1.0, TAILS * (1 + np.min(self._beyond(potential), axis=0)) / (1 + self.count))

    def set_p_value(self, potential: np.ndarray) -> float:
        """How rare sets are of which so many are unusual, if all of (m, points) are of the training's law.

        Below `FOREIGN` the set is of another law, and its intervals promise nothing, those of potentials that
        are not marked included. A single potential is judged by its own p-value: this is never below that.
        """
        from scipy.stats import betabinom  # takes half a second

        extreme = math.ceil(UNLIKE * (1 + self.count) / TAILS) - 1  # K
        if extreme < 1 or not len(potential):
            return 1.0
        marked = (self._beyond(potential) < extreme).sum(axis=1)
        each = betabinom.sf(marked - 1, len(potential), extreme, self.count + 1 - extreme)
        return float(min(1.0, TAILS * each.min()))

    def _beyond(self, potential: np.ndarray) -> np.ndarray:
        """How many of those of calibration are at least as far out in each tail, (TAILS, n)."""
        each = []
        for score, known in zip(self._distances(potential), self.distances, strict=True):
            above = np.append(self.count, self.ranks - 1)[np.searchsorted(known, score, side="left")]
            below = np.append(self.count - self.ranks, self.count)[
                np.searchsorted(known, score, side="right")
            ]
            each += [above, below]
        return np.array(each)

    def _coordinates(self, potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Along the modes in standard deviations, and the mean square of what lies outside them."""
        centred = potential.astype(float) - self.mean
        along = centred @ self.modes.T
        outside = ((centred - along @ self.modes) ** 2).mean(axis=1)
        return along / self.spread, outside

    def _distances(self, potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along, outside = self._coordinates(potential)
        return (along**2).sum(axis=1), outside

    def _features(self, potential: np.ndarray, energy: np.ndarray) -> np.ndarray:
        along, outside = self._coordinates(potential)
        groups = [(part**2).mean(axis=1) for part in np.array_split(along, GROUPS, axis=1) if part.shape[1]]
        gaps = np.abs(np.diff(energy, axis=1)) + TINY
        return np.log(np.column_stack([*groups, outside, gaps]) + TINY)

    def _scale(self, potential: np.ndarray, energy: np.ndarray) -> np.ndarray:
        features = np.clip(self._features(potential, energy), *self.bounds)
        return np.maximum(np.exp(features @ self.weights[:-1] + self.weights[-1]), self.least)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON: arrays in base64 of their float32."""
        return {"count": self.count} | {name: _packed(getattr(self, name)) for name in _ARRAYS}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any], points: int, levels: int) -> Calibration:
        """Build from untrusted JSON; CheckpointError if it is none of so many points and levels."""
        try:
            arrays = {name: _unpacked(obj[name]) for name in _ARRAYS}
            made = cls(int(obj["count"]), **arrays)
            modes, features = len(made.modes), made.bounds.shape[1]
            shapes = {
                "mean": (points,), "modes": (modes, points), "spread": (modes,), "bounds": (2, features),
                "weights": (features + 1, levels), "least": (levels,), "quantiles": (len(COVERAGES), levels),
                "distances": (2, len(made.ranks)), "ranks": (len(made.ranks),),
            }  # fmt: skip
            wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
            expected = min(GROUPS, modes) + 1 + levels - 1
            if any(np.isnan(array).any() for array in arrays.values()):
                raise ValueError("it holds NaN")
            if wrong or features != expected or not (made.spread > 0).all() or made.count < 1:
                raise ValueError(f"shapes do not fit: {', '.join(wrong) or 'features'}")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(f"the calibration of the model is damaged: {error}") from error
        return made


def check_coverage(coverage: float) -> None:
    """Raise InvalidInput for a coverage that is not among `COVERAGES`."""
    if coverage not in COVERAGES:
        raise InvalidInput(f"coverage is {coverage}; choose one of {', '.join(map(str, COVERAGES))}")


def law_of(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recipe of the data that a model was calibrated by, as far as its record says: that of its training,
    if nobody calibrated it since; {} if it says nothing."""
    for kept in (about.get("calibration"), about):
        if isinstance(kept, Mapping) and isinstance(recipe := kept.get("recipe"), Mapping):
            return recipe
    return {}


def other_law(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what the energies of a data set follow another law than those that a model learned: "mesh" or
    "matter"; "" if they do not, or if one of the recipes does not say it.

    The potentials may well be the same, so that no p-value of theirs can tell.
    """
    ours, theirs = _laws(own), _laws(other)
    if not (ours and theirs):
        return ""
    if {mesh for mesh, _ in ours} != {mesh for mesh, _ in theirs}:
        return "mesh"
    return "matter" if {matter for _, matter in ours} != {matter for _, matter in theirs} else ""


def _laws(recipe: object) -> set[tuple[int, str]]:
    """Mesh and matter of every part of a data set; none of what does not say how its energies were made."""
    if not isinstance(recipe, Mapping):
        return set()
    inner = recipe.get("of")
    if isinstance(inner, list):
        parts = [_laws(part.get("recipe") if isinstance(part, Mapping) else None) for part in inner]
        return set().union(*parts) if all(parts) else set()
    if inner is not None:
        return _laws(inner)
    if not isinstance(recipe.get("mesh"), int) or "kernel" not in recipe:
        return set()
    matter = recipe.get("matter")
    return {(recipe["mesh"], "" if matter is None else f"{matter} at {recipe.get('sigma')}")}


def trusted(
    calibration: Calibration,
    potential: np.ndarray,
    predicted: np.ndarray,
    energy: np.ndarray,
    laws: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> dict[str, Any]:
    """How intervals fare on a set of potentials (n, points) with predicted and true energies (n, levels).

    Arguments:
        laws: the recipes of what was calibrated for, and of the set.

    Returns: `covered`, the share of levels in their 90 % intervals, of potentials that are not marked, None
    if all are; `marked`, the share that is; `set_marked`, why all of the set is of another law, so that its
    intervals promise nothing: "mesh" or "matter" of the recipes, "potentials" by `set_p_value`, or "".
    """
    like = calibration.p_values(potential) >= UNLIKE
    inside = np.abs(predicted - energy)[like] <= calibration.half_widths(potential[like], predicted[like])
    why = other_law(*laws)
    if not why and calibration.set_p_value(potential) < FOREIGN:
        why = "potentials"
    covered = float(inside.mean()) if inside.size else None
    return {"covered": covered, "marked": float(1 - like.mean()), "set_marked": why}


def calibration_in(metadata: Mapping[str, Any], points: int, levels: int) -> Calibration | None:
    """That of a model which says so much of itself (`trained_on`); None if it was not calibrated."""
    found = metadata.get("calibration")
    return None if found is None else Calibration.from_json(found, points, levels)


def in_short(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a model says of itself, with how many it was calibrated by instead of its calibration."""
    counts = {
        name: found.get("count")
        for name in ("calibration", "horizon")
        if isinstance(found := metadata.get(name), dict)
    }
    return {**metadata, **counts}


_ARRAYS = ("mean", "modes", "spread", "bounds", "weights", "least", "quantiles", "distances", "ranks")


def calibrate(
    training: np.ndarray,
    potential: np.ndarray,
    predicted: np.ndarray,
    energy: np.ndarray,
) -> Calibration:
    """Calibrate a network.

    Arguments:
        training: potentials that it learned from, (m, points), some thousands.
        potential: others of the same law, which it did not learn from, (n, points); at least 1,000.
        predicted, energy: its energies of these, and the true ones, (n, levels).

    Raises InvalidInput for too few.
    """
    if len(potential) < LEAST:
        raise InvalidInput(
            f"{len(potential):,} potentials are too few to calibrate with; give at least {LEAST:,}"
        )
    mean, modes, spread = _principal(training.astype(float))
    half, residual = len(potential) // 2, np.abs(energy - predicted)
    levels, count = energy.shape[1], len(potential) - half
    none = {"bounds": np.zeros((2, 0)), "weights": np.zeros((0, levels)), "least": np.zeros(levels)}
    none |= {"quantiles": np.zeros((0, levels)), "distances": np.zeros((2, 0)), "ranks": np.zeros(0)}
    taught = Calibration(count, mean, modes, spread, **none)
    features = taught._features(potential, predicted)
    bounds = np.quantile(features[:half], [0.005, 0.995], axis=0)
    taught = replace(taught, bounds=bounds, weights=_fit(np.clip(features[:half], *bounds), residual[:half]))
    taught = replace(taught, least=np.median(taught._scale(potential[:half], predicted[:half]), axis=0))
    scores = np.sort(residual[half:] / taught._scale(potential[half:], predicted[half:]), axis=0)
    at = [math.ceil((count + 1) * coverage) for coverage in COVERAGES]
    quantiles = np.array([scores[k - 1] if k <= count else np.full(levels, np.inf) for k in at])
    distances = np.sort(np.array(taught._distances(potential[half:])), axis=1)
    ends = np.unique(np.geomspace(1, count, TAIL).astype(int)) - 1
    kept = np.union1d(ends, count - 1 - ends)
    ranks = (count - kept).astype(float)
    return replace(taught, quantiles=quantiles, distances=distances[:, kept], ranks=ranks)


def _principal(training: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, leading principal axes, and standard deviations along them."""
    mean = training.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(training - mean, rowvar=False))
    variances, axes = variances[::-1], axes[:, ::-1]
    share = np.cumsum(variances) / variances.sum()
    count = min(int(np.searchsorted(share, VARIANCE)) + 1, MOST_MODES)
    return mean, axes[:, :count].T, np.sqrt(np.maximum(variances[:count], TINY))


def _fit(features: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Weights of log |residual| by ridge regression, (features + 1, levels)."""
    centre, width = features.mean(axis=0), features.std(axis=0) + TINY
    x = (features - centre) / width
    y = np.log(residual + TINY)
    slopes = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))
    slopes = slopes / width[:, None]
    return np.vstack([slopes, y.mean(axis=0) - centre @ slopes])


def _packed(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}


def _unpacked(obj: Any) -> np.ndarray:
    shape = [int(n) for n in obj["shape"]]
    return np.frombuffer(base64.b64decode(obj["float32"], validate=True), "<f4").reshape(shape).astype(float)
