"""How far long work is, for whoever listens: calls from Python are silent, commands show a bar or lines.

    with stage("updates", total=1000) as done:      # or: for row in track(rows, "rows")
        done(10)

Stages may lie in one another. A listener belongs to a context (`contextvars`), and so to one thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from qwell.errors import InvalidInput

T = TypeVar("T")


@dataclass
class Stage:
    """A part of the work: `done` of `total` things (None: who knows how many).

    Its rate is that since the time `began`, when `before` were done already.
    """

    unit: str
    total: int | None
    done: int = 0
    note: str = ""
    before: int = 0
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """For example "1,200 of 5,000 rows, 400/s, 9 s left"."""
        seconds = time.monotonic() - self.began
        rate = (self.done - self.before) / seconds if seconds > 0 else 0.0
        if self.unit == "bytes":
            words = [in_bytes(self.done) + ("" if self.total is None else f" of {in_bytes(self.total)}")]
            speed = f"{in_bytes(rate)}/s"
        else:
            count = f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"
            words = [f"{count} {self.unit}"]
            speed = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
        if rate > 0:
            words.append(speed)
            if self.total is not None:
                words.append(f"{in_words(max(self.total - self.done, 0) / rate)} left")
        return ", ".join([*words, self.note] if self.note else words)


def in_words(seconds: float) -> str:
    """A time for people: 9 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def in_bytes(size: float) -> str:
    """A size for people, three digits of it: 640 bytes, 48.4 MB, 1.2 TB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < (1000 if unit == "bytes" else 999.5):
            break
        if unit != "TB":
            size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 99.95 else f"{size:,.1f} {unit}"


def parse_bytes(text: str | None, what: str = "the size") -> int | None:
    """A size like 500MB or 2GiB in bytes; `what` it is, an error says."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if not match:
        raise InvalidInput(f"{what} is {text!r}; write it like 500MB or 2GiB")
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " "))


class Listener(Protocol):
    """Is told of stages as they begin, go on and end."""

    def begun(self, stage: Stage) -> None: ...
    def advanced(self, stage: Stage) -> None: ...
    def ended(self, stage: Stage) -> None: ...


class Done(Protocol):
    """What a stage is told; see `stage`."""

    def __call__(self, more: int = 0, *, to: int | None = None, note: str = "") -> None: ...


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Tell a listener of all stages inside."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def listening() -> Listener | None:
    """Who is told of stages."""
    return _LISTENER.get()


@contextmanager
def stage(unit: str, total: int | None = None, resumed: bool = False) -> Iterator[Done]:
    """Work on `total` things, called `unit` in the plural.

    Yields a function that is told how many more are done, `done(5)`, or up to which, `done(to=120)`, and
    perhaps what else there is to say, `done(5, note="loss 1e-3")`.

    Arguments:
        unit, total: what there is to do.
        resumed: the first that it is told of was done before, and says nothing of the rate.
    """
    listener, here, first = _LISTENER.get(), Stage(unit, total), resumed

    def done(more: int = 0, *, to: int | None = None, note: str = "") -> None:
        nonlocal first
        here.done = here.done + more if to is None else to
        here.note = note or here.note
        if first:
            here.before, here.began, first = here.done, time.monotonic(), False
        if listener is not None:
            listener.advanced(here)

    if listener is not None:
        listener.begun(here)
    try:
        yield done
    finally:
        if listener is not None:
            listener.ended(here)


def track(items: Sequence[T], unit: str) -> Iterator[T]:
    """Each of some things in turn, done when the next is asked for. Of one thing alone nothing is said."""
    if len(items) == 1:
        yield items[0]
        return
    with stage(unit, len(items)) as done:
        for item in items:
            yield item
            done(1)
