"""Random potentials in cells and the densities they make, ψ'' = (V − E)ψ with 2m/ħ² = 1 (`physics.cells`).

ψ(0) = 1 and ψ'(0) are given, so that ρ = |ψ|² is not normalised: the density of a scattering state, not of
a bound one. The sampling, grid and sizes are ours (the paper, arXiv:1901.11103, was not available in full).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from qwell import plugins
from qwell.errors import InvalidInput, unknown
from qwell.physics.cells import HIGHEST, integrate
from qwell.physics.grid import FINEST
from qwell.physics.kernels import evaluated
from qwell.physics.potentials import BLOCK, LARGEST, STREAMS, factor
from qwell.physics.waves import PARTS, as_parts
from qwell.store.schema import PART_AXIS, Coordinate, Field, Plan, SplitLayout

SOURCES = ("cosines", "rbf", "m5", "m3", "exp")
WAVES = 6
KNEE = 1.5  # V = 2.5 tanh(v/1.5)
NOISE_STREAM = 7  # spawn key of the noise, beside those of the splits


@dataclass(frozen=True)
class DensitiesRecipe:
    """Random potentials in cells, and the densities of the wave that starts at the left end.

    Arguments:
        n, validation, test: rows of the splits.
        potential: v is a sum of six random "cosines" or drawn from a kernel, "rbf", "m5", "m3" or "exp", of
            unit variance; V = 2.5 tanh(v/1.5). Or one of a plug-in (`qwell.register_kernel`), σ = 1.
        length: correlation length of the kernels.
        cells, cell: T and a.
        energy: E.
        slope: ψ'(0); current: its imaginary part, so that ψ is complex and carries a current.
        noise: standard deviation of a factor 1 + N(0, noise²) on every density; ψ stays clean.
        seed: of the random streams.

    Raises InvalidInput for a value out of range.
    """

    n: int = 4096
    validation: int = 512
    test: int = 512
    potential: str = "cosines"
    length: float = 1.0
    cells: int = 60
    cell: float = 0.1
    energy: float = 4.0
    slope: float = 0.0
    current: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.potential not in SOURCES and plugins.find("kernels", self.potential) is None:
            raise InvalidInput(unknown("potential", self.potential, SOURCES))
        for name, least in (("n", 1), ("validation", 0), ("test", 0), ("seed", 0), ("cells", 2)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.cells > FINEST:
            raise InvalidInput(f"cells is {self.cells}; at most {FINEST:,} are allowed")
        for name in ("length", "cell"):
            if not 1 / LARGEST <= getattr(self, name) <= LARGEST:
                raise InvalidInput(
                    f"{name} is {getattr(self, name)}; it must be a positive number from {1 / LARGEST:g} to"
                    f" {LARGEST:g}"
                )
        for name in ("energy", "slope", "current", "noise"):
            if not abs(getattr(self, name)) <= LARGEST:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be a number up to {LARGEST:g}")
        if self.noise < 0:
            raise InvalidInput(f"noise is {self.noise}; it must be 0 or a positive number")
        growth = self.cells * self.cell * math.sqrt(max(HIGHEST - self.energy, 0.0))
        if growth > 30:
            raise InvalidInput(
                f"densities would grow by e^{2 * growth:.0f}; raise --energy, or lower --cells or --cell"
            )

    name = "densities"
    modules: ClassVar = [__name__]
    seconds_per_row = 2e-5

    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows start … stop − 1 of a split, every field."""
        first = start // BLOCK
        blocks = [self._block(split, i) for i in range(first, -(-stop // BLOCK))]
        part = slice(start - first * BLOCK, stop - first * BLOCK)
        return {key: np.concatenate([b[key] for b in blocks])[part] for key in blocks[0]}

    def _block(self, split: str, index: int) -> dict[str, np.ndarray]:
        """A thousand rows, from their own random streams."""
        key = (STREAMS[split], index)
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key)))
        potential = HIGHEST * np.tanh(self._raw(rng) / KNEE)
        psi, slope = integrate(potential - self.energy, self.cell, 1.0, self.slope + 1j * self.current)
        density = np.abs(psi[:, 1:]) ** 2
        if self.noise:
            stream = np.random.SeedSequence(self.seed, spawn_key=(NOISE_STREAM, *key))
            noise = np.random.Generator(np.random.SFC64(stream)).standard_normal(density.shape)
            density = density * (1 + self.noise * noise)
        return {
            "potential": potential,
            "density": density,
            "psi": as_parts(psi),
            "slope": as_parts(slope),
        }

    def _raw(self, rng: np.random.Generator) -> np.ndarray:
        """v at the middles of the cells, (1000, T), of unit variance."""
        x = (np.arange(self.cells) + 0.5) * self.cell
        if self.potential == "cosines":
            size = rng.standard_normal((BLOCK, WAVES, 1)) * math.sqrt(2 / WAVES)
            wave = rng.uniform(0.5, 6.0, (BLOCK, WAVES, 1))
            phase = rng.uniform(0, 2 * np.pi, (BLOCK, WAVES, 1))
            return (size * np.cos(wave * x + phase)).sum(axis=1)
        covariance = evaluated(self.potential, np.abs(x[:, None] - x[None, :]), 1.0, self.length)
        return rng.standard_normal((BLOCK, self.cells)) @ factor(covariance)

    def plan(self, shard_rows: int = 20_000, storage: str = "zarr") -> Plan:
        """What the store must know before the first row; `shard_rows` must be a positive multiple of 1000."""
        if shard_rows <= 0 or shard_rows % BLOCK:
            raise InvalidInput(f"shard size is {shard_rows} rows; it must be a positive multiple of {BLOCK}")
        t = self.cells
        edges = np.arange(t + 1) * self.cell
        return Plan(
            kind="densities",
            row_order="iid",
            recipe=self.to_json(),
            fields=(
                Field("potential", ("cell",), (t,), "float64", "1/length^2", "potential V of each cell"),
                Field("density", ("cell",), (t,), "float64", "1", "density at the end of each cell"),
                Field("psi", ("edge", "part"), (t + 1, PARTS), "float64", "1", "wave function, Re and Im"),
                Field("slope", ("edge", "part"), (t + 1, PARTS), "float64", "1/length", "its derivative"),
            ),
            coordinates=(
                Coordinate("cell", tuple(edges[1:].tolist()), "length", "end of the cell"),
                Coordinate("edge", tuple(edges.tolist()), "length", "position"),
                PART_AXIS,
            ),
            splits={
                name: SplitLayout.of(rows, shard_rows, (t + 1) * 16, storage)
                for name, rows in (("train", self.n), ("validation", self.validation), ("test", self.test))
                if rows
            },
            storage=storage,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        return {"recipe": "densities", **asdict(self), **plugins.recorded([("kernels", self.potential)])}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> DensitiesRecipe:
        """Build from untrusted JSON; InvalidInput on unknown or missing keys and on values out of range.

        Raises MissingPlugin if the potentials are of a plug-in's kernel that is not here.
        """
        plugins.check(obj.get("plugins"))
        values = {k: v for k, v in obj.items() if k not in ("recipe", "plugins")}
        known = {f.name: type(f.default) for f in fields(cls)}
        if obj.get("recipe") != "densities" or set(values) != set(known):
            raise InvalidInput(f"not a recipe for densities: expected the keys {', '.join(sorted(known))}")
        for key, value in values.items():
            right = (int, float) if known[key] is float else known[key]
            if isinstance(value, bool) or not isinstance(value, right):
                raise InvalidInput(f"recipe for densities: {key} is {value!r}")
        return cls(**values)
