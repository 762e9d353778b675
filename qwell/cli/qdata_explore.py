"""`qdata explore`: data sets in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from qwell.cli.exploring import explore_what, server_options
from qwell.errors import DatasetNotFound
from qwell.store.reader import MAKING


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@server_options
def explore(paths: tuple[str, ...], port: int | None, browser: bool | None) -> None:
    """Look at data sets in the browser, draw potentials and solve them, and play wave packets.

    PATH is a data set, a directory of some, or an address like s3://team/store; store/ by default. Runs in
    runs/, if there are any, are shown too. The page is for this machine alone.
    """
    for path in paths:
        if "://" not in path and not Path(path.partition("@")[0]).exists():
            raise DatasetNotFound(f"there is nothing at {path}; make a data set, e.g. `{MAKING['spectra']}`")
    explore_what(paths, (), "samples" if paths or Path("store").is_dir() else "draw", port, browser)
