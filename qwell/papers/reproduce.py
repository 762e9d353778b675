"""A paper, done again: a list of the very commands people type, and a report of what came of them.

Every command leaves a product that is there only when it is whole: a manifest, a report, the numbers of an
experiment. A command whose product is there is not run again; one that was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

import qwell
from qwell.errors import InvalidInput


@dataclass(frozen=True)
class Stage:
    """A command, the product that says it is done, and what to type to continue it if `begun` is there."""

    command: list[str]
    product: str
    begun: str = ""
    resume: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Paper:
    """A paper to do again.

    Arguments:
        name: short.
        scales: "demo", "cpu" and "paper" → a dataclass that says how large.
        stages: everything to do at a scale, in order.
        report: writes the report of a folder and returns its path.
    """

    name: str
    scales: Mapping[str, Any]
    stages: Callable[[Any], list[Stage]]
    report: Callable[[Path], Path]


def reproduce(paper: Paper, scale: str, out: Path, run: Callable[[list[str]], object]) -> Path:
    """Run what is not done yet in the folder `out`, then write its report. Returns the report's path.

    Arguments:
        paper: which.
        scale: "demo", "cpu" or "paper".
        out: created if missing; repeating the command continues it.
        run: runs one of our own commands.

    Raises InvalidInput for an unknown scale, or if `out` holds a reproduction of something else.
    """
    if scale not in paper.scales:
        raise InvalidInput(f"unknown scale {scale!r}; choose one of {', '.join(paper.scales)}")
    plan = paper.stages(paper.scales[scale])
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(out):
        _claim(paper, scale)
        for number, stage in enumerate(plan, start=1):
            if Path(stage.product).exists():
                continue
            command = stage.resume if stage.begun and Path(stage.begun).exists() else stage.command
            click.echo(f"[{number}/{len(plan)}] {shlex.join(command)}")
            clock = time.perf_counter()
            with Path("log.txt").open("a") as log, contextlib.redirect_stdout(log):
                click.echo(f"$ {shlex.join(command)}")
                run(command)
            seconds = time.perf_counter() - clock
            with Path("times.jsonl").open("a") as times:
                times.write(json.dumps({"command": shlex.join(command), "seconds": round(seconds, 1)}) + "\n")
    return paper.report(out)


def _claim(paper: Paper, scale: str) -> None:
    """Note in the folder what it reproduces; refuse one that holds something else."""
    path, sizes = Path("reproduction.json"), asdict(paper.scales[scale])
    ours = json.loads(json.dumps({"paper": paper.name, "scale": scale, **sizes, "qwell": qwell.__version__}))
    if not path.exists():
        path.write_text(json.dumps(ours, indent=1) + "\n")
    elif json.loads(path.read_text()) != ours:
        raise InvalidInput(
            f"{path.absolute().parent} holds another reproduction ({path}); continue that with the same"
            " --scale and version, or choose another --out"
        )
