"""Gradients of exact motion in torch: what they cost, how much memory they take, and whether they are right.

    python benchmarks/propagate.py [--repeats 5]

A packet in a harmonic well under a field, with gradients to ψ₀, V and the size of the field. Times are of the
processor, one thread, the shortest of some repeats. The peer is the same product of steps left to torch's own
reverse mode, which keeps every step: nothing else in torch propagates wave packets with gradients. Peaks of
memory are of processes of their own, over what they hold before.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import report
from torch import Tensor

from qwell.models.propagate import propagate
from qwell.physics.propagators.compositions import composition
from qwell.physics.propagators.family import propagate as by_eigenstates
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring

SIZES = ((1, 256), (1, 1024), (16, 512), (100, 1024))
STEPS = 50
ORDER = 6


class Problem:
    """A batch of packets on a ring of some points."""

    def __init__(self, batch: int, points: int, steps: int) -> None:
        self.ring, self.steps = Ring(40.0, points), steps
        self.x = torch.from_numpy(self.ring.x - 20)
        shifts = torch.linspace(-1, 1, batch, dtype=torch.float64)[:, None]
        psi = torch.exp(-((self.x - shifts) ** 2) / 2) * math.pi**-0.25
        self.psi = psi.to(torch.complex128).requires_grad_()
        self.v = (self.x**2 / 2).requires_grad_()
        self.size = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def field(self, times: Tensor) -> Tensor:
        return -self.size * torch.sin(times)[:, None] * self.x

    def ours(self) -> Tensor:
        return propagate(
            self.psi, self.v, self.field, ring=self.ring, dt=1.0, substeps=self.steps, order=ORDER,
            parameters=[self.size],
        )[..., -1, :]  # fmt: skip

    def plain(self) -> Tensor:
        """The same steps, each kept by torch."""
        all_steps = composition(ORDER, "spectral").repeated(self.steps)
        step, kinetic = 1.0 / self.steps, torch.from_numpy(self.ring.k**2 / 2)
        times = torch.from_numpy(all_steps.times * step)
        weights = torch.from_numpy(all_steps.kicks * step)
        kicks = torch.exp(-1j * weights[:, None] * (self.v + self.field(times)))
        drifts = {a: torch.exp(-1j * a * step * kinetic) for a in set(all_steps.drifts)}
        psi = self.psi * kicks[0]
        for a, kick in zip(all_steps.drifts, kicks[1:], strict=True):
            psi = torch.fft.ifft(torch.fft.fft(psi) * drifts[a]) * kick
        return psi

    def gradient(self, motion: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        loss = (motion().abs() ** 2 @ self.x).sum() * self.ring.dx
        return torch.autograd.grad(loss, [self.psi, self.v, self.size])


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest time of the processor."""
    found = math.inf
    for _ in range(repeats):
        clock = time.process_time()
        function()
        found = min(found, time.process_time() - clock)
    return found


def peak(kind: str, steps: int) -> float:
    """MiB that a gradient with so many steps takes, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, __file__, "--peak", kind, str(steps)], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def show_peak(kind: str, steps: int) -> None:
    torch.set_num_threads(1)
    small = Problem(4, 512, 2)
    small.gradient(getattr(small, kind))  # libraries and their buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    problem = Problem(4, 512, steps)
    problem.gradient(getattr(problem, kind))
    print(memory("VmHWM") - before)


def memory(what: str) -> float:
    """A number of this process by Linux, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def agreement() -> float:
    """The largest difference of the torch and the numpy path, over four frames in an anharmonic well."""
    ring = Ring(40.0, 256)
    x = ring.x - 20
    v = x**2 / 2 + 0.05 * x**3 * np.exp(-(x**2) / 20)
    psi = np.exp(-((x - 1) ** 2) / 2 + 0.5j * x) * math.pi**-0.25
    parts = by_eigenstates(psi, v, ring, Propagation("eigen", dt=1.0, frames=4))[0]
    ours = propagate(torch.from_numpy(psi), torch.from_numpy(v), ring=ring, dt=1.0, frames=4)
    return float(np.abs(ours.numpy() - parts[..., 0] - 1j * parts[..., 1]).max())


def against_differences() -> float:
    """The largest relative difference of the slope with the field's size from a central difference."""
    problem = Problem(1, 256, STEPS)
    slope = float(problem.gradient(problem.ours)[2])

    def loss(size: float) -> float:
        with torch.no_grad():
            problem.size.fill_(size)
            return float((problem.ours().abs() ** 2 @ problem.x).sum() * problem.ring.dx)

    h = 1e-3  # the position is linear in the field: differences have no error but rounding
    return abs((loss(0.3 + h) - loss(0.3 - h)) / (2 * h) / slope - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        show_peak(options.peak[0], int(options.peak[1]))
        return
    torch.set_num_threads(1)
    rows: dict[str, float] = {
        "numpy and torch differ by (at most 1e-10)": agreement(),
        "slope with the field, relative difference from differences (at most 1e-7)": against_differences(),
    }
    for batch, points in SIZES:
        problem, name = Problem(batch, points, STEPS), f"{batch} x {points} points, {STEPS} steps"
        with torch.no_grad():
            forward = seconds(problem.ours, options.repeats)
        rows[f"{name}: propagation [ms]"] = 1e3 * forward
        gradient = seconds(lambda p=problem: p.gradient(p.ours), options.repeats)  # type: ignore[misc]
        rows[f"{name}: gradient / propagation (at most 4)"] = gradient / forward
        kept = seconds(lambda p=problem: p.gradient(p.plain), options.repeats)  # type: ignore[misc]
        rows[f"{name}: gradient with every step kept / ours"] = kept / gradient
    for steps in (100, 1000, 10_000):
        rows[f"4 x 512 points, {steps} steps: memory of a gradient [MiB]"] = peak("ours", steps)
    for steps in (100, 1000):
        rows[f"4 x 512 points, {steps} steps: memory with every step kept [MiB]"] = peak("plain", steps)
    report("propagate", f"python benchmarks/propagate.py --repeats {options.repeats}", rows)


if __name__ == "__main__":
    main()
