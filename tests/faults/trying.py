"""How a try is counted, and the small data sets that faults are tried on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from support import content

from qwell.datagen import pipeline
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import QwellError
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.verify import verify_files

RECIPE = SpectraRecipe("m3", n=6000, validation=500, solver="lanes")
OPTIONS = ["--kernel=m3", "--n=6000", "--validation=500", "--solver=lanes", "--shard-size=1000"]
SMALL = SpectraRecipe("m3", n=1500, validation=200, mesh=20, levels=3, solver="lanes")
LIMIT = 60  # seconds after which a try is a hang
KINDS = ("wrong", "raw", "hangs", "other")  # numbers accepted, tracebacks, more than a minute, other promises
Outcome = tuple[int, str]
Scenario = Callable[[Path, str, int], Outcome]


class WrongNumbers(AssertionError):
    """Numbers were accepted that are not the right ones."""


class Raw(AssertionError):
    """A person would have seen a traceback, or an error that calls itself a bug."""


class Hang(BaseException):
    """A try took longer than a minute; nothing that handles errors may hold this up."""


class Failures(AssertionError):
    """Some tries of a scenario were not handled.

    Arguments:
        tries: how many there were.
        failures: kind and words of each that failed.
    """

    def __init__(self, tries: int, failures: list[tuple[str, str]]) -> None:
        super().__init__(f"{len(failures)} of {tries} tries failed, the first: {': '.join(failures[0])}")
        self.tries, self.failures = tries, failures


def kind_of(error: BaseException) -> str:
    """Which of `KINDS` an exception is that was not handled."""
    text = str(error)
    if isinstance(error, Hang | subprocess.TimeoutExpired) or "unexpected hang" in text:
        return "hangs"
    if isinstance(error, Raw) or any(words in text for words in ("Traceback", "unexpected", "is a bug")):
        return "raw"
    if isinstance(error, WrongNumbers) or "Arrays are not" in text:
        return "wrong"
    return "other" if isinstance(error, AssertionError | QwellError) else "raw"


def _starved() -> dict[str, float]:
    """Seconds that each thread of this process and of its descendants has waited for a processor."""
    family = [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]
    waits = {}
    for file in [file for pid in family for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]:
        with suppress(OSError, IndexError):
            waits[str(file)] = int(file.read_text().split()[1]) / 1e9
    return waits


@contextmanager
def deadline(seconds: float | None = None) -> Iterator[None]:
    """Raise Hang in the main thread if the block takes longer than this, by default than `LIMIT`.

    The time does not count that the work has waited for a processor, which other programs had.
    """
    limit = LIMIT if seconds is None else seconds
    began, starved, before = time.monotonic(), 0.0, dict[str, float]()

    def look(number: int, frame: object) -> None:
        nonlocal starved, before
        now = _starved()
        starved += max((now[one] - before[one] for one in now.keys() & before.keys()), default=0.0)
        before = now
        if time.monotonic() - began - starved > limit:
            raise Hang(f"more than {limit} s")

    handler = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, min(limit, 2), min(limit, 2))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


class Tally:
    """Counts the tries of a scenario, and goes on after one that was not handled."""

    def __init__(self) -> None:
        self.tries, self.failures = 0, list[tuple[str, str]]()

    @contextmanager
    def one(self, what: object, times: int = 1, commands: int = 1) -> Iterator[None]:
        """A try (or none that counts) of so many commands; whatever leaves the block was not handled."""
        self.tries += times
        try:
            with deadline(LIMIT * commands):
                yield
        except (Exception, Hang) as error:
            self.failures.append((kind_of(error), f"{what}: {type(error).__name__}: {error}"[:1000]))

    def outcome(self, words: str) -> Outcome:
        """What a scenario returns; Failures if a try was not handled."""
        if self.failures:
            raise Failures(self.tries, self.failures)
        return self.tries, words


def one_line(error: QwellError) -> None:
    """Check that an error is one line of words."""
    said = str(error)
    assert said and "\n" not in said and "Traceback" not in said, said


def make(path: Path, recipe: SpectraRecipe = RECIPE, **options: object) -> Path:
    pipeline.generate(recipe, path, workers=0, shard_rows=1000, **options)  # type: ignore[arg-type]
    return path


class Command(subprocess.Popen[str]):
    """A process that is waited for at most `LIMIT`."""

    def wait(self, timeout: float | None = None) -> int:
        with self._in_time():
            return super().wait(timeout)

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        with self._in_time():
            return super().communicate(input, timeout)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            with deadline():
                yield
        except Hang:
            os.killpg(self.pid, signal.SIGKILL)
            raise


def command(*arguments: object, program: str = "qdata", **options: object) -> Command:
    """`qdata …` as a process group of its own."""
    typed = [sys.executable, "-m", f"qwell.cli.{program}", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return Command(typed, start_new_session=True, text=True, **{**pipes, **options})  # type: ignore[call-overload]


def whole_or_not_there(path: Path) -> bool:
    """True if the data set is there and good; False if it is not there; anything else is a failure."""
    try:
        root = locate(path)
    except QwellError:
        return False
    assert list(verify_files(path, root, load_manifest(root))) == []
    return True


def same(path: Path, reference: dict[str, bytes]) -> bool:
    """Whether every file is as it should be; WrongNumbers says which is not."""
    found = content(path)
    differ = sorted(k for k in found.keys() | reference.keys() if found.get(k) != reference.get(k))
    if differ:
        raise WrongNumbers(f"{path}: {differ[:5]} differ")
    return True


def all_rows(path: Path) -> dict[str, np.ndarray]:
    data = open_dataset(path)
    return {f"{s}/{f}": data[s][f][:] for s in data.splits for f in data[s].fields}


def flip(path: Path, dice: random.Random) -> None:
    """Flip a bit of a file, anywhere."""
    blob = bytearray(path.read_bytes())
    blob[dice.randrange(len(blob))] ^= 1 << dice.randrange(8)
    path.write_bytes(blob)
