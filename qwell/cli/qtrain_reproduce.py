"""`qtrain reproduce …`: whole papers done again, one command each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import goes_on_with
from qwell.cli.options import Group, Names, path_option, refuse
from qwell.cli.progress import logged_to, tell
from qwell.papers.plan import Paper
from qwell.papers.reproduce import AT_A_TIME, PAPERS, SCALE, outline
from qwell.papers.reproduce import reproduce as do


@click.group(cls=Group)
def reproduce() -> None:
    """Do a paper again: data, trainings, experiments, and a report with its statements."""


def run_command(command: Sequence[str]) -> None:
    """Run one of our own commands in this process."""
    from qwell.cli import qdata, qtrain

    group = {"qdata": qdata.cli, "qtrain": qtrain.cli}[command[0]]
    group.main(list(command[1:]), prog_name=command[0], standalone_mode=False)


def begin_command(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Begin one of our own commands in a process of its own, with one thread, which prints into a file."""
    program = f"import sys; from qwell.cli.{command[0]} import main; sys.argv[0] = {command[0]!r}; main()"
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-c", program, *command[1:]],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | one, start_new_session=True,
        )  # fmt: skip


def command_of(paper: Paper[Any]) -> click.Command:
    """The command that does a paper again."""

    @click.command(
        paper.name,
        help=f"Do the {paper.name} paper again: {paper.title}."
        " Repeat the command to continue where it was.\n\n"
        + " ".join(f"The scale {scale} takes {cost}." for scale, cost in paper.costs.items()),
        short_help=f"{paper.title}.",
    )
    @click.option(
        "--scale",
        default=SCALE,
        show_default=True,
        type=Names(lambda: paper.scales),
        help="Size of all: demo (minutes), cpu (hours on 2 cores) or paper (its sizes; wants a GPU).",
    )
    @path_option(
        "--out", help="Folder that everything is written into.", default="reproduction/<paper>-<scale>"
    )
    @click.option(
        "--jobs",
        type=click.IntRange(1),
        show_default=", ".join(f"{jobs} at the scale {scale}" for scale, jobs in AT_A_TIME.items()),
        help="Commands at a time, one thread each, where they do not wait for each other.",
    )
    @click.option(
        "--dry-run",
        is_flag=True,
        help="List the commands with sizes, which are done, the folder, and how long all takes; run none.",
    )
    def command(scale: str, out: Path | None, jobs: int | None, dry_run: bool) -> None:
        folder = out or Path("reproduction") / f"{paper.name}-{scale}"
        ahead = outline(paper, scale, folder)
        if dry_run:
            refuse("--dry-run runs no command", "jobs")
            click.echo("\n".join(ahead))
            return
        with logged_to(folder / "log.txt"), goes_on_with("the same command", "qtrain"):
            path = do(paper, scale, folder, run_command, tell, begin_command, jobs or AT_A_TIME[scale])
        click.echo(f"report: {path}  {path.with_suffix('.md')}")

    return command


for _paper in PAPERS.values():
    reproduce.add_command(command_of(_paper))
