"""A periodic box: x_j = j·dx for j = 0 … N − 1, dx = L/N, and x = L is x = 0 again (dynamics paper)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput


@dataclass(frozen=True)
class Ring:
    """N points on a ring of circumference L, in atomic units (Bohr radii).

    Arguments:
        box: L.
        points: N, even and at least 8.

    Raises:
        InvalidInput: a value out of range.
    """

    box: float = 100.0
    points: int = 1024

    def __post_init__(self) -> None:
        if not (math.isfinite(self.box) and self.box > 0):
            raise InvalidInput(f"box is {self.box}; it must be a positive number")
        if not (8 <= self.points <= 2**20 and self.points % 2 == 0):
            raise InvalidInput(f"points is {self.points}; it must be even, from 8 to {2**20}")

    @classmethod
    def from_json(cls, obj: Any) -> Ring:
        """Build from untrusted JSON, what `asdict` gives; InvalidInput on anything else."""
        try:
            return cls(**obj)
        except TypeError as error:
            raise InvalidInput(f"not a ring: {error}") from error

    @property
    def dx(self) -> float:
        return self.box / self.points

    @property
    def x(self) -> Float[np.ndarray, "{self.points}"]:
        """(N,) positions."""
        return np.arange(self.points) * self.dx

    @property
    def k(self) -> Float[np.ndarray, "{self.points}"]:
        """(N,) wave numbers 2πj/L in the order of the FFT."""
        return 2 * np.pi * np.fft.fftfreq(self.points, self.dx)

    def displacement(self, centre: float) -> Float[np.ndarray, "{self.points}"]:
        """(N,) x − centre by the shorter way round, in [−L/2, L/2)."""
        return (self.x - centre + self.box / 2) % self.box - self.box / 2
