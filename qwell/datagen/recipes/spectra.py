"""Recipes: what to make, as data. A recipe and its seed determine every number of a data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from qwell import plugins
from qwell.errors import InvalidInput, unknown
from qwell.physics import potentials
from qwell.physics.grid import Grid
from qwell.physics.kernels import KERNELS, covariance
from qwell.physics.matter import Matter
from qwell.physics.potentials import BLOCK, LARGEST
from qwell.physics.spectrum import FEW, SOLVERS, eigenstates, eigenvalues
from qwell.store.schema import DTYPES, Coordinate, Field, Plan, SplitLayout

ENERGY = "hbar^2/(m length^2)"
DEFAULT_SHARD_ROWS = 20_000


@dataclass(frozen=True)
class SpectraRecipe:
    """Random potentials and their lowest energies (spectra paper, §2.2; its defaults).

    Arguments:
        kernel: "rbf", "m5", "m3", "exp", "matern", or one of a plug-in (`qwell.register_kernel`).
        nu: ν of the Matérn kernel, for "matern" only.
        sigma: σ, standard deviation of the potential, energy units ħ²/(m·length²).
        length: L, correlation length, in units of half the box.
        mesh: M, intervals on [−1, 1].
        levels: energies kept.
        n, validation: rows of the two splits.
        seed: of the random streams, ≥ 0.
        solver: "scipy" or "lanes".
        densities: also keep ψ_i² (by scipy), ΣΨ² = 1.
        dtype: of the stored potentials; energies are float64 and belong to the potential as stored.
        matter: a medium's effect, see `Matter`: the stored potential is the one applied, energies and
            densities are those of the total potential.

    Raises:
        InvalidInput: a value out of range, with the range.
    """

    kernel: str
    n: int
    validation: int = 10_000
    sigma: float = 100.0
    length: float = 0.2
    nu: float | None = None
    mesh: int = 100
    levels: int = 10
    seed: int = 0
    solver: str = "scipy"
    densities: bool = False
    dtype: str = "float32"
    matter: str | None = None

    def __post_init__(self) -> None:
        choices = [
            ("kernel", self.kernel, KERNELS),
            ("solver", self.solver, SOLVERS),
            ("dtype", self.dtype, DTYPES),
        ]
        for name, value, allowed in choices:
            if value not in allowed:
                raise InvalidInput(unknown(name, value, allowed))
        for name, count, least in [
            ("n", self.n, 1),
            ("validation", self.validation, 0),
            ("seed", self.seed, 0),
        ]:
            if count < least:
                raise InvalidInput(f"{name} is {count}; it must be at least {least}")
        for name, size in [("sigma", self.sigma), ("length", self.length)]:
            if not 1 / LARGEST <= size <= LARGEST:
                raise InvalidInput(
                    f"{name} is {size}; it must be a positive number from {1 / LARGEST:g} to {LARGEST:g}"
                )
        if (self.nu is None) == (self.kernel == "matern"):
            raise InvalidInput("--nu belongs to --kernel matern, and --kernel matern needs it, e.g. --nu 2.5")
        if self.nu is not None and not (math.isfinite(self.nu) and 0 < self.nu <= 100):
            raise InvalidInput(
                f"nu is {self.nu}; it must be in (0, 100] (use --kernel rbf for the limit of large nu)"
            )
        grid = Grid(self.mesh)
        if not 1 <= self.levels <= grid.mesh - 1:
            raise InvalidInput(
                f"levels is {self.levels}, but a mesh of {self.mesh} has only {self.mesh - 1} interior"
                f" points; lower --levels or raise --mesh to at least {self.levels + 1}"
            )
        if self.matter is not None:
            effect = Matter(self.matter)
            object.__setattr__(self, "matter", effect.formula)
            extremes = np.linspace(-4, 4, 9)[:, None] * np.full(self.mesh + 1, self.sigma)
            largest = np.abs(effect(extremes, grid.x, self.sigma)).max()
            if largest > np.finfo(np.float32).max:
                raise InvalidInput(
                    f"the matter effect makes potentials up to {largest:.1e}; what networks read is float32,"
                    f" up to {np.finfo(np.float32).max:.1e}: write a formula with smaller numbers"
                )

    @property
    def grid(self) -> Grid:
        return Grid(self.mesh)

    @property
    def name(self) -> str:
        """Short name, used for the default path: the kernel, and the matter effect if there is one."""
        return self.kernel if self.matter is None else f"{self.kernel}-{Matter(self.matter).name}"

    @property
    def modules(self) -> list[str]:
        """What workers should import while nothing is to do yet."""
        return [__name__, *(["qwell.physics.lanes"] if self.solver == "lanes" else [])]

    @property
    def seconds_per_row(self) -> float:
        """What one core of a common machine takes for a potential; for the estimate of --dry-run only."""
        solving = 3e-5 + 1.6e-8 * self.mesh * min(self.mesh, FEW * self.levels)
        if self.solver == "lanes":
            solving = 1.2e-6 + (1.5e-8 + 3e-9 * self.levels) * self.mesh
        states = 1e-4 + 4.7e-7 * self.mesh * self.levels
        return solving + 1e-10 * self.mesh**2 + states * self.densities

    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows `start` … `stop − 1` of a split, every field.

        The energies belong to the potential as stored, that is, after rounding to the stored dtype, or to
        what matter makes of that. Blocks of 1,000 are drawn and solved one after the other, while they are in
        the processor's cache.

        Returns: `potential` (rows, M+1), `energy` (rows, levels), and `density` (rows, levels, M+1) if asked
        for.
        """
        n, grid, levels = stop - start, self.grid, self.levels
        rows = {"potential": np.empty((n, self.mesh + 1), self.dtype), "energy": np.empty((n, levels))}
        if self.densities:
            rows["density"] = np.empty((n, levels, self.mesh + 1), np.float32)
        for i in range(0, n, BLOCK):
            part = slice(i, min(i + BLOCK, n))
            rows["potential"][part] = potentials.rows(
                _factor(self, plugins.fingerprint("kernels", self.kernel)),
                self.seed,
                split,
                start + part.start,
                start + part.stop,
            )
            felt = self.total(rows["potential"][part])
            rows["energy"][part] = eigenvalues(felt, grid, levels, self.solver)
            if self.densities:
                rows["density"][part] = eigenstates(felt, grid, levels)[1] ** 2
        return rows

    def total(self, potential: np.ndarray) -> np.ndarray:
        """The potential that the particle feels, (n, M+1): the applied one, or what matter makes of it."""
        if self.matter is None:
            return potential
        return Matter(self.matter)(potential, self.grid.x, self.sigma)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        return {"recipe": "spectra", **asdict(self), **plugins.recorded([("kernels", self.kernel)])}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> SpectraRecipe:
        """Build from untrusted JSON; InvalidInput on unknown or missing keys and on values out of range.

        Raises MissingPlugin if the kernel is a plug-in's that is not here.
        """
        plugins.check(obj.get("plugins"))
        values = {"matter": None, **{k: v for k, v in obj.items() if k not in ("recipe", "plugins")}}
        known = {f.name for f in fields(cls)}
        if obj.get("recipe") != "spectra" or set(values) != known:
            raise InvalidInput(f"not a recipe for spectra: expected the keys {', '.join(sorted(known))}")
        wrong = [
            f"{f.name} = {values[f.name]!r}" for f in fields(cls) if not _is(values[f.name], str(f.type))
        ]
        if wrong:
            raise InvalidInput(f"recipe for spectra with values of the wrong type: {', '.join(wrong)}")
        return cls(**values)

    def plan(self, shard_rows: int = DEFAULT_SHARD_ROWS, storage: str = "zarr") -> Plan:
        """What the store must know before the first row.

        Arguments:
            shard_rows: rows a shard, a multiple of 1000.
            storage: the back end, "zarr" or "hdf5".

        Raises:
            InvalidInput: `shard_rows` is not.
        """
        if shard_rows <= 0 or shard_rows % BLOCK:
            raise InvalidInput(f"shard size is {shard_rows} rows; it must be a positive multiple of {BLOCK}")
        rows = {"train": self.n, "validation": self.validation}
        return spectra_plan(
            self.to_json(), self.mesh + 1, self.levels, self.dtype, rows, shard_rows, storage, self.densities
        )


