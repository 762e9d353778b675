"""`qtrain explore`: trainings and trained networks in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from qwell.cli.exploring import explore_what, server_options
from qwell.errors import RunNotFound
from qwell.train.directory import EXAMPLES


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@server_options
def explore(runs: tuple[str, ...], port: int | None, browser: bool | None) -> None:
    """Follow trainings in the browser, and ask networks about potentials and packets that you draw.

    RUN is a run or a directory of some; runs/ by default. The networks that come with the package, and data
    sets in store/, if there are any, are shown too. The page is for this machine alone.
    """
    for run in runs:
        if not Path(run).is_dir():
            raise RunNotFound(f"there is no directory {run}; make a run, e.g. with `{EXAMPLES['eigen']}`")
        _refuse_data(run)
    explore_what((), runs, "runs" if runs or Path("runs").is_dir() else "draw", port, browser)


def _refuse_data(place: str) -> None:
    """RunNotFound for a data set, or a directory that holds some and no run."""
    from qwell.explore.opened import Opened

    opened = Opened(data=(place,), runs=(place,))
    if opened.trainings():
        return
    good = [one for one in opened.datasets().values() if "problem" not in one]
    if good:
        what = "is a data set" if good[0]["path"] == place else "holds data sets"
        raise RunNotFound(f"{place} {what}, and no run; open it with `qdata explore {place}`")
