"""Tasks of control: a potential with one knob u, where a wave packet begins, and where it should end.

    transport  V = −20 exp(−(x − u)²/8)     the trap's place u goes from −5 to 5, 21 standard deviations of
                                            the packet; ground state to ground state
    split      V = x²/2 + u exp(−2x²)       the height u of a barrier goes from 0 to 20; ground state to
                                            ground state, which has two halves
    excite     V = x⁴/4 − u x               the field u begins and ends at 0; ground state to first excited
    tunnel     V = 3 (x²/4 − 1)² − u x      the field u begins and ends at 0; the state in the left well to
                                            that in the right one, (φ₀ ∓ φ₁)/√2

x is measured from the middle of a ring; all in atomic units. u(t) is a plain course and a deviation: the
course is u₀ + (u₁ − u₀)(10s³ − 15s⁴ + 6s⁵), s = t/T; the deviation d = Σ_k c_k sin(kπs), scaled so that
|d| < bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qwell.physics.observables import eigenstates
from qwell.physics.ring import Ring

RINGS = {
    "transport": Ring(40.0, 256),
    "split": Ring(20.0, 128),
    "excite": Ring(14.0, 96),
    "tunnel": Ring(14.0, 96),
}
SHARP = 32  # p of the norm that stands for the largest value: above it, by less than a fifth
FINE = 16  # points to a period of the fastest sine, where the largest deviation is looked for


@dataclass(frozen=True)
class Task:
    """One task.

    Arguments:
        name: of TASKS.
        ring: the box.
        landscape: u (t,) → V (t, n), differentiable.
        begin, end: u at the beginning and at the end.
        first, target: ψ where it begins and where it should end (n,), Σ|ψ|² dx = 1.
        knob: what u is, with its unit.
    """

    name: str
    ring: Ring
    landscape: Callable[[Tensor], Tensor]
    begin: float
    end: float
    first: Tensor
    target: Tensor
    knob: str

    def infidelity(self, psi: Tensor) -> Tensor:
        """1 − |⟨target|ψ⟩|²."""
        return 1 - (self.target.conj() @ psi * self.ring.dx).abs() ** 2


def task_of(name: str, ring: Ring | None = None) -> Task:
    """The task of a name, on its own ring or another one."""
    ring = ring or RINGS[name]
    x = torch.from_numpy(ring.x - ring.box / 2)

    def states(landscape: Callable[[Tensor], Tensor], u: float, levels: int) -> Tensor:
        v = landscape(torch.tensor([u], dtype=torch.float64))[0].numpy()
        return torch.from_numpy(eigenstates(v, ring, "spectral", levels)[1]).to(torch.complex128)

    if name == "transport":

        def trap(u: Tensor) -> Tensor:
            return -20 * torch.exp(-((x - u[:, None]) ** 2) / 8)

        return Task(
            name,
            ring,
            trap,
            -5.0,
            5.0,
            states(trap, -5.0, 1)[0],
            states(trap, 5.0, 1)[0],
            "place of the trap  [bohr]",
        )
    if name == "split":
        dam = _with_field(x**2 / 2, -torch.exp(-2 * x**2))
        return Task(
            name,
            ring,
            dam,
            0.0,
            20.0,
            states(dam, 0.0, 1)[0],
            states(dam, 20.0, 1)[0],
            "height of the barrier  [hartree]",
        )
    well = x**4 / 4 if name == "excite" else 3 * (x**2 / 4 - 1) ** 2
    field = _with_field(well, x)
    ground, excited = states(field, 0.0, 2)
    if name == "tunnel":  # φ₀ and φ₁ have their largest value, which is positive, on whichever side
        excited = excited * torch.sign((x * (ground * excited).real).sum())
        ground, excited = (ground - excited) / math.sqrt(2), (ground + excited) / math.sqrt(2)
    return Task(name, ring, field, 0.0, 0.0, ground, excited, "field  [hartree/bohr]")


def _with_field(v: Tensor, x: Tensor) -> Callable[[Tensor], Tensor]:
    """u ↦ v − u x."""
    return lambda u: v - u[:, None] * x


class Control(nn.Module):
    """u(t) of one task, and with it V(x, t): a drive for `qwell.propagate`.

    Arguments:
        task: what is to be done.
        duration: T.
        bound: of |d(t)|.
        modes: number of sines.
    """

    def __init__(self, task: Task, duration: float, bound: float, modes: int) -> None:
        super().__init__()
        self.task, self.duration, self.bound = task, duration, bound
        self.sines = nn.Parameter(torch.zeros(modes, dtype=torch.float64))

    def _deviation(self, times: Tensor) -> Tensor:
        k = torch.arange(1, len(self.sines) + 1, dtype=torch.float64)
        return torch.sin(math.pi / self.duration * times[:, None] * k) @ self.sines

    def course(self, times: Tensor) -> Tensor:
        """u without deviation at these times, (t,)."""
        s = (times / self.duration).clamp(0, 1)
        return self.task.begin + (self.task.end - self.task.begin) * s**3 * (10 - 15 * s + 6 * s**2)

    def signal(self, times: Tensor) -> Tensor:
        """u at these times, (t,).

        d ↦ d·b/(b^p + ‖d‖_p^p)^{1/p}, the norm over `FINE` points a period: never beyond the bound b, and the
        frequencies stay what they are.
        """
        everywhere = torch.linspace(0, self.duration, FINE * len(self.sines) + 1, dtype=torch.float64)
        sizes = torch.cat(
            [torch.ones(1, dtype=torch.float64), self._deviation(everywhere).abs() / self.bound]
        )
        return self.course(times) + self._deviation(times) / torch.linalg.vector_norm(sizes, SHARP)

    def forward(self, times: Tensor) -> Tensor:
        """V(x, t), (t, n)."""
        return self.task.landscape(self.signal(times))

    def largest(self) -> float:
        """max |d|, looked for at ten times as many points."""
        with torch.no_grad():
            times = torch.linspace(0, self.duration, 10 * FINE * len(self.sines) + 1, dtype=torch.float64)
            return float((self.signal(times) - self.course(times)).abs().max())
