"""What can be asked of the league; imports nothing that takes time."""

from __future__ import annotations

from dataclasses import dataclass, field

from qwell.errors import InvalidInput, unknown

POTENTIALS = 2000
FRAMES = 400
TASKS = ("spectra", "dynamics")


@dataclass(frozen=True)
class LeagueSize:
    """Which league, and how large.

    Arguments:
        task: "spectra", networks of energies; or "dynamics", emulators.
        n: of a test set: potentials, at least 2; or simulations, at least 1.
        frames: that emulators predict.

    Raises InvalidInput for numbers out of range.
    """

    task: str = TASKS[0]
    n: int | None = field(
        default=None, metadata={"default": f"{POTENTIALS:,} potentials; all simulations there are"}
    )
    frames: int = FRAMES

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InvalidInput(unknown("task", self.task, TASKS))
        least = 2 if self.task == "spectra" else 1
        if self.n is not None and self.n < least:
            raise InvalidInput(f"n is {self.n}; it must be at least {least}")
        if not 1 <= self.frames <= 10_000:
            raise InvalidInput(f"frames is {self.frames}; it must be from 1 to 10,000")
