"""Long work is seen: a bar on a terminal, a line every half minute without one, and both in log files."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwell.errors import QwellError, shown
from qwell.progress import Stage, in_words, listening, told_to

if TYPE_CHECKING:
    from tqdm import tqdm

    from qwell.train.runs import Run

EVERY = 30.0  # seconds between lines
LOG = logging.getLogger("qwell.log")
LOG.setLevel(logging.INFO)
LOG.propagate = False
LOG.addHandler(logging.NullHandler())


def say(text: str) -> None:
    """A line to people, on stderr and in log files; nothing if nobody can read it any more."""
    text = shown(text)
    LOG.info(text.strip())
    with suppress(OSError):
        click.echo(text, err=True)


def tell(text: str, unless: bool = False) -> None:
    """A line of a command's answer, on stdout and in log files; in these alone if `unless`."""
    text = shown(text)
    LOG.info(text.strip())
    if not unless:
        click.echo(text)


class _File(logging.FileHandler):
    """A log file, without passwords. Work does not end because the log's disk is full."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def logged_to(path: Path | None) -> Iterator[None]:
    """Lines to people are also appended to a file, with the time; WriteError if it cannot be opened."""
    if path is None:
        yield
        return
    from qwell.files import make_directory, write_error  # costs milliseconds, and --help needs none of it

    make_directory(path.parent)
    try:
        handler = _File(path, encoding="utf-8")
    except OSError as error:
        raise write_error(error, path) from error
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


@contextmanager
def logged_run(run: Run) -> Iterator[None]:
    """Keep in a run's `log.txt` what was typed, what was said, and how it ended."""
    with logged_to(run.path / "log.txt"):
        LOG.info("$ %s", shlex.join(map(shown, [Path(sys.argv[0]).name, *sys.argv[1:]])))
        try:
            yield
        except QwellError as error:
            LOG.info("ended: %s", str(error))
            raise


class Display:
    """Shows how far the work is: a bar a stage on a terminal, else, and in log files, a line every `EVERY`.

    Arguments:
        name: of the command group, which lines begin with.
    """

    def __init__(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        self._stages: list[tuple[Stage, tqdm | None]] = []
        self._over, self._speaking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the stages of what is done inside."""
        if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun started, the first one speaks
            yield
            return
        with suppress(RuntimeError):  # no memory for one more thread: no lines then
            self._thread.start()
        try:
            with told_to(self):
                yield
        finally:
            self._over.set()
            if self._thread.is_alive():
                self._thread.join()

    def rest(self) -> None:
        """Say no more lines, from when this returns."""
        self._over.set()
        with self._speaking:
            pass

    def begun(self, stage: Stage) -> None:
        """Open a bar, if somebody can see it."""
        self._stages.append((stage, _bar(stage) if sys.stderr.isatty() else None))

    def advanced(self, stage: Stage) -> None:
        """Move a stage's bar."""
        for one, bar in self._stages:
            if one is stage and bar is not None:
                bar.set_postfix_str(stage.note, refresh=False)
                bar.update(stage.done - bar.n)

    def ended(self, stage: Stage) -> None:
        """Close a stage's bar."""
        for one, bar in self._stages:
            if one is stage and bar is not None:
                bar.close()
        self._stages = [pair for pair in self._stages if pair[0] is not stage]

    def _tick(self) -> None:
        while not self._over.wait(EVERY):
            with self._speaking:
                if not self._over.is_set():
                    self._speak()

    def _speak(self) -> None:
        open_now = [str(stage) for stage, _ in self._stages]
        seconds = in_words(time.monotonic() - self.began)
        line = f"{self.name}: {seconds}: {'; '.join(open_now) or 'at work'}"
        LOG.info(line)
        if not sys.stderr.isatty():
            with suppress(OSError):
                click.echo(line, err=True)


def waits_for_people() -> None:
    """Say no line every half minute of what follows: nothing is at work until somebody asks."""
    if isinstance(display := listening(), Display):
        display.rest()


def _bar(stage: Stage) -> tqdm:
    from tqdm import tqdm

    return tqdm(total=stage.total, unit=f" {stage.unit}", unit_scale=True, leave=False, delay=1)