@lru_cache(maxsize=4)
def _factor(recipe: SpectraRecipe, version: str) -> np.ndarray:
    """The root of the covariance; `version` tells kernels of the same name apart (`plugins.fingerprint`)."""
    kernel = covariance(recipe.kernel, recipe.grid, recipe.sigma, recipe.length, recipe.nu)
    return potentials.factor(kernel)


def spectra_plan(
    recipe: dict[str, Any],
    points: int,
    levels: int,
    dtype: str,
    rows: Mapping[str, int],
    shard_rows: int,
    storage: str,
    densities: bool = False,
    row_order: str = "iid",
) -> Plan:
    """The plan of any data set of spectra.

    Arguments:
        recipe: plain JSON.
        points, levels: columns of `potential` and `energy`.
        dtype: of the potentials.
        rows: of each split.
        shard_rows, storage: how they are cut and kept.
        densities: whether there is a field `density`.
        row_order: "iid" or "grouped".
    """
    fields = [
        Field("potential", ("x",), (points,), dtype, ENERGY, "potential V(x)"),
        Field("energy", ("level",), (levels,), "float64", ENERGY, "energy eigenvalue E_i"),
    ]
    if densities:
        name = "squared wave function, sum over x = 1"
        fields.append(Field("density", ("level", "x"), (levels, points), "float32", "1", name))
    row_bytes = max(field.row_bytes for field in fields)
    return Plan(
        kind="spectra",
        row_order=row_order,
        recipe=recipe,
        fields=tuple(fields),
        coordinates=(
            Coordinate("x", tuple(Grid.of_points(points).x.tolist()), "half box width", "position"),
            Coordinate("level", tuple(float(i) for i in range(levels)), "1", "level i"),
        ),
        splits={k: SplitLayout.of(n, shard_rows, row_bytes, storage) for k, n in rows.items()},
        storage=storage,
    )


def _is(value: object, annotation: str) -> bool:
    """Whether a JSON value has the type that a recipe's field is annotated with."""
    allowed: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "float | None": (int, float, type(None)),
        "str | None": (str, type(None)),
    }
    return isinstance(value, allowed[annotation]) and (annotation == "bool" or not isinstance(value, bool))
