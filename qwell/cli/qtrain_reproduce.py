"""`qtrain reproduce …`: whole papers done again, one command each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import goes_on_with
from qwell.cli.options import Group, Names, path_option
from qwell.cli.progress import logged_to, tell
from qwell.papers.plan import Paper
from qwell.papers.reproduce import PAPERS, outline
from qwell.papers.reproduce import reproduce as do


@click.group(cls=Group)
def reproduce() -> None:
    """Do a paper again: data, trainings, experiments, and a report with its statements."""


def run_command(command: Sequence[str]) -> None:
    """Run one of our own commands in this process."""
    from qwell.cli import qdata, qtrain

    group = {"qdata": qdata.cli, "qtrain": qtrain.cli}[command[0]]
    group.main(list(command[1:]), prog_name=command[0], standalone_mode=False)


def command_of(paper: Paper[Any]) -> click.Command:
    """The command that does a paper again."""

    @click.command(
        paper.name,
        help=f"Do the {paper.name} paper again: {paper.title}. Repeat the command to continue where it was.",
        short_help=f"{paper.title}.",
    )
    @click.option(
        "--scale",
        default="demo",
        show_default=True,
        type=Names(lambda: paper.scales),
        help="Size of all: demo (minutes), cpu (hours on 2 cores) or paper (its sizes; wants a GPU).",
    )
    @path_option(
        "--out", help="Folder that everything is written into.", default="reproduction/<paper>-<scale>"
    )
    @click.option("--dry-run", is_flag=True, help="List the commands, and which of them are done; run none.")
    def command(scale: str, out: Path | None, dry_run: bool) -> None:
        folder = out or Path("reproduction") / f"{paper.name}-{scale}"
        ahead = outline(paper, scale, folder)
        if dry_run:
            click.echo("\n".join(ahead))
            return
        with logged_to(folder / "log.txt"), goes_on_with("the same command", "qtrain"):
            path = do(paper, scale, folder, run_command, tell)
        click.echo(f"report: {path}  {path.with_suffix('.md')}")

    return command


for _paper in PAPERS.values():
    reproduce.add_command(command_of(_paper))
