"""How a command ends when it is told to: one line that says so, never a traceback."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal has asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def number_of(error: BaseException | None) -> int:
    """The signal behind an exception; Ctrl-C's unless it is known."""
    return error.number if isinstance(error, Interrupted) else signal.SIGINT


@dataclass
class Ending:
    """Whether the process is about to end because of a signal; one more ends it at once."""

    near: bool = False


@contextmanager
def signals_end_work(name: str) -> Iterator[Ending]:
    """The first of `SIGNALS` raises `Interrupted` in the main thread; a second one ends the process at once.

    `name` is that of the command, for what is then said. Signals that whoever started us lets us ignore (as
    `nohup` does) stay ignored. Yields what may be told that the end is near: then signals do not get back
    what they did before, which would be a traceback in the midst of Python's cleaning up.
    """
    ending = Ending()

    def first(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, second)
        raise Interrupted(number)

    def second(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            os.write(2, f"\n{name}: interrupted again, and ended at once\n".encode())
        os._exit(128 + number)

    before = {s: signal.getsignal(s) for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, first)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, second if ending.near else handler)
