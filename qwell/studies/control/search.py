"""The search for a control: L-BFGS on the infidelity, with gradients through exact or emulated motion.

GRAPE's idea (Khaneja et al., J. Magn. Reson. 172, 296 (2005)) in a basis of few sines, so that amplitude and
bandwidth are bounded by construction. Whatever the search believes, exact motion judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.propagate import enough_substeps, propagate
from qwell.models.propagating import RingEmulator
from qwell.progress import stage
from qwell.studies.control.config import ControlConfig
from qwell.studies.control.tasks import Control, Task
from qwell.train.config import known

Motion = Callable[[Control], Tensor]  # a control → ψ(T), (n,)
SEARCHED, JUDGED = 1e-7, 1e-10  # errors of ψ(T) allowed in the search, and in the judgement
FIRST = 0.03  # of the bound: spread of the first coefficients, since at 0 the gradient may vanish


@dataclass(frozen=True)
class Found:
    """A control, and what it does.

    Arguments:
        control: the control.
        believed: its infidelity in the motion that the search went by.
        infidelity: the same in exact motion.
        plain: that of the plain course, exact.
        history: infidelity believed, an iteration after the other.
        seconds: of the processor, of the search.
        evaluations: gradients.
    """

    control: Control
    believed: float
    infidelity: float
    plain: float
    history: list[float]
    seconds: float
    evaluations: int


def exactly(task: Task, control: Control, tolerance: float) -> Motion:
    """Exact motion, with as many steps as the control at hand needs."""
    nothing = torch.zeros(task.ring.points, dtype=torch.float64)
    with torch.no_grad():
        steps = enough_substeps(
            task.first, nothing, control, ring=task.ring, dt=control.duration, tolerance=tolerance
        )

    def moved(control: Control) -> Tensor:
        return propagate(task.first, nothing, control, ring=task.ring, dt=control.duration, substeps=steps)[
            -1
        ]

    return moved


def emulated(task: Task, emulator: RingEmulator, dt: float, v_scale: float, duration: float) -> Motion:
    """Motion by an emulator on the ring, which sees V at the middle of each frame.

    Raises InvalidInput unless the duration is a whole number of its frames.
    """
    frames = round(duration / dt)
    if frames < 1 or abs(frames * dt / duration - 1) > 1e-9:
        raise InvalidInput(
            f"the duration is {duration:g}; the emulator moves in frames of {dt:g}: choose a multiple, say"
            f" {max(frames, 1) * dt:g}"
        )
    middles = dt * (torch.arange(frames, dtype=torch.float64) + 0.5)

    def moved(control: Control) -> Tensor:
        psi = task.first[None].to(torch.complex64)
        for v in (control(middles) / v_scale).float():
            psi = emulator(psi, v[None])
        return psi[0].to(torch.complex128)

    return moved


def search(config: ControlConfig, task: Task, motion: Motion | None = None) -> Found:
    """Find a control of a task.

    Arguments:
        config: how, resolved.
        task: what is wanted.
        motion: what the search goes by; None for exact motion.
    """
    control = Control(task, known(config.duration), known(config.bound), config.modes)
    plain = judged(task, control)
    began, history, evaluations = time.process_time(), [], 0
    draw = np.random.default_rng(config.seed).standard_normal(config.modes)
    first = FIRST * control.bound * draw / np.arange(1, config.modes + 1)
    control.sines.data.copy_(torch.from_numpy(first))
    by = motion or exactly(task, control, SEARCHED)

    def slope(sines: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations
        evaluations += 1
        control.sines.data.copy_(torch.from_numpy(sines))
        loss = task.infidelity(by(control))
        (gradient,) = torch.autograd.grad(loss, [control.sines])
        return loss.item(), gradient.numpy()

    with stage("iterations", config.iterations) as done:

        def after(intermediate_result: object) -> None:
            history.append(float(intermediate_result.fun))  # type: ignore[attr-defined]
            done(1, note=f"infidelity {history[-1]:.2e}")
            if history[-1] <= config.goal:
                raise StopIteration

        answer = minimize(
            slope, first, jac=True, method="L-BFGS-B", callback=after,
            options={"maxiter": config.iterations, "maxcor": 20, "ftol": 0.0, "gtol": 1e-12},
        )  # fmt: skip
    seconds = time.process_time() - began
    control.sines.data.copy_(torch.from_numpy(answer.x))
    with torch.no_grad():
        believed = float(task.infidelity(by(control)))
    return Found(control, believed, judged(task, control), plain, history, seconds, evaluations)


def judged(task: Task, control: Control) -> float:
    """The infidelity of a control in exact motion."""
    with torch.no_grad():
        return float(task.infidelity(exactly(task, control, JUDGED)(control)))
