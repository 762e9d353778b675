"""States with closed forms: ψ, ∇²ψ, and the V and E of which they are eigenstates. ħ = m = 1.

The Laplacians are those of the functions as they are written, not of the Schrödinger equation: what is known
of V enters only at the pinned points. Shapes: n points, d dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput, unknown
from qwell.physics.wells import MORSE_ENERGY, morse, morse_laplacian, morse_wave
from qwell.studies.metropolis import Chain, Metropolis

Function = Callable[[Tensor], Tensor]
LARGEST = 5


@dataclass(frozen=True)
class System:
    """A state ψ of H = −½∇² + V.

    Arguments:
        name: for people and files.
        dimensions: d.
        wave: points (n, d) → ψ (n,), of any norm.
        laplacian: points → ∇²ψ (n,).
        potential: points → V (n,), exact; used at the pinned points and to say how good an answer is.
        energy: E, exact.
        pin: r₀, where V is taken for known, (d,); |ψ| is large there.
        box: half the side of the cube on which errors are measured.
        scale: width of a first step of a random walk.
    """

    name: str
    dimensions: int
    wave: Function
    laplacian: Function
    potential: Function
    energy: float
    pin: tuple[float, ...]
    box: tuple[float, float] = (-5.0, 5.0)
    scale: float = 1.0

    def kinetic(self, x: Tensor) -> Tensor:
        """−∇²ψ/2ψ at points (n, d), (n,): the local energy without its potential (paper, Eq. 2)."""
        return -0.5 * self.laplacian(x) / self.wave(x)

    def kinetic_slope(self, x: Tensor) -> Tensor:
        """∇(−∇²ψ/2ψ) at points (n, d), (n, d)."""
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.kinetic(x).sum(), x)[0]

    def log_density(self, x: Tensor) -> Tensor:
        """ln |ψ|², −∞ on nodes."""
        return 2 * self.wave(x).abs().log()

    def walk(self, walkers: int, sweeps: int, seed: int, power: float = 1.0, thin: int = 5) -> Chain:
        """Points from |ψ|^{2β}, by Metropolis, burnt in; β = `power`."""
        generator = torch.Generator().manual_seed(seed)
        pin = torch.tensor(self.pin, dtype=torch.float64)
        noise = torch.randn(walkers, self.dimensions, dtype=torch.float64, generator=generator)
        sampler = Metropolis(
            lambda x: power * self.log_density(x), pin + 0.1 * self.scale * noise, self.scale, seed
        )
        sampler.burn(200)
        return sampler.sample(sweeps, thin)

    def uniform(self, points: int, seed: int, half: float | None = None) -> Tensor:
        """Points drawn evenly from the box, or from [−half, half]^d, (n, d)."""
        generator = torch.Generator().manual_seed(seed)
        a, b = self.box if half is None else (-half, half)
        drawn = torch.rand(points, self.dimensions, dtype=torch.float64, generator=generator)
        return a + (b - a) * drawn


def plane_of(system: System) -> tuple[int, int]:
    """Two coordinates, the first that along which ψ is large: not along a node."""
    first = int(np.abs(system.pin).argmax())
    return first, (first + 1) % max(system.dimensions, 2)


def mesh_of(system: System, axis: np.ndarray) -> Tensor:
    """Points (m², d) of the plane `plane_of`, all other coordinates zero."""
    mesh = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    on = torch.zeros(len(mesh), system.dimensions, dtype=torch.float64)
    on[:, list(plane_of(system))] = torch.from_numpy(mesh)
    return on


def check(system: System, at: Sequence[Sequence[float]]) -> None:
    """Raise InvalidInput if ψ is zero everywhere, or pinned points are on a node or where V has no value."""
    if wrong := next((point for point in at if len(point) != system.dimensions), None):
        raise InvalidInput(
            f"r0 = {list(wrong)} has {len(wrong)} coordinates, {system.name} has {system.dimensions}; give"
            " as many, e.g. --r0 " + ",".join(f"{c:g}" for c in system.pin)
        )
    pins = torch.tensor(at, dtype=torch.float64)
    far = system.wave(system.uniform(2000, 0)).abs()
    if not bool(torch.isfinite(far).all()) or float(far.max()) == 0:
        raise InvalidInput(f"the wave function of {system.name} is zero, or no number, everywhere")
    there = system.wave(pins).abs()
    if not bool((there > 1e-6 * far.max()).all()):
        raise InvalidInput(
            f"r0 = {pins[there.argmin()].tolist()} lies on a node of {system.name}, or beyond its reach:"
            " nothing there says what V is; choose a point where |ψ| is large"
        )
    if not bool((torch.isfinite(system.potential(pins)) & torch.isfinite(system.kinetic(pins))).all()):
        raise InvalidInput(
            f"V has no finite value at r0 = {pins.tolist()}; choose a point off its singularity"
        )


def _radius(x: Tensor) -> Tensor:
    return x.norm(dim=-1)


def _coulomb(x: Tensor) -> Tensor:
    return -1 / _radius(x)


def _quadratic(x: Tensor) -> Tensor:
    return (x**2).sum(-1) / 2


def _two_s_laplacian(x: Tensor) -> Tensor:
    r = _radius(x)
    return (2.5 - r / 4 - 4 / r) * torch.exp(-r / 2)


def _two_p_laplacian(x: Tensor) -> Tensor:
    r = _radius(x)
    return x[:, 2] * (0.25 - 2 / r) * torch.exp(-r / 2)


def hermite(n: int, x: Tensor) -> Tensor:
    """H_n(x), by H_{n+1} = 2x H_n − 2n H_{n−1}; zero for n < 0."""
    if n < 0:
        return torch.zeros_like(x)
    below, here = torch.zeros_like(x), torch.ones_like(x)
    for k in range(n):
        below, here = here, 2 * x * here - 2 * k * below
    return here


def _oscillator(d: int, n: int) -> System:
    """H_n(x) e^{−r²/2}: n quanta along the first axis, E = n + d/2."""

    def wave(x: Tensor) -> Tensor:
        return hermite(n, x[:, 0]) * torch.exp(-_quadratic(x))

    def laplacian(x: Tensor) -> Tensor:
        h, dh = hermite(n, x[:, 0]), 2 * n * hermite(n - 1, x[:, 0])
        ddh = 4 * n * (n - 1) * hermite(n - 2, x[:, 0])
        return (ddh - 2 * x[:, 0] * dh + (2 * _quadratic(x) - d) * h) * torch.exp(-_quadratic(x))

    outer = math.sqrt(2 * n + 1) if n else 0.0  # the classical turning point: beyond all nodes
    pin = (outer, *[0.0] * (d - 1))
    name = f"oscillator-{n}" if d == 1 else f"oscillator-{d}d" + (f"-{n}" if n else "")
    return System(name, d, wave, laplacian, _quadratic, n + d / 2, pin)


def _morse() -> System:
    """The ground state of V = (1 − e^{−x})²."""
    return System(
        "morse", 1, lambda x: morse_wave(x[:, 0], torch.exp), lambda x: morse_laplacian(x[:, 0], torch.exp),
        lambda x: morse(x[:, 0], torch.exp), MORSE_ENERGY, (0.4,), box=(-1.5, 5.0),
    )  # fmt: skip


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System(
            "hydrogen-1s", 3, lambda x: torch.exp(-_radius(x)),
            lambda x: (1 - 2 / _radius(x)) * torch.exp(-_radius(x)), _coulomb, -0.5, (1.0, 0.0, 0.0),

        ),
        System(
            "hydrogen-2s", 3, lambda x: (2 - _radius(x)) * torch.exp(-_radius(x) / 2), _two_s_laplacian,
            _coulomb, -0.125, (1.0, 0.0, 0.0), scale=2.0,
        ),
        System(
            "hydrogen-2p", 3, lambda x: x[:, 2] * torch.exp(-_radius(x) / 2), _two_p_laplacian,
            _coulomb, -0.125, (0.0, 0.0, 2.0), scale=2.0,
        ),
        *(_oscillator(1, n) for n in range(LARGEST + 1)),
        *(_oscillator(d, n) for d in (2, 3) for n in (0, 1)),
        _morse(),
    )
}  # fmt: skip


def system_of(name: str) -> System:
    """A system by its name; InvalidInput lists the names there are."""
    if name not in SYSTEMS:
        raise InvalidInput(unknown("system", name, SYSTEMS))
    return SYSTEMS[name]
