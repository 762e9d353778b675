"""What a search for a control is, as data. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.train.config import Config, left_open

# Task → its own duration [ħ/hartree] and bound on the control.
DEFAULTS = {"transport": (5.0, 2.0), "split": (6.0, 10.0), "excite": (15.0, 2.0), "tunnel": (20.0, 2.0)}
TASKS = tuple(DEFAULTS)


def _of_tasks(position: int) -> str:
    return ", ".join(f"{values[position]:g} to {task}" for task, values in DEFAULTS.items())


@dataclass(frozen=True)
class ControlConfig(Config):
    """Arguments:

    task: what is to happen; see `tasks.py`.
    duration: T, ħ/hartree.
    bound: the most that the control may leave its plain course.
    modes: sines that the deviation is made of: its frequencies end at modes/(2T).
    iterations: of L-BFGS, at most.
    goal: infidelity at which the search ends.
    seed: of the first deviation.
    on: run of an emulator on the ring to search with, instead of exact motion; "" for exact.

    Raises InvalidInput for a value out of range.
    """

    task: str = "transport"
    duration: float | None = left_open(_of_tasks(0))
    bound: float | None = left_open(_of_tasks(1))
    modes: int = 24
    iterations: int = 500
    goal: float = 1e-5
    seed: int = 0
    on: str = ""

    def __post_init__(self) -> None:
        self.choice("task", TASKS)
        self.positive("duration", "bound", "goal")
        self.at_least(1, "modes", "iterations")
        self.at_least(0, "seed")

    def resolved(self) -> ControlConfig:
        """The same with the task's own duration and bound where none is given."""
        duration, bound = DEFAULTS[self.task]
        return self.filled(duration=duration, bound=bound)
