"""States given on an equally spaced grid: of a data set, or in a file.

ψ'' by the data set's own differences, (ψ_{l+1} − 2ψ_l + ψ_{l−1})/dx², which undo its Hamiltonian exactly; by
a quintic spline; or by the sine series that vanishes at the ends.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.fft import dst, idst
from scipy.interpolate import make_interp_spline
from torch import Tensor

from qwell.errors import InvalidInput, unknown
from qwell.studies.inverse.config import DERIVATIVES
from qwell.studies.inverse.systems import System
from qwell.studies.metropolis import Chain

CLEAN = 1e-10  # of the largest, what is no more than rounding
INSIDE = 1e-2  # of the largest |ψ|²: where ψ says what V is


def second_derivative(wave: np.ndarray, dx: float, how: str = "difference") -> np.ndarray:
    """ψ'' at the inner points (n − 2,) of ψ (n,); InvalidInput for an unknown way."""
    if how == "difference":
        return (wave[2:] - 2 * wave[1:-1] + wave[:-2]) / dx**2
    if how == "spline":
        x = dx * np.arange(len(wave))
        return np.asarray(make_interp_spline(x, wave, k=5).derivative(2)(x[1:-1]))
    if how == "spectral":
        k = np.pi * np.arange(1, len(wave) - 1) / (dx * (len(wave) - 1))
        return np.asarray(-idst(k**2 * dst(wave[1:-1], type=1), type=1))
    raise InvalidInput(unknown("derivative", how, DERIVATIVES))


def derivative_for(wave: np.ndarray) -> str:
    """How to differentiate ψ (n,) of a file: "spectral" where it is smooth and vanishes at the ends.

    Smooth is that the last quarter of its sine series is rounding: then ψ'' is as exact as ψ. Of everything
    else, differences.
    """
    inner = np.asarray(wave, float)[1:-1]
    largest = np.abs(inner).max(initial=0.0)
    series = np.abs(dst(inner, type=1)) if len(inner) else inner
    vanishing = max(abs(wave[0]), abs(wave[-1])) <= CLEAN * largest
    rounding = series[3 * len(series) // 4 :].max(initial=0.0) <= CLEAN * series.max(initial=0.0)
    return "spectral" if vanishing and rounding and largest > 0 else "difference"


class GridSystem(System):
    """A state known at the points of a grid; points off the grid stand for the nearest on it.

    Only points where |ψ|² exceeds a hundredth of its maximum are drawn: elsewhere ψ''/ψ is noise.
    """

    @classmethod
    def of(
        cls,
        name: str,
        x: np.ndarray,
        wave: np.ndarray,
        potential: np.ndarray | None = None,
        energy: float = np.nan,
        derivative: str = "difference",
    ) -> GridSystem:
        """Build from samples.

        Arguments:
            name: for people and files.
            x: (n,), equally spaced; wave: ψ (n,), of any norm; potential: V (n,), where it is known.
            energy: E, if known.
            derivative: "difference", "spline" or "spectral".

        Raises InvalidInput for shapes that do not fit, unequal spacing, or a ψ that is zero or no number.
        """
        x, wave = np.asarray(x, float), np.asarray(wave, float)
        if x.ndim != 1 or x.shape != wave.shape or len(x) < 7:
            raise InvalidInput(f"x and ψ have shapes {x.shape} and {wave.shape}; at least 7 of each")
        steps = np.diff(x)
        dx = float(steps.mean())
        if not (dx > 0 and np.allclose(steps, dx, rtol=1e-4)):
            raise InvalidInput("x must be equally spaced and ascending")
        if not np.isfinite(wave).all() or not np.abs(wave).max() > 0:
            raise InvalidInput("the wave function is zero everywhere, or no number somewhere")
        wave = wave / np.abs(wave).max()
        inner = slice(1, -1)
        bend = second_derivative(wave, dx, derivative)
        nodes, psi = torch.from_numpy(x[inner].copy()), torch.from_numpy(wave[inner].copy())
        lap = torch.from_numpy(np.ascontiguousarray(bend))
        v = (
            torch.full_like(psi, np.nan)
            if potential is None
            else torch.from_numpy(np.asarray(potential, float)[inner].copy())
        )

        def at(values: Tensor) -> object:
            return lambda points: values[
                ((points[:, 0] - nodes[0]) / dx).round().long().clamp(0, len(nodes) - 1)
            ]

        seen = np.flatnonzero(psi.numpy() ** 2 > INSIDE)
        pin = float(nodes[int(psi.abs().argmax())])
        system = cls(
            name, 1, at(psi), at(lap), at(v), float(energy), (pin,),  # type: ignore[arg-type]
            box=(float(nodes[seen[0]]), float(nodes[seen[-1]])),
        )  # fmt: skip
        object.__setattr__(system, "nodes", nodes[torch.from_numpy(seen)])
        object.__setattr__(system, "spacing", dx)
        return system

    def kinetic_slope(self, x: Tensor) -> Tensor:
        """d(−ψ''/2ψ)/dx at grid points (n, 1), by differences to the neighbours that are drawn, too, (n, 1).

        A neighbour that is not drawn lies near a node of ψ, where ψ''/ψ is noise; a point without any has 0.
        """
        nodes: Tensor = self.nodes  # type: ignore[attr-defined]
        dx: float = self.spacing  # type: ignore[attr-defined]
        here, slope, sides = self.kinetic(x), torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(x))
        for step in (-dx, dx):
            drawn = (x + step - nodes).abs().amin(1) < dx / 2
            slope[drawn] += ((self.kinetic(x + step) - here) / step)[drawn]
            sides += drawn
        return (slope / sides.clamp_min(1))[:, None]

    def walk(self, walkers: int, sweeps: int, seed: int, power: float = 1.0, thin: int = 5) -> Chain:
        """Grid points drawn independently from |ψ|^{2β}."""
        nodes: Tensor = self.nodes  # type: ignore[attr-defined]
        weights = torch.exp(power * self.log_density(nodes[:, None]))
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(weights, walkers * sweeps, True, generator=generator)
        return Chain(nodes[drawn].reshape(sweeps, walkers, 1), 0.0, 1.0)

    def uniform(self, points: int, seed: int, half: float | None = None) -> Tensor:
        """Grid points drawn evenly; there is no smaller cube."""
        nodes: Tensor = self.nodes  # type: ignore[attr-defined]
        generator = torch.Generator().manual_seed(seed)
        return nodes[torch.randint(len(nodes), (points,), generator=generator), None]


def read_state(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x, ψ and, if there is a third column, V of a text file (commas or blanks) or `.npy` (n, 2 or 3).

    Raises InvalidInput if it cannot be read.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            table = np.load(path, allow_pickle=False)
        else:
            lines = [line.replace(",", " ") for line in path.read_text().splitlines()]
            rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
            if rows and not _number(rows[0][0]):
                rows = rows[1:]  # a heading
            table = np.array(rows, float)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}; write two columns, x and ψ") from error
    if table.ndim != 2 or table.shape[1] not in (2, 3):
        raise InvalidInput(f"{path} has shape {table.shape}; write two columns, x and ψ, or three with V")
    return table[:, 0], table[:, 1], table[:, 2] if table.shape[1] == 3 else None


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
