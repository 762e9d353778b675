"""Windows of trajectories: which ones a network learns from, and their gathering (dynamics paper, Methods).

A window is history + 1 consecutive frames × width points × 3 channels (Re ψ, Im ψ, V/v_scale). The frames
but the last are what a network sees; the last one's (Re ψ, Im ψ) is its target. x is periodic.

Which windows: of every simulation a share `times` of the start times, without replacement; for each of them
a share `edges` of the left edges, without replacement, those whose window touches the potential with
`weight` times the chance of the others. They are a function of (seed, split, simulation) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.store.dataset import Dataset
from qwell.store.driven import potentials_of, touched_of
from qwell.store.schema import PART_AXIS, SPLITS

RE_IM = len(PART_AXIS.values)  # numbers of a wave function at a point
LEARNED = "train"  # the split whose windows are learned from
ORDERED = 2**16  # windows whose order is worked out at a time


@dataclass(frozen=True)
class Curriculum:
    """Arguments:

    history: frames seen.
    width: points of a window, odd or even.
    times, edges: shares of start times and of left edges, in (0, 1].
    weight: of windows that touch the potential, > 0.
    v_scale: the potential is divided by it.
    seed: of the choice.

    Raises InvalidInput for values out of range.
    """

    history: int = 4
    width: int = 23
    times: float = 0.9
    edges: float = 0.1
    weight: float = 50.0
    v_scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("history", "width"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("times", "edges"):
            if not 0 < getattr(self, name) <= 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it is a share, in (0, 1]")
        for name in ("weight", "v_scale"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be a positive number")
        if self.seed < 0:
            raise InvalidInput(f"seed is {self.seed}; it must be at least 0")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Curriculum:
        """Build from untrusted JSON; InvalidInput unless keys and types are right."""
        known = {f.name: int if f.type == "int" else float for f in fields(cls)}
        if not isinstance(obj, Mapping) or set(obj) != set(known):
            raise InvalidInput(f"not a curriculum: expected the keys {', '.join(known)}")
        for name, kind in known.items():
            if isinstance(obj[name], bool) or not isinstance(obj[name], (int, kind)):
                raise InvalidInput(f"not a curriculum: {name} is {obj[name]!r}")
        return cls(**obj)

    @classmethod
    def of(cls, data: Dataset) -> Curriculum:
        """That of a data set of trajectories; InvalidInput if parts of a merged set have different ones."""
        if "curriculum" not in data.origin:
            raise InvalidInput(f"the parts of {data.path} have different windows; learn from one of them")
        return cls.from_json(data.origin["curriculum"])

    def counts(self, frames: int, points: int) -> tuple[int, int]:
        """Start times chosen a simulation, and left edges chosen for each.

        Arguments:
            frames: of a trajectory, the first included; points: of the ring.

        Raises InvalidInput if a window does not fit.
        """
        starts = frames - self.history - 1  # the very last window is left out, as the authors do
        if starts < 1 or self.width > points:
            raise InvalidInput(
                f"a window of {self.history} + 1 frames × {self.width} points does not fit trajectories of"
                f" {frames} frames × {points} points"
            )
        return max(int(self.times * starts), 1), max(int(self.edges * points), 1)

    def touches(self, potential: np.ndarray) -> np.ndarray:
        """Whether the window at each left edge holds a point with V ≠ 0; (…, N) bool from (…, N)."""
        there = np.concatenate([potential != 0] * 2, axis=-1)
        ends = np.concatenate([np.zeros_like(there[..., :1], int), np.cumsum(there, axis=-1)], axis=-1)
        left = np.arange(potential.shape[-1])
        return np.asarray(ends[..., left + self.width] > ends[..., left])

    def choose(self, split: str, simulation: int, potential: np.ndarray, frames: int) -> np.ndarray:
        """The windows of one simulation, (n, 2) int32: first frame and left edge, in no particular order.

        A potential (frames, N) that changes with time touches a window by what it is at the first frame.

        Drawing without replacement with weights w is keeping the smallest of Exp(1)/w
        (Efraimidis and Spirakis, Inf. Process. Lett. 97, 181 (2006)).
        """
        points = potential.shape[-1]
        times, edges = self.counts(frames, points)
        key = (SPLITS.index(split), simulation)
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))
        chosen = rng.permutation(frames - self.history - 1)[:times]
        touches = self.touches(potential if potential.ndim == 1 else potential[chosen])
        weights = np.where(touches, self.weight, 1.0).astype(np.float32)
        keys = rng.standard_exponential((times, points), dtype=np.float32) / weights
        left = np.argpartition(keys, edges - 1, axis=1)[:, :edges]
        return np.stack([np.repeat(chosen, edges), left.ravel()], axis=1).astype(np.int32)


class Order:
    """A random permutation of 0 … total − 1 that needs no memory: a Feistel network that walks its cycles.

    Arguments:
        total: how many.
        key: seeds it, e.g. (seed, epoch).
    """

    ROUNDS = 4

    def __init__(self, total: int, key: tuple[int, ...]) -> None:
        self.total = total
        self._half = np.uint64(max((max(total - 1, 1).bit_length() + 1) // 2, 1))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = np.random.SeedSequence(key).generate_state(self.ROUNDS, np.uint64)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """The numbers at these positions, int64."""
        value = self._permute(positions.astype(np.uint64))
        while (outside := value >= self.total).any():
            value[outside] = self._permute(value[outside])
        return value.astype(np.int64)

    def _permute(self, value: np.ndarray) -> np.ndarray:
        left, right = value >> self._half, value & self._mask
        for key in self._keys:
            mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & self._mask)
        return (left << self._half) | right


def gather(
    psi: np.ndarray,
    potential: np.ndarray,
    simulation: np.ndarray,
    start: np.ndarray,
    left: np.ndarray,
    curriculum: Curriculum,
) -> np.ndarray:
    """Windows out of trajectories in memory or memory-mapped.

    Arguments:
        psi: (simulations, frames, N, 2) float32, contiguous.
        potential: (simulations, N) float32, divided by v_scale already; or (simulations, frames, N).
        simulation, start, left: which, (b,) each.

    Returns: (b, history + 1, width, 3) float32.
    """
    count, points, frames = len(simulation), psi.shape[2], curriculum.history + 1
    out = np.empty((count, frames, curriculum.width, RE_IM + 1), np.float32)
    over = left > points - curriculum.width  # these windows go round the ring
    for rows, wrapped in ((np.flatnonzero(~over), False), (np.flatnonzero(over), True)):
        if not len(rows):
            continue
        s, times, edge = simulation[rows], start[rows, None] + np.arange(frames), left[rows]
        if wrapped:
            where = (edge[:, None] + np.arange(curriculum.width)) % points
            part = psi[s[:, None, None], times[:, :, None], where[:, None, :]]
            if potential.ndim == 3:
                out[rows, ..., RE_IM] = potential[s[:, None, None], times[:, :, None], where[:, None, :]]
            else:
                out[rows, ..., RE_IM] = potential[s[:, None], where][:, None, :]
        else:
            part = _runs(psi, curriculum.width)[s[:, None], times, edge[:, None]]
            part = part.view(np.float32).reshape(len(rows), frames, curriculum.width, RE_IM)
            if potential.ndim == 3:
                v = _runs(potential[..., None], curriculum.width)[s[:, None], times, edge[:, None]]
            else:
                v = _runs(potential[:, None, :, None], curriculum.width)[s, 0, edge]
            out[rows, ..., RE_IM] = v.view(np.float32).reshape(len(rows), -1, curriculum.width)
        out[rows, ..., :RE_IM] = part
    return out


def _runs(array: np.ndarray, width: int) -> np.ndarray:
    """Every run of `width` neighbouring points as one opaque value: (s, t, N, p) → (s, t, N − width + 1)."""
    s, t, n, parts = array.shape
    step = parts * array.itemsize
    return np.ndarray(
        (s, t, n - width + 1),
        np.dtype((np.void, width * step)),
        array,
        strides=(t * n * step, n * step, step),
    )


class Windows:
    """The windows of a curriculum over trajectories, in batches of a seeded order.

    Arguments:
        psi: (simulations, frames, N, 2) float32, contiguous, in memory or memory-mapped.
        potential: (simulations, N), or (simulations, frames, N) if it changes with time, Hartree.
        curriculum: which windows.
        split: what the trajectories are of; part of the seed.
        simulations: their numbers in the split; by default 0, 1, 2 …
        touched: where there is a potential to touch, in one of these shapes; by default the potential.
    """

    def __init__(
        self,
        psi: np.ndarray,
        potential: np.ndarray,
        curriculum: Curriculum,
        split: str = LEARNED,
        simulations: np.ndarray | None = None,
        touched: np.ndarray | None = None,
    ) -> None:
        if psi.dtype != np.float32 or not psi.flags.c_contiguous:
            raise InvalidInput("windows are gathered from contiguous float32 trajectories")
        self.psi, self.curriculum = psi, curriculum
        self.potential = np.ascontiguousarray(potential / curriculum.v_scale, dtype=np.float32)
        numbers = np.arange(len(psi)) if simulations is None else simulations
        pairs = zip(numbers, potential if touched is None else touched, strict=True)
        self.index = np.stack([curriculum.choose(split, int(i), v, psi.shape[1]) for i, v in pairs])

    @classmethod
    def of(cls, data: Dataset, split: str = LEARNED, curriculum: Curriculum | None = None) -> Windows:
        """Read all trajectories of a split into memory; the curriculum is the data set's unless given."""
        part = data.require("trajectories")[split]
        psi = np.empty((len(part), *part.shape_of("psi")), np.float32)
        part["psi"].read_into(0, len(part), psi)
        curriculum = curriculum or Curriculum.of(data)
        potential, touched = potentials_of(data, split), touched_of(data, split)
        return cls(psi, potential, curriculum, split, touched=touched)

    def __len__(self) -> int:
        count: int = self.index.shape[0] * self.index.shape[1]
        return count

    def at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Simulation, first frame and left edge of windows by their number, 0 … len − 1."""
        simulation, window = np.divmod(rows, self.index.shape[1])
        chosen = self.index[simulation, window]
        return simulation, chosen[:, 0], chosen[:, 1]

    def batches(self, batch: int, seed: int = 0, epoch: int = 0, first: int = 0) -> Iterator[np.ndarray]:
        """Every window once, (batch, history + 1, width, 3) float32; an incomplete last batch is left out.

        Arguments:
            seed, epoch: decide the order, alone.
            first: batch to begin with, for a resume.
        """
        order, total = Order(len(self), (seed, epoch)), len(self) // batch * batch
        per = max(ORDERED // batch, 1) * batch
        for begin in range(first * batch, total, per):
            simulation, start, left = self.at(order(np.arange(begin, min(begin + per, total))))
            for i in range(0, len(left), batch):
                some = slice(i, i + batch)
                yield gather(
                    self.psi, self.potential, simulation[some], start[some], left[some], self.curriculum
                )


def statistics(
    data: Dataset, split: str = LEARNED, curriculum: Curriculum | None = None
) -> dict[str, float | int]:
    """How many windows a split of trajectories has, and which share of them touches the potential.

    `touching_unweighted` is the share of all windows there are. Only potentials are read. The curriculum is
    the data set's unless given.
    """
    part = data.require("trajectories")[split]
    curriculum = curriculum or Curriculum.of(data)
    frames = part.shape_of("psi")[0]
    times, edges = curriculum.counts(frames, part.shape_of("psi")[1])
    touching, all_touching = [], []
    for i, potential in enumerate(touched_of(data, split)):
        touches = curriculum.touches(potential)
        start, left = curriculum.choose(split, i, potential, frames).T
        touching.append((touches[left] if touches.ndim == 1 else touches[start, left]).mean())
        all_touching.append(touches.mean())
    return {
        "windows": len(part) * times * edges,
        "per_simulation": times * edges,
        "touching": float(np.mean(touching)) if touching else 0.0,
        "touching_unweighted": float(np.mean(all_touching)) if touching else 0.0,
    }
