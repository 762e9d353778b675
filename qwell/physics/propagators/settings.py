"""How to propagate, as data; and the kinetic energy of the two Hamiltonians."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int

from qwell.errors import InvalidInput, unknown
from qwell.physics.ring import Ring
from qwell.plugins import Family, check

Method = Callable[..., np.ndarray]
# The family: name → where its function is, (ψ, V, ring, how) → frames as `propagate` gives them. Each is
# imported when it first propagates, so that nobody loads a compiler for methods that are not used. Plug-ins
# bring functions (`qwell.register_propagator`).
_OWN: dict[str, str | Method] = {
    "chebyshev": "qwell.physics.propagators.chebyshev:chebyshev",
    "split-operator": "qwell.physics.propagators.split_operator:split_operator",
    "space-splitting": "qwell.physics.propagators.space_splitting:space_splitting",
    "eigen": "qwell.physics.propagators.eigen:eigen",
    "truncated-eigen": "qwell.physics.propagators.eigen:truncated_eigen",
    "split-operator-4": "qwell.physics.propagators.driven:fourth_order",
    "magnus": "qwell.physics.propagators.driven:fourth_order",
}
METHODS: Family[str | Method] = Family("propagators", _OWN)
HAMILTONIANS = ("spectral", "lattice")
BOUNDED = ("chebyshev", "truncated-eigen")  # methods whose error has a bound that can be chosen
CONTROLLED = ("split-operator-4", "magnus")  # methods of fourth order whose steps follow a tolerance
DRIVEN = (*CONTROLLED, "split-operator")  # methods for potentials that change with time
SUBSTEPS = {"split-operator": 0.01, "space-splitting": 5e-4}
PRECISIONS = ("float64", "float32")
TOLERANCES = {"float64": 1e-11, "float32": 1e-6}
ESTIMATED = {"float64": 1e-9, "float32": 1e-6}  # of CONTROLLED
LEAST_TOLERANCES = {"float64": 1e-15, "float32": 1e-7}  # what rounding leaves to ask for


@dataclass(frozen=True)
class Propagation:
    """Frames ψ(0), ψ(Δt) … ψ(frames·Δt), and how they are computed.

    Arguments:
        method: "chebyshev", "split-operator", "space-splitting", "eigen" or "truncated-eigen"; of these
            "split-operator", and "split-operator-4" and "magnus", are for potentials that change with time.
        hamiltonian: "spectral", T = k²/2 in Fourier space; or "lattice", second-order differences.
        dt: Δt between frames, atomic units.
        frames: steps Δt; one frame more is kept.
        tolerance: of chebyshev and truncated-eigen: bound on ‖error‖ over all frames, rounding aside; by
            default 1e-11, and 1e-6 in float32. Of split-operator-4 and magnus what the estimate of ‖error‖
            may be; by default 1e-9, and 1e-6 in float32.
        precision: "float64" or "float32".
        device: "cpu"; or "cuda", "cuda:1" … for `eigen`, by torch.
        substep: of the two splitting methods of second order, Δt or a whole part of it; by default 0.01 and
            0.0005. Of split-operator-4 and magnus, instead of the tolerance.

    Raises:
        InvalidInput: a value out of range, or a method that lacks the Hamiltonian.
    """

    method: str = "chebyshev"
    hamiltonian: str = "spectral"
    dt: float = 0.1
    frames: int = 500
    tolerance: float | None = field(
        default=None,
        metadata={
            "default": "; ".join(
                f"{TOLERANCES[k]:g} (estimated: {ESTIMATED[k]:g}) in {k}" for k in TOLERANCES
            )
        },
    )
    precision: str = "float64"
    substep: float | None = field(
        default=None, metadata={"default": "; ".join(f"{v:g} of {k}" for k, v in SUBSTEPS.items())}
    )
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("propagator", self.method, METHODS),
            ("hamiltonian", self.hamiltonian, HAMILTONIANS),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in allowed:
                raise InvalidInput(unknown(name, value, allowed))
        if self.tolerance is None:
            own = ESTIMATED if self.method in CONTROLLED else TOLERANCES
            object.__setattr__(self, "tolerance", own[self.precision])
        for name, number in (("dt", self.dt), ("tolerance", self.tolerance)):
            if number is None or not (math.isfinite(number) and number > 0):
                raise InvalidInput(f"{name} is {number}; it must be a positive number")
        least = LEAST_TOLERANCES[self.precision]
        if self.tolerance is not None and self.tolerance < least:
            raise InvalidInput(
                f"tolerance is {self.tolerance:g}; {self.precision} can do no better than {least:g}: choose"
                " that or more" + (", or --precision float64" if self.precision == "float32" else "")
            )
        if isinstance(self.frames, bool) or not isinstance(self.frames, int | np.integer):
            raise InvalidInput(f"frames is {self.frames!r}; it must be an integer")
        if not 1 <= self.frames <= 10**6:
            raise InvalidInput(f"frames is {self.frames}; it must be from 1 to {10**6}")
        if not math.isfinite(self.dt * self.frames):
            raise InvalidInput(f"dt is {self.dt} and frames {self.frames}; their product must be finite")
        if self.method == "space-splitting" and self.hamiltonian != "lattice":
            raise InvalidInput("space-splitting is made for --hamiltonian lattice")
        if self.device != "cpu" and (self.method != "eigen" or self.device.split(":")[0] != "cuda"):
            raise InvalidInput(
                f"device is {self.device!r} and the propagator {self.method}; eigen runs on cuda, all on cpu"
            )
        if self.method not in SUBSTEPS and not (self.method in CONTROLLED and self.substep is not None):
            if self.substep is not None:
                raise InvalidInput(f"{self.method} takes no substeps; leave --substep out")
        elif self.substep is None:
            object.__setattr__(self, "substep", self.dt / math.ceil(self.dt / SUBSTEPS[self.method] - 1e-9))
        elif not 0 < self.substep <= self.dt or abs(self.substeps * self.substep / self.dt - 1) > 1e-9:
            raise InvalidInput(f"substep is {self.substep}; {self.dt:g} must be a whole multiple of it")

    @classmethod
    def from_json(cls, obj: Any) -> Propagation:
        """Build from untrusted JSON, what `asdict` gives; InvalidInput on anything else."""
        try:
            return cls(**obj)
        except TypeError as error:
            raise InvalidInput(f"not a propagation: {error}") from error

    @property
    def substeps(self) -> int:
        """How many a frame."""
        return round(self.dt / self.substep) if self.substep else 1

    @property
    def norm_tolerance(self) -> float:
        """How far rounding may take a norm from 1: rotations in float32 are not quite rotations."""
        rounding = {"float64": 1e-9, "float32": 2e-4}[self.precision]
        total = self.substeps * self.frames if self.substep else 0
        return rounding * max(1.0, self.frames / 500) + float(np.finfo(self.precision).eps) * total / 2

    @property
    def real(self) -> np.dtype:
        """Of the computation."""
        return np.dtype(self.precision)

    @property
    def complex(self) -> np.dtype:
        """Of the computation."""
        return np.dtype("complex128" if self.precision == "float64" else "complex64")


def setting_of(recipe: Mapping[str, Any]) -> tuple[Ring, Propagation]:
    """The box of trajectories and how they were propagated, of their recipe; InvalidInput if it is none.

    Raises MissingPlugin if the propagator is a plug-in's that is not here.
    """
    check(recipe.get("plugins"), "propagators")
    return Ring.from_json(recipe.get("ring")), Propagation.from_json(recipe.get("propagation"))


def by_potential(
    potential: Float[np.ndarray, "n points"],
) -> list[tuple[Float[np.ndarray, "points"], Int[np.ndarray, "rows"]]]:
    """The different rows of potentials (n, N), each with the numbers of the rows that equal it."""
    groups: dict[bytes, list[int]] = {}
    for i, v in enumerate(potential):
        groups.setdefault(v.tobytes(), []).append(i)
    return [(potential[rows[0]], np.array(rows)) for rows in groups.values()]


def kinetic_energy(ring: Ring, hamiltonian: str) -> Float[np.ndarray, "{ring.points}"]:
    """T(k) in the order of the FFT, (N,): k²/2, or (1 − cos(k dx))/dx² of the second-order differences."""
    if hamiltonian == "spectral":
        return ring.k**2 / 2
    return 2 * np.sin(ring.k * ring.dx / 2) ** 2 / ring.dx**2


def energy(
    psi: Complex[np.ndarray, "*#n points"],
    potential: Float[np.ndarray, "*#n points"],
    ring: Ring,
    hamiltonian: str,
) -> Float[np.ndarray, "*n"]:
    """⟨ψ|T + V|ψ⟩/⟨ψ|ψ⟩ of wave functions (…, N) complex, potentials that broadcast with them."""
    weight = np.abs(np.fft.fft(psi)) ** 2
    kinetic = (weight @ kinetic_energy(ring, hamiltonian)) / weight.sum(axis=-1)
    density = np.abs(psi) ** 2
    energy: np.ndarray = kinetic + (density * potential).sum(axis=-1) / density.sum(axis=-1)
    return energy
