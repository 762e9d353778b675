"""What a search for a control found: table, figures, and u(t) as a file."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.figures.control import control_figure
from qwell.files import atomic_write
from qwell.models.propagate import propagate
from qwell.models.propagating import RingEmulator
from qwell.physics.propagators.settings import setting_of
from qwell.studies.control.config import ControlConfig
from qwell.studies.control.search import Found, Motion, emulated, search
from qwell.studies.control.tasks import Control, Task, task_of
from qwell.studies.finding import Finding
from qwell.studies.probes.emulator import load_emulator
from qwell.train.config import known
from qwell.train.runs import Run, load_model, trained_on

SHOWN = 1e-6  # error of the motion in figures
FRAMES = 200  # of the figure and the file


def control_of(config: ControlConfig, run: Run | None = None) -> tuple[Found, Finding]:
    """Find a control as configured, judge it by exact motion, and describe it.

    Arguments:
        config: how, resolved.
        run: gets metrics and `signal.csv`, if given.

    Raises InvalidInput for a run that is no emulator on the ring, or whose frames do not make up the
    duration.
    """
    task, motion = _asked(config)
    found = search(config, task, motion)
    times = torch.linspace(0, known(config.duration), FRAMES + 1, dtype=torch.float64)
    with torch.no_grad():
        signal, course = found.control.signal(times).numpy(), found.control.course(times).numpy()
    if run is not None:
        for iteration, value in enumerate(found.history, start=1):
            run.log({"update": iteration, "infidelity": value})
        lines = [f"{t:.6g},{u:.12g},{c:.12g}" for t, u, c in zip(times.tolist(), signal, course, strict=True)]
        atomic_write(run.path / "signal.csv", "\n".join(["t,u,course", *lines, ""]).encode())
    density = _motion(task, found.control).abs().square().numpy()
    x = task.ring.x - task.ring.box / 2
    figure = control_figure(
        times.numpy(), signal, course, known(config.bound), task.knob, x, density,
        task.target.abs().square().numpy(), found.history, f"{task.name} in {config.duration:g}",
    )  # fmt: skip
    return found, _finding(config, found, figure)


def _asked(config: ControlConfig) -> tuple[Task, Motion | None]:
    """The task, and the motion to search by if it is an emulator's."""
    if not config.on:
        return task_of(config.task), None
    if not isinstance(load_model(config.on, task="dynamics"), RingEmulator):
        raise InvalidInput(f"{config.on} sees windows; give an emulator on the ring, emulator_unitary say")
    ring, how = setting_of(trained_on(config.on).get("recipe", {}))
    model, v_scale = load_emulator(config.on, ring, how)
    assert isinstance(model, RingEmulator)
    task = task_of(config.task, ring)
    return task, emulated(task, model, how.dt, v_scale, known(config.duration))


def _finding(config: ControlConfig, found: Found, figure: Figure) -> Finding:
    """Infidelities of the plain course and of the control, and what the search believed."""
    where = f"on {config.on}" if config.on else "on exact motion"
    rows: list[tuple[str, float]] = [
        ("plain course, exact motion", found.plain),
        (f"control, as the search {where} saw it", found.believed),
        ("control, exact motion", found.infidelity),
    ]
    numbers = {
        "task": config.task,
        "duration": config.duration,
        "infidelity": found.infidelity,
        "believed": found.believed,
        "gap": found.infidelity - found.believed,
        "plain": found.plain,
        "iterations": len(found.history),
        "gradients": found.evaluations,
        "cpu_seconds": round(found.seconds, 2),
        "largest_deviation": found.control.largest(),
        "bound": config.bound,
        "highest_frequency": math.pi * config.modes / known(config.duration),
        "seed": config.seed,
    }
    title = (
        f"{config.task} in {config.duration:g} ħ/hartree, searched {where}: {len(found.history)} iterations,"
        f" {found.evaluations} gradients, {found.seconds:.1f} CPU s, seed {config.seed}; deviation at most"
        f" {numbers['largest_deviation']:.3g} of {config.bound:g}, frequencies up to"
        f" {numbers['highest_frequency']:.3g} hartree/ħ"
    )
    return Finding("report", title, ["motion", "infidelity"], rows, numbers, {"": figure})


@torch.no_grad()
def _motion(task: Task, control: Control) -> Tensor:
    """ψ at the times of the figure, (FRAMES + 1, n), exact."""
    nothing = torch.zeros(task.ring.points, dtype=torch.float64)
    return propagate(
        task.first,
        nothing,
        control,
        ring=task.ring,
        dt=control.duration / FRAMES,
        frames=FRAMES,
        tolerance=SHOWN,
    )
