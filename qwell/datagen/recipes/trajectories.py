"""Recipes of trajectories: wave packets × potentials on a ring, propagated frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from typing import Any

import numpy as np

from qwell import plugins
from qwell.errors import InvalidInput, unknown
from qwell.physics.barriers import Potential
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import BOUNDED, METHODS, Propagation, energy
from qwell.physics.propagators.terms import error_bound, frame_blocks
from qwell.physics.ring import Ring
from qwell.physics.waves import PARTS, as_complex
from qwell.store.schema import DTYPES, PART_AXIS, SPLITS, Coordinate, Field, Plan, SplitLayout
from qwell.store.windows import Curriculum

DEFAULT_SHARD_ROWS = 32
BLOCK = 8  # simulations propagated together: what they give must not depend on how shards are cut
ENERGY_FRAMES = 11  # at which the energy is looked at
NUMBERS = ("x0", "s0", "e0")
# Largest |energy − energy(0)|/max(1, |energy(0)|) that a method may show, by precision. The splittings
# conserve the energy of a Hamiltonian near H; how near, the substep decides.
ENERGY_DRIFT = {"float64": 1e-8, "float32": 2e-3}


@dataclass(frozen=True)
class Family:
    """Every packet x0 × s0 × e0 in every potential; packets run fastest, then potentials.

    Arguments:
        x0, s0, e0: of the packets, see `packet`.
        potentials: see `Potential`.
        packet: "gaussian", "triangle" or "square".
    """

    x0: tuple[float, ...] = (10.0,)
    s0: tuple[float, ...] = (2.0,)
    e0: tuple[float, ...] = (5.0,)
    potentials: tuple[Potential, ...] = (Potential(),)
    packet: str = "gaussian"

    def __post_init__(self) -> None:
        for name in (*NUMBERS, "potentials"):
            if not getattr(self, name):
                raise InvalidInput(f"{name} is empty; give at least one value")

    def __len__(self) -> int:
        return len(self.x0) * len(self.s0) * len(self.e0) * len(self.potentials)

    def cases(self) -> Iterator[tuple[Potential, tuple[float, float, float]]]:
        """Potential and (x0, s0, e0) of every simulation, in order."""
        return product(self.potentials, product(self.x0, self.s0, self.e0))

    def between(self, rng: np.random.Generator) -> tuple[Potential, tuple[float, float, float]]:
        """A case of random numbers, each uniform between the least and the largest there is."""
        x0, s0, e0 = (rng.uniform(min(getattr(self, n)), max(getattr(self, n))) for n in NUMBERS)
        one, mixing = self.potentials[rng.integers(len(self.potentials))], rng.uniform()
        others = [
            p for p in self.potentials if p.shape == one.shape and p.numbers.keys() == one.numbers.keys()
        ]
        other = others[rng.integers(len(others))]
        numbers = {
            name: (1 - mixing) * value + mixing * other.numbers[name]
            if type(value) in (int, float)
            else value
            for name, value in one.numbers.items()
        }
        return Potential(one.shape, numbers), (x0, s0, e0)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        lists = {name: list(getattr(self, name)) for name in NUMBERS}
        return {**lists, "packet": self.packet, "potentials": [p.to_json() for p in self.potentials]}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Family:
        """Build from untrusted JSON; InvalidInput on anything else."""
        if not isinstance(obj, Mapping) or set(obj) != {*NUMBERS, "packet", "potentials"}:
            raise InvalidInput(f"not a family of simulations: {obj!r}")
        for name in NUMBERS:
            if not isinstance(obj[name], list) or any(type(v) not in (int, float) for v in obj[name]):
                raise InvalidInput(f"not a family of simulations: {name} is {obj[name]!r}")
        if not isinstance(obj["potentials"], list):
            raise InvalidInput("not a family of simulations: potentials must be a list")
        potentials = tuple(Potential.from_json(p) for p in obj["potentials"])
        x0, s0, e0 = (tuple(obj[n]) for n in NUMBERS)
        return cls(x0, s0, e0, potentials, obj["packet"])


@dataclass(frozen=True)
class TrajectoriesRecipe:
    """A data set of trajectories (dynamics paper; i ∂ψ/∂t = (−½ ∂²/∂x² + V) ψ, periodic, atomic units).

    Arguments:
        families: what is simulated, one after the other.
        name: short, used for the default path.
        ring: the box.
        propagation: how.
        split: that the families fill, "train" or "test".
        validation: further simulations with random numbers between those of the families.
        wrap: see `packet`.
        dtype: of the stored wave functions. Potentials are stored as they are, in float64.
        seed: of the validation cases.
        curriculum: which windows networks learn from; stored with the data, changes no number in it.

    Raises:
        InvalidInput: a value out of range, or a case that is impossible.
    """

    families: tuple[Family, ...]
    name: str = "trajectories"
    ring: Ring = field(default_factory=Ring)
    propagation: Propagation = field(default_factory=Propagation)
    split: str = "train"
    validation: int = 0
    wrap: bool = True
    dtype: str = "float32"
    seed: int = 0
    curriculum: Curriculum = field(default_factory=Curriculum)

    def __post_init__(self) -> None:
        if not self.families:
            raise InvalidInput("there is nothing to simulate; name a preset, or packets and a potential")
        if self.dtype not in DTYPES:
            raise InvalidInput(unknown("dtype", self.dtype, DTYPES))
        if self.split not in SPLITS or self.split == "validation":
            raise InvalidInput(unknown("split", self.split, ("train", "test")))
        for name, count in (("validation", self.validation), ("seed", self.seed)):
            if count < 0:
                raise InvalidInput(f"{name} is {count}; it must be at least 0")
        for family in self.families:
            self._check(family)

    def _check(self, family: Family) -> None:
        """Raise InvalidInput if a family has an impossible case."""
        for potential in family.potentials:
            potential.on(self.ring)
        for x0, s0, e0 in product(family.x0, family.s0, {min(family.e0), max(family.e0)}):
            packet(self.ring, family.packet, x0, s0, e0, self.wrap)

    @property
    def modules(self) -> list[str]:
        """What workers should import while nothing is to do yet."""
        place = METHODS[self.propagation.method]
        return [__name__, *([place.partition(":")[0]] if isinstance(place, str) else [])]

    @property
    def rows_by_split(self) -> dict[str, int]:
        """Simulations in each split."""
        count = sum(len(family) for family in self.families)
        return {self.split: count} | ({"validation": self.validation} if self.validation else {})

    def case(self, split: str, row: int) -> tuple[str, Potential, tuple[float, float, float]]:
        """Kind of packet, potential, and (x0, s0, e0) of one simulation."""
        if split == "validation":
            key = (SPLITS.index(split), row)
            rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))
            family = self.families[rng.integers(len(self.families))]
            return family.packet, *family.between(rng)
        for family in self.families:
            if row < len(family):
                each = len(family) // len(family.potentials)
                shape = (len(family.x0), len(family.s0), len(family.e0))
                i, j, k = np.unravel_index(row % each, shape)
                return (
                    family.packet,
                    family.potentials[row // each],
                    (family.x0[i], family.s0[j], family.e0[k]),
                )
            row -= len(family)
        raise IndexError(row)

    def beginning(self, split: str, row: int) -> tuple[np.ndarray, np.ndarray]:
        """ψ(0) and V of one simulation, (N,) complex128 and float64."""
        kind, potential, numbers = self.case(split, row)
        return packet(self.ring, kind, *numbers, self.wrap), potential.on(self.ring)

    def beginnings(self, split: str, n: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ψ(0), V and (x0, s0, e0) of the first n simulations of a split, or of all.

        Returns: (n, N) complex128, (n, N) float64 and (n, 3).
        """
        rows = range(min(n or self.rows_by_split[split], self.rows_by_split[split]))
        pairs = [self.beginning(split, row) for row in rows]
        numbers = np.array([self.case(split, row)[2] for row in rows])
        return np.stack([psi for psi, _ in pairs]), np.stack([v for _, v in pairs]), numbers

    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Simulations start … stop − 1 of a split, every field.

        Blocks of 8 are propagated together, the last one filled up, so that shards may be cut anywhere.

        Raises InvalidInput if a simulation does not conserve norm or energy as its method should.
        """
        ring, how, last = self.ring, self.propagation, self.rows_by_split[split] - 1
        out = {f.name: np.empty((stop - start, *f.shape), f.dtype) for f in self.fields}
        for first in range(start - start % BLOCK, stop, BLOCK):
            numbers = [self.case(split, min(i, last))[2] for i in range(first, first + BLOCK)]
            pairs = [self.beginning(split, min(i, last)) for i in range(first, first + BLOCK)]
            psi, potential = (np.array(values) for values in zip(*pairs, strict=True))
            frames = propagate(psi, potential, ring, how)
            norm, drift = self._drifts(frames, potential)
            low, high = max(first, start), min(first + BLOCK, stop)
            block, rows = slice(low - first, high - first), slice(low - start, high - start)
            values = {"psi": frames, "potential": potential, "norm_drift": norm, "energy_drift": drift}
            values |= {n: np.array([case[i] for case in numbers]) for i, n in enumerate(NUMBERS)}
            values["height"] = np.take_along_axis(potential, np.abs(potential).argmax(axis=1)[:, None], 1)[
                :, 0
            ]
            values["width"] = (potential != 0).sum(axis=1) * ring.dx
            for name, value in values.items():
                out[name][rows] = value[block]
        return out

    def _drifts(self, frames: np.ndarray, potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """max_t |‖ψ‖² − 1| and max_t |E(t) − E(0)|/max(1, |E(0)|) of each simulation; checked."""
        how, ring = self.propagation, self.ring
        norm = np.einsum("ntxp,ntxp->nt", frames, frames, dtype=how.real) * ring.dx
        norm_drift = np.abs(norm - 1).max(axis=1)
        times = np.linspace(0, how.frames, min(ENERGY_FRAMES, how.frames + 1)).astype(int)
        some = as_complex(frames[:, times])
        values = energy(some, potential[:, None], ring, how.hamiltonian)
        drift = np.abs(values - values[:, :1]).max(axis=1) / np.maximum(1, np.abs(values[:, 0]))
        if norm_drift.max() > how.norm_tolerance:
            raise InvalidInput(
                f"a norm drifts by {norm_drift.max():.1e}; choose another --propagator or --precision float64"
            )
        if how.substep is None and drift.max() > ENERGY_DRIFT[how.precision]:
            raise InvalidInput(
                f"an energy drifts by {drift.max():.1e}; lower --tolerance or choose --precision float64"
            )
        return norm_drift, drift

    @property
    def fields(self) -> tuple[Field, ...]:
        """The arrays of each split."""
        n = self.ring.points
        shape = (self.propagation.frames + 1, n, PARTS)
        numbers = (
            ("x0", "bohr", "mean position X0 of the packet"),
            ("s0", "bohr", "standard deviation S0 of the packet's density"),
            ("e0", "hartree", "kinetic energy E0 of the packet's mean momentum"),
            ("height", "hartree", "value of the potential that is largest in size"),
            ("width", "bohr", "length over which the potential is not zero"),
            ("norm_drift", "1", "largest |norm - 1| over all frames"),
            ("energy_drift", "1", "largest |E(t) - E(0)|/max(1, |E(0)|) over some frames"),
        )
        return (
            Field("psi", ("time", "x", "part"), shape, self.dtype, "bohr^-1/2", "wave function, Re and Im"),
            Field("potential", ("x",), (n,), "float64", "hartree", "potential V(x)"),
            *(Field(name, (), (), "float64", units, long) for name, units, long in numbers),
        )

    def plan(self, shard_rows: int = DEFAULT_SHARD_ROWS, storage: str = "zarr") -> Plan:
        """What the store must know before the first row; `shard_rows` must be a positive multiple of 8."""
        if shard_rows <= 0 or shard_rows % BLOCK:
            raise InvalidInput(f"shard size is {shard_rows} rows; it must be a positive multiple of {BLOCK}")
        largest = max(f.row_bytes for f in self.fields)
        how = self.propagation
        return Plan(
            kind="trajectories",
            row_order="grouped",
            recipe=self.to_json(),
            fields=self.fields,
            coordinates=(
                Coordinate(
                    "time", tuple((np.arange(how.frames + 1) * how.dt).tolist()), "hbar/hartree", "time t"
                ),
                Coordinate("x", tuple(self.ring.x.tolist()), "bohr", "position"),
                PART_AXIS,
            ),
            splits={
                k: SplitLayout.of(n, shard_rows, largest, storage) for k, n in self.rows_by_split.items()
            },
            storage=storage,
        )

    def accuracy(self) -> dict[str, float | int] | None:
        """The bound on the error; of chebyshev the largest over the potentials, and the terms of a block.

        None for methods that have no bound.
        """
        if self.propagation.method == "truncated-eigen" and self.propagation.tolerance:
            return {"bound": self.propagation.tolerance}
        if self.propagation.method != "chebyshev":
            return None
        potentials = [p.on(self.ring) for family in self.families for p in family.potentials]
        pairs = [error_bound(v, self.ring, self.propagation) for v in potentials]
        return {"terms": max(p[0] for p in pairs), "bound": max(p[1] for p in pairs)}

    @property
    def seconds_per_row(self) -> float:
        """What one core of a common machine takes for a simulation; for the estimate of --dry-run only.

        Blocks are filled up, so that a few simulations take as long as eight.
        """
        counts = self.rows_by_split.values()
        filled = sum(-(-n // BLOCK) * BLOCK for n in counts) / sum(counts)
        work = [
            (len(family) / len(family.potentials), potential)
            for family in self.families
            for potential in family.potentials
        ]
        propagating = sum(n * self._seconds_to_propagate(v.on(self.ring), n) for n, v in work)
        checking = 8e-8 * self.propagation.frames * self.ring.points  # and writing
        return filled * (propagating / sum(n for n, _ in work) + checking)

    def _seconds_to_propagate(self, potential: np.ndarray, packets: float) -> float:
        """Of one core for one of the packets in a potential; measured between 256 and 16,384 points.

        The terms of Chebyshev's expansion depend on points, Δt and V. In Fourier space a term is a call with
        all packets that share a potential and a block; matrices of eigenvectors are made once a potential.
        """
        how, points = self.propagation, self.ring.points
        single = {"float64": 1.0, "float32": 0.6}[how.precision]
        if how.method == "chebyshev":
            steps = error_bound(potential, self.ring, how)[0] * frame_blocks(potential, self.ring, how)
            if how.hamiltonian == "lattice":
                return steps * 4e-9 * points
            return steps * (2e-5 / min(packets, BLOCK) + 3e-8 * single * points)
        if how.method in ("eigen", "truncated-eigen"):  # the latter at most; how many states, ψ decides
            return 4.5e-10 * points**3 / packets + 1e-10 * points**2 * how.frames
        known = {"split-operator": 2.2e-8 * single, "space-splitting": 3.2e-9}
        each = known.get(how.method, 2e-6)  # a plug-in's: as slow as one step of 1e-3 in Fourier space
        return each * points * how.substeps * how.frames

    def by_the_fastest(self) -> TrajectoriesRecipe:
        """The same by the method with a bound that is expected to take less time, with the same tolerance.

        On the lattice chebyshev; with the spectral Hamiltonian, the spectrum of which is far wider, the
        eigenstates of the potentials if enough packets share them.
        """
        methods = ("chebyshev",) if self.propagation.hamiltonian == "lattice" else BOUNDED
        hows = [replace(self.propagation, method=method, substep=None) for method in methods]
        return min((replace(self, propagation=how) for how in hows), key=lambda one: one.seconds_per_row)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse. `accuracy` is told, not asked for."""
        return {
            "recipe": "trajectories",
            "name": self.name,
            "families": [family.to_json() for family in self.families],
            "ring": asdict(self.ring),
            "propagation": asdict(self.propagation),
            "accuracy": self.accuracy(),
            "split": self.split,
            "validation": self.validation,
            "wrap": self.wrap,
            "dtype": self.dtype,
            "seed": self.seed,
            "curriculum": self.curriculum.to_json(),
            **plugins.recorded(self._used()),
        }

    def _used(self) -> Iterator[tuple[str, str]]:
        """What may be of plug-ins."""
        yield "propagators", self.propagation.method
        for family in self.families:
            yield "packets", family.packet
            yield from (("shapes", potential.shape) for potential in family.potentials)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> TrajectoriesRecipe:
        """Build from untrusted JSON; InvalidInput on unknown or missing keys and on values out of range.

        Raises MissingPlugin for a shape, packet or propagator of a plug-in that is not here.
        """
        plugins.check(obj.get("plugins"))
        known = {f.name for f in fields(cls)} | {"recipe", "accuracy"}
        if (
            obj.get("recipe") != "trajectories"
            or set(obj) - {"plugins"} != known
            or not isinstance(obj["families"], list)
        ):
            raise InvalidInput(f"not a recipe for trajectories: expected the keys {', '.join(sorted(known))}")
        try:
            return cls(
                tuple(Family.from_json(f) for f in obj["families"]),
                str(obj["name"]),
                Ring.from_json(obj["ring"]),
                Propagation.from_json(obj["propagation"]),
                obj["split"],
                obj["validation"],
                obj["wrap"],
                obj["dtype"],
                obj["seed"],
                Curriculum.from_json(obj["curriculum"]),
            )
        except TypeError as error:
            raise InvalidInput(f"not a recipe for trajectories: {error}") from error
