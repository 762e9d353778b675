"""What `qdata explore` and `qtrain explore` share: their options, and the start of the server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from qwell.cli.options import option, stacked
from qwell.explore.serve import serve

STORE, RUNS = "store", "runs"  # what is opened where nothing is named, if it is there
server_options = stacked(
    option(serve, "port", help="Port of this machine, which the page is served at; 0 for one that is free."),
    option(serve, "browser", "--browser/--no-browser", help="Open the page in the browser."),
)


def explore_what(
    data: Sequence[str], runs: Sequence[str], first: str, port: int | None, browser: bool | None
) -> None:
    """Serve the page for some data sets and runs; those of store/ and runs/ are there where none is named."""
    from qwell.cli.options import given
    from qwell.cli.progress import waits_for_people
    from qwell.explore.opened import Opened

    opened = Opened(
        data=tuple(data) or tuple(filter(lambda place: Path(place).is_dir(), (STORE,))),
        runs=tuple(runs) or tuple(filter(lambda place: Path(place).is_dir(), (RUNS,))),
        first=first,
    )
    waits_for_people()
    serve(opened, _say, **given({"port": port, "browser": browser}))


def _say(address: str) -> None:
    """The address goes to the terminal as it is: whoever has it can look."""
    click.echo(f"{address}\nThe page is there until Ctrl-C; only this machine can open it, at that address.")
