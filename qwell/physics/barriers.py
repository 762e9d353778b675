"""Potentials on a ring, each a shape with numbers: Potential("rectangle", {"height": 5, "width": 7}).

Lengths are in Bohr radii, energies in Hartree; centre is the middle of the box unless given; a negative
height makes a well of a barrier. c is the centre, u = x − c, w the width, h the height:

    free                         0
    rectangle    height width    h where |u| < w/2
    rectangles   edges heights   heights[i] where edges[2i] ≤ x ≤ edges[2i+1]; double, triple, wells
    steps        edges heights   heights[i] where edges[i] ≤ x < edges[i+1]; a pyramid, or any other stairs
    half-circle  height radius   h √(1 − (u/r)²) where |u| < r
    ramp         height width    h (u/w + ½) where |u| < w/2; falling: h (½ − u/w)
    triangle     height width    h (1 − 2|u|/w) where |u| < w/2
    trapezoid    height width top    flat over the inner `top`, linear flanks to |u| = w/2
    quadratic    height width    h (1 − (2u/w)²) where |u| < w/2
    random       height width length seed    a Gaussian process of correlation length `length`, scaled to run
                                 from 0 to h, where |u| < w/2, and smoothly to 0 at the ends (sin² over w/8)
    gaussian     height width    h exp(−2 (2u/w)²): e⁻² of h at |u| = w/2
    harmonic     frequency       ½ ω² u², ω the frequency in Hartree/ħ
    lattice      height period   h sin²(π u/period): an optical lattice, smooth if whole periods fill the box
    values       values          any values, one a point

and those of plug-ins (`qwell.register_shape`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput, unknown
from qwell.physics.ring import Ring
from qwell.plugins import Family


def _rectangle(ring: Ring, u: np.ndarray, height: float, width: float) -> np.ndarray:
    return np.where(np.abs(u) < width / 2, height, 0.0)


def _rectangles(ring: Ring, u: np.ndarray, edges: list[float], heights: list[float]) -> np.ndarray:
    _expect(len(edges) == 2 * len(heights), "rectangles needs two edges for each height")
    v = np.zeros(ring.points)
    for i, height in enumerate(heights):
        v[(ring.x >= edges[2 * i]) & (ring.x <= edges[2 * i + 1])] = height
    return v


def _steps(ring: Ring, u: np.ndarray, edges: list[float], heights: list[float]) -> np.ndarray:
    _expect(len(edges) == len(heights) + 1, "steps needs one edge more than heights")
    _expect(sorted(edges) == list(edges), "the edges of steps must ascend")
    return np.concatenate([[0.0], heights, [0.0]])[np.searchsorted(edges, ring.x, side="right")]


def _half_circle(ring: Ring, u: np.ndarray, height: float, radius: float) -> np.ndarray:
    return height * np.sqrt(np.maximum(0.0, 1 - (u / radius) ** 2))


def _ramp(ring: Ring, u: np.ndarray, height: float, width: float, falling: bool = False) -> np.ndarray:
    slope = height * (0.5 - u / width if falling else u / width + 0.5)
    return np.where(np.abs(u) < width / 2, slope, 0.0)


def _triangle(ring: Ring, u: np.ndarray, height: float, width: float) -> np.ndarray:
    shape: np.ndarray = height * np.maximum(0.0, 1 - 2 * np.abs(u) / width)
    return shape


def _trapezoid(ring: Ring, u: np.ndarray, height: float, width: float, top: float) -> np.ndarray:
    _expect(top < width, "the top of a trapezoid must be narrower than its width")
    shape: np.ndarray = height * np.clip((width - 2 * np.abs(u)) / (width - top), 0.0, 1.0)
    return shape


def _quadratic(ring: Ring, u: np.ndarray, height: float, width: float) -> np.ndarray:
    return height * np.maximum(0.0, 1 - (2 * u / width) ** 2)


def _random(
    ring: Ring, u: np.ndarray, height: float, width: float, length: float, seed: int = 0
) -> np.ndarray:
    inside = np.flatnonzero(np.abs(u) < width / 2)
    _expect(len(inside) > 1, "the width of a random potential must span more than one point")
    _expect(width / length <= ring.points, f"length is below the width divided by {ring.points} points")
    _expect(type(seed) is int and seed >= 0, f"seed is {seed}; it must be a whole number, not negative")
    order = inside[np.argsort(u[inside])]
    s = u[order]
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
    waves = np.arange(1, int(width / length) + 2)  # a Fourier series of a smooth process, not of the mesh
    weight = np.exp(-((np.pi * waves * length / width) ** 2) / 4)
    normal = rng.standard_normal((2, len(waves)))
    phase = np.pi * np.outer(s / width, waves)
    v = np.cos(phase) @ (weight * normal[0]) + np.sin(phase) @ (weight * normal[1])
    v = (v - v.min()) / (v.max() - v.min())
    flank = np.clip((width / 2 - np.abs(s)) / (width / 8), 0.0, 1.0)
    out = np.zeros(ring.points)
    out[order] = height * v * np.sin(np.pi / 2 * flank) ** 2
    return out


def _gaussian(ring: Ring, u: np.ndarray, height: float, width: float) -> np.ndarray:
    return height * np.exp(-2 * (2 * u / width) ** 2)


def _harmonic(ring: Ring, u: np.ndarray, frequency: float) -> np.ndarray:
    return (frequency * u) ** 2 / 2


def _lattice(ring: Ring, u: np.ndarray, height: float, period: float) -> np.ndarray:
    wave: np.ndarray = height * np.sin(np.pi * u / period) ** 2
    return wave


def _values(ring: Ring, u: np.ndarray, values: list[float]) -> np.ndarray:
    _expect(
        len(values) == ring.points, f"the potential has {len(values)} values, the box {ring.points} points"
    )
    return np.array(values, dtype=float)


_OWN: dict[str, Callable[..., np.ndarray]] = {
    "free": lambda ring, u: np.zeros(ring.points),
    "rectangle": _rectangle,
    "rectangles": _rectangles,
    "steps": _steps,
    "half-circle": _half_circle,
    "ramp": _ramp,
    "triangle": _triangle,
    "trapezoid": _trapezoid,
    "quadratic": _quadratic,
    "random": _random,
    "gaussian": _gaussian,
    "harmonic": _harmonic,
    "lattice": _lattice,
    "values": _values,
}
SHAPES: Family[Callable[..., np.ndarray]] = Family("shapes", _OWN)
LARGEST = 1.7e308  # that float64 holds
POSITIVE = ("width", "radius", "length", "top", "frequency", "period")
MANY = ("edges", "heights", "values")  # of which the shapes above take lists; of all else one number


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidInput(f"the potential is impossible: {message}")


@dataclass(frozen=True)
class Potential:
    """A shape of SHAPES and its numbers, as above.

    Raises InvalidInput for an unknown shape. `on` raises it for numbers that are missing or out of range.
    """

    shape: str = "free"
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InvalidInput(unknown("shape", self.shape, SHAPES))

    def on(self, ring: Ring) -> Float[np.ndarray, "{ring.points}"]:
        """V on the ring, (N,) float64."""
        numbers = dict(self.numbers)
        for name, value in numbers.items():
            many = isinstance(value, list | tuple)
            every = value if many else [value]
            if not all(type(v) in (int, float, bool) and abs(v) <= LARGEST for v in every):
                raise InvalidInput(
                    f"{name} of potential {self.shape!r} is {str(value)[:80]}; expected finite numbers"
                )
            if self.shape in _OWN and many != (name in MANY):
                raise InvalidInput(
                    f"{name} of potential {self.shape!r} is {str(value)[:80]}; expected"
                    f" {'one number' if many else 'a list of numbers'}"
                )
            _expect(name not in POSITIVE or value > 0, f"{name} is {value}; it must be positive")
        centre = numbers.pop("centre", ring.box / 2)
        self._check_names(numbers)
        v = np.asarray(SHAPES[self.shape](ring, ring.displacement(centre), **numbers), dtype=float)
        _expect(v.shape == (ring.points,), f"{self.shape} gives an array of shape {v.shape}")
        _expect(bool(np.isfinite(v).all()), "it is not finite everywhere")
        return v

    def _check_names(self, numbers: Mapping[str, Any]) -> None:
        """Raise InvalidInput unless a shape has all the numbers that it needs, and no others."""
        taken = list(signature(SHAPES[self.shape]).parameters.values())[2:]  # after the ring and u
        needed = [p.name for p in taken if p.default is p.empty]
        if missing := [name for name in needed if name not in numbers]:
            raise InvalidInput(
                f"{self.shape} needs {' and '.join(missing)} as well: write"
                f" {':'.join([self.shape, *(f'{name}=…' for name in needed)])}"
            )
        names = [p.name for p in taken]
        for name in numbers:
            if name not in names:
                raise InvalidInput(f"{self.shape}: {unknown('number', name, [*names, 'centre'])}")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, flat."""
        return {"shape": self.shape, **self.numbers}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Potential:
        """Build from untrusted JSON; InvalidInput unless it is an object with a known shape."""
        if not isinstance(obj, Mapping) or not isinstance(obj.get("shape"), str):
            raise InvalidInput(f"not a potential: {obj!r}; expected an object with a shape")
        return cls(obj["shape"], {k: v for k, v in obj.items() if k != "shape"})
