"""Recipes of driven trajectories: wave packets in potentials that change with time, with open ends or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from qwell import plugins
from qwell.datagen.recipes.driven_families import Case, DrivenFamily, families_from
from qwell.datagen.recipes.driven_fields import (
    KEEP,
    coordinates_of,
    fields_of,
    height_and_width,
    numbers_of,
    signals_of,
)
from qwell.datagen.recipes.trajectories import (
    BLOCK,
    DEFAULT_SHARD_ROWS,
    NUMBERS,
    Family,
    TrajectoriesRecipe,
)
from qwell.errors import InvalidInput, unknown
from qwell.physics.absorbers import Absorber
from qwell.physics.drives import Drive
from qwell.physics.observables import eigenstates, observe, populations, spectrum
from qwell.physics.packets import packet
from qwell.physics.propagators.driven import evolve
from qwell.physics.propagators.settings import DRIVEN, Propagation
from qwell.physics.ring import Ring
from qwell.physics.waves import as_parts
from qwell.store.driven import EVERY
from qwell.store.schema import SPLITS, Field, Plan
from qwell.store.windows import Curriculum

GROUND = "ground"  # the packet that is the lowest eigenstate of its potential
MOST_LEVELS = 64
MOST_DENSE = 4096  # points of a mesh whose eigenstates are looked for: matrices of 128 MiB
EDGE = 0.9  # of the largest momentum of the mesh
MOST_AT_EDGE = 1e-3  # share of |ψ̂|² beyond it
BY_DEFAULT = {"spectral": "split-operator-4", "lattice": "magnus"}


@dataclass(frozen=True)
class DrivenRecipe(TrajectoriesRecipe):
    """A data set of driven trajectories: i ∂ψ/∂t = (−½ ∂²/∂x² + V(x, t) − iW(x)) ψ, periodic, atomic units.

    Arguments:
        families: what is simulated, `DrivenFamily`.
        propagation: by a method for potentials that change with time.
        tests: what the split `test` holds besides, with --validation and `families` in others.
        absorber: of open ends; None leaves the ring closed.
        keep: what is stored of the way: "psi", "observables", "potential" (V(x, t) at the frames).
        levels: eigenstates of T + V(x) whose populations are among the observables.
        others: see `TrajectoriesRecipe`; `seed` is also that of the cases that are drawn.

    Raises:
        InvalidInput: a value out of range, or a case that is impossible.
    """

    tests: tuple[DrivenFamily, ...] = ()
    absorber: Absorber | None = None
    keep: tuple[str, ...] = KEEP[:2]
    levels: int = 0

    def __post_init__(self) -> None:
        for word in self.keep:
            if word not in KEEP:
                raise InvalidInput(unknown("part to keep", word, KEEP))
        if not self.keep or len(set(self.keep)) < len(self.keep):
            raise InvalidInput(f"keep is {','.join(self.keep)!r}; name some of {', '.join(KEEP)}, each once")
        object.__setattr__(self, "keep", tuple(word for word in KEEP if word in self.keep))
        most = min(MOST_LEVELS, self.ring.points)
        if type(self.levels) is not int or not 0 <= self.levels <= most:
            raise InvalidInput(f"levels is {self.levels!r}; it must be a whole number from 0 to {most}")
        found = self.levels or any(family.packet == GROUND for family in self._families)
        if found and self.ring.points > MOST_DENSE:
            raise InvalidInput(
                f"--packet ground and --levels take a matrix of the size of the mesh: at most {MOST_DENSE:,}"
                f" points, not {self.ring.points:,}"
            )
        if self.levels and "observables" not in self.keep:
            raise InvalidInput("populations of levels are observables; keep these, too")
        if self.propagation.method not in DRIVEN:
            raise InvalidInput(
                f"{self.propagation.method} is for potentials that do not change; choose --propagator"
                f" {', '.join(DRIVEN)}"
            )
        if self.tests and self.split == "test":
            raise InvalidInput("the families fill the split test already; leave tests out")
        super().__post_init__()
        for family in self.tests:
            self._check(family)
        if self.absorber is not None:
            self.absorber.on(self.ring)

    def _check(self, family: Family) -> None:
        if not isinstance(family, DrivenFamily):
            raise InvalidInput("a driven data set is made of driven families")
        if family.packet != GROUND:
            super()._check(family)
        how = self.propagation
        times = np.array([0.0, how.dt * how.frames / 2, how.dt * how.frames])
        for potential in family.potentials:
            v = potential.on(self.ring)
            for drive in family.drives:
                drive.on(self.ring, v, times)

    @property
    def _families(self) -> tuple[Family, ...]:
        return (*self.families, *self.tests)

    @property
    def drives(self) -> list[Drive]:
        """Those of all families."""
        return [d for f in self._families if isinstance(f, DrivenFamily) for d in f.drives]

    @property
    def draws(self) -> bool:
        """Whether random numbers decide cases, besides those for validation."""
        return any(isinstance(family, DrivenFamily) and family.drawn for family in self._families)

    @property
    def rows_by_split(self) -> dict[str, int]:
        """Simulations in each split."""
        tests = sum(len(family) for family in self.tests)
        return super().rows_by_split | ({"test": tests} if tests else {})

    def driven_case(self, split: str, row: int) -> Case:
        """Kind of packet, potential, (x0, s0, e0) and drive of one simulation."""
        key = (SPLITS.index(split), row)
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))
        if split == "validation":
            return self._driven(self.families[rng.integers(len(self.families))]).draw(rng)
        for family in self.tests if split == "test" and self.tests else self.families:
            if row < len(family):
                mine = self._driven(family)
                return mine.draw(rng) if mine.drawn else mine.pick(row)
            row -= len(family)
        raise IndexError(row)

    @staticmethod
    def _driven(family: Family) -> DrivenFamily:
        assert isinstance(family, DrivenFamily)  # by `_check`
        return family

    def case(self, split: str, row: int) -> tuple[str, Any, tuple[float, float, float]]:
        """Kind of packet, potential, and (x0, s0, e0) of one simulation."""
        return self.driven_case(split, row)[:3]

    def drive(self, split: str, row: int) -> Drive:
        """What drives one simulation; its samples at any times are `drive.signals(times)`, and V(x, t)
        `drive.on(ring, potential, times)`."""
        return self.driven_case(split, row)[3]

    def beginning(self, split: str, row: int) -> tuple[np.ndarray, np.ndarray]:
        """ψ(0) and V(x) without the drive of one simulation, (N,) complex128 and float64."""
        kind, potential, numbers = self.case(split, row)
        v = potential.on(self.ring)
        if kind == GROUND:
            states = eigenstates(v, self.ring, self.propagation.hamiltonian, max(self.levels, 1))[1]
            return states[0].astype(complex), v
        return packet(self.ring, kind, *numbers, self.wrap), v

    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Simulations start … stop − 1 of a split, every field.

        Blocks of 8 are propagated together, the last one filled up, so that shards may be cut anywhere.

        Raises InvalidInput if a norm drifts, or if momenta reach the largest that the mesh has.
        """
        last = self.rows_by_split[split] - 1
        out = {f.name: np.empty((stop - start, *f.shape), f.dtype) for f in self.fields}
        for first in range(start - start % BLOCK, stop, BLOCK):
            wanted = [min(i, last) for i in range(first, first + BLOCK)]
            values = self._block(split, wanted)
            low, high = max(first, start), min(first + BLOCK, stop)
            for name, into in out.items():
                into[low - start : high - start] = values[name][low - first : high - first]
        return out

    def _block(self, split: str, wanted: list[int]) -> dict[str, Any]:
        """Every field of some simulations that are propagated together."""
        cases = [self.driven_case(split, row) for row in wanted]
        pairs = [self.beginning(split, row) for row in wanted]
        psi, potential = (np.array(parts) for parts in zip(*pairs, strict=True))
        drives = [case[3] for case in cases]
        how, ring = self.propagation, self.ring
        frames, errors = evolve(psi, potential, ring, how, drives, self.absorber)
        norms = (np.abs(frames) ** 2).sum(axis=2) * ring.dx
        height, width = height_and_width(potential, ring)
        values: dict[str, Any] = {
            "potential": potential,
            "height": height,
            "width": width,
            "error": errors,
            "norm_drift": self._norm_drift(norms),
            "edge_momentum": self._edge(frames),
        }
        packets = [self._packet_numbers(case, p) for case, p in zip(cases, psi, strict=True)]
        values |= dict(zip(NUMBERS, np.array(packets).T, strict=True))
        values |= numbers_of(self.drives, drives) | signals_of(self.drives, drives, self.times)
        if "psi" in self.keep:
            values["psi"] = as_parts(frames)
        driven = [d.on(ring, v, self.times) for d, v in zip(drives, potential, strict=True)]
        if "potential" in self.keep:
            values[EVERY] = driven
        if "observables" in self.keep:
            found = [self._observables(f, d, v) for f, d, v in zip(frames, driven, potential, strict=True)]
            values |= {name: [one[name] for one in found] for name in found[0]}
        return values

    def _packet_numbers(self, case: Case, psi: np.ndarray) -> tuple[float, float, float]:
        """x0, s0 and e0 of a packet; of an eigenstate its mean, its standard deviation, and 0."""
        if case[0] != GROUND:
            return case[2]
        weight = np.abs(psi) ** 2 * self.ring.dx
        mean = weight @ self.ring.x
        return float(mean), float(np.sqrt(weight @ (self.ring.x - mean) ** 2)), 0.0

    def _observables(
        self, frames: np.ndarray, driven: np.ndarray, static: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Of one simulation, by the names of the fields."""
        how, ring, psi = self.propagation, self.ring, frames.astype(complex)
        found = observe(psi, driven, self.times, ring, how.hamiltonian, self.detectors)
        found["spectrum"] = spectrum(found["position"], ring, how.dt)
        if self.levels:
            states = eigenstates(static, ring, how.hamiltonian, self.levels)[1]
            found["population"] = populations(psi, states, ring)
        return found

    @property
    def times(self) -> np.ndarray:
        """Of the frames, (frames + 1,)."""
        return np.arange(self.propagation.frames + 1) * self.propagation.dt

    @property
    def detectors(self) -> tuple[int, int]:
        """Points of the mesh at which the flux out is measured: beside open ends, else at L/4 and 3L/4."""
        n = self.ring.points
        return (n // 4, 3 * n // 4) if self.absorber is None else self.absorber.detectors(self.ring)

    def _norm_drift(self, norms: np.ndarray) -> np.ndarray:
        """max_t |‖ψ‖² − 1|, or with open ends the largest rise of ‖ψ‖² over a frame; checked."""
        drift = np.abs(norms - 1).max(axis=1)
        if self.absorber is not None:
            drift = np.maximum(np.diff(norms, axis=1), 0.0).max(axis=1)
        if drift.max() > self.propagation.norm_tolerance:
            raise InvalidInput(
                f"a norm drifts by {drift.max():.1e}; choose another --propagator or --precision float64"
            )
        return drift

    def _edge(self, frames: np.ndarray) -> np.ndarray:
        """Largest share of |ψ̂|² near the largest momentum of the mesh, at some frames; checked."""
        some = np.fft.fft(frames[:, :: max(self.propagation.frames // 50, 1)])
        weight = np.abs(some) ** 2
        fast = np.abs(self.ring.k) > EDGE * np.pi / self.ring.dx
        share: np.ndarray = (weight[..., fast].sum(axis=2) / weight.sum(axis=2)).max(axis=1)
        if share.max() > MOST_AT_EDGE:
            raise InvalidInput(
                f"a share of {share.max():.1e} of a wave packet is driven to momenta that the mesh hardly"
                " has; raise --points, or drive it less"
            )
        return share

    @property
    def fields(self) -> tuple[Field, ...]:
        """The arrays of each split."""
        return fields_of(self.ring, self.propagation, self.dtype, self.keep, self.levels, self.drives)

    def plan(self, shard_rows: int = DEFAULT_SHARD_ROWS, storage: str = "zarr") -> Plan:
        """What the store must know before the first row; `shard_rows` must be a positive multiple of 8."""
        plan = super().plan(shard_rows, storage)
        more = coordinates_of(self.times, self.propagation.dt, self.keep, self.levels)
        return replace(plan, coordinates=(*plan.coordinates, *more))

    def accuracy(self) -> dict[str, Any] | None:
        """The tolerance of the steps, and which share of waves of some momenta the ends send back."""
        said: dict[str, Any] = {}
        if self.propagation.substep is None:
            said["tolerance"] = self.propagation.tolerance
        if self.absorber is not None:
            momenta = np.geomspace(7.5, 120, 9) / self.absorber.width
            said["momenta"] = momenta.tolist()
            said["returned"] = self.absorber.returned(momenta).tolist()
        return said or None

    def _seconds_to_propagate(self, potential: np.ndarray, packets: float) -> float:
        """Of one core for a simulation, about; the steps depend on the drive, and four a frame are taken."""
        how, points = self.propagation, self.ring.points
        stages = (how.substeps if how.substep else 4 * how.dt / 0.1) * how.frames
        if how.method == "magnus":
            return stages * points * (2e-7 if how.hamiltonian == "spectral" else 6e-8)
        return stages * points * 2.2e-8 * (6 if how.method == "split-operator-4" else 1)

    def by_the_fastest(self) -> DrivenRecipe:
        """The same by the method that takes less time: the split operator, or Magnus' on the lattice."""
        how = self.propagation
        return replace(self, propagation=replace(how, method=BY_DEFAULT[how.hamiltonian], substep=None))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        more = {
            "recipe": "driven",
            "tests": [family.to_json() for family in self.tests],
            "absorber": None if self.absorber is None else self.absorber.to_json(),
            "keep": list(self.keep),
            "levels": self.levels,
        }
        return super().to_json() | more

    def _used(self) -> Iterator[tuple[str, str]]:
        """What may be of plug-ins."""
        for group, name in super()._used():
            if (group, name) != ("packets", GROUND):
                yield group, name
        yield from (("shapes", p.shape) for family in self.tests for p in family.potentials)
        shapes = (t.complete["shape"] for d in self.drives for t in d.terms if t.kind == "move")
        yield from (("shapes", shape) for shape in shapes)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> DrivenRecipe:
        """Build from untrusted JSON; InvalidInput on unknown or missing keys and on values out of range."""
        plugins.check(obj.get("plugins"))
        known = {f.name for f in fields(cls)} | {"recipe", "accuracy"}
        lists = all(isinstance(obj.get(name), list) for name in ("families", "tests", "keep"))
        if obj.get("recipe") != "driven" or set(obj) - {"plugins"} != known or not lists:
            raise InvalidInput(
                f"not a recipe for driven trajectories: expected the keys {', '.join(sorted(known))}"
            )
        read: dict[str, Any] = {
            "families": families_from(obj["families"]),
            "tests": families_from(obj["tests"]),
            "ring": Ring.from_json(obj["ring"]),
            "propagation": Propagation.from_json(obj["propagation"]),
            "curriculum": Curriculum.from_json(obj["curriculum"]),
            "absorber": None if obj["absorber"] is None else Absorber.from_json(obj["absorber"]),
            "keep": tuple(obj["keep"]),
        }
        try:
            return cls(**{f.name: read.get(f.name, obj[f.name]) for f in fields(cls)})
        except TypeError as error:
            raise InvalidInput(f"not a recipe for driven trajectories: {error}") from error
