"""`qdata push`, `pull`, `versions` and `prune`: data sets at other places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import goes_on_with
from qwell.progress import in_bytes, stage


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--force", is_flag=True, help="Let the name mean this version although it means another one.")
@as_json
def push(path: Path, url: str, force: bool) -> None:
    """Copy a data set to s3://, gs://, az://, hf://, ssh:// or a directory (file://).

    A URL that ends in / gets it under its own name. The place keeps all versions beside each other; if the
    name means another one, --force lets it mean this one. Nothing there is changed or removed. Repeated
    after an interruption, it sends what is missing.
    """
    from qwell.store.reader import open_local
    from qwell.store.transfer import push as send

    size = sum(record.size for record in open_local(path).manifest.files.values())
    place = _address(url)
    _transfer(size, lambda bar: send(path, place, force=force, progress=bar))


@click.command()
@click.argument("url")
@click.argument("path", type=click.Path(path_type=Path), default="store")
@click.option("--force", is_flag=True, help="Replace another version of the data set at the target.")
@as_json
def pull(url: str, path: Path, force: bool) -> None:
    """Copy a data set from s3://, gs://, az://, hf://, ssh:// or https:// to PATH, or into store/.

    name@digest takes that version. Repeated after an interruption, it brings what is missing.
    """
    from qwell.store.transfer import pull as bring
    from qwell.store.versions import find

    url = _address(url)
    files = find(url)[1].files
    if str(path) == "store":
        path.mkdir(exist_ok=True)
    size = sum(record.size for record in files.values())
    _transfer(size, lambda bar: bring(url, path, force=force, progress=bar))


def _transfer(size: int, action: Callable[[Any], Any]) -> None:
    again = goes_on_with("the same command", "qdata")
    with again, stage("bytes", size, resumed=True) as done:
        moved = action(done)
    kept = f", {in_bytes(moved.kept)} were there already" if moved.kept else ""
    answer(
        asdict(moved),
        f"{moved.target}: version {moved.digest[:12]}, {in_bytes(moved.sent)} moved{kept}",
    )


@click.command()
@click.argument("url")
@as_json
def versions(url: str) -> None:
    """List the versions of a data set at a place; * marks the one that its name means."""
    from qwell.store.history import history

    found = history(_address(url))
    answer([asdict(version) for version in found], "\n".join(map(_line, found)))


@click.command()
@click.argument("url")
@click.option(
    "--keep",
    type=int,
    required=True,
    help="Whole versions that stay: the one marked * and the newest.",
)
@click.option(
    "--unfinished",
    is_flag=True,
    help="Remove what was never finished, too; only while no push or generation runs.",
)
@click.option("--yes", is_flag=True, help="Remove them; without it, only what would go is shown.")
@as_json
def prune(url: str, keep: int, unfinished: bool, yes: bool) -> None:
    """Take old versions of a data set away from a place; first look what would go, then add --yes.

    Nobody should be pushing those versions meanwhile. Models at a place are pruned alike.
    """
    from qwell.store.history import prune as remove
    from qwell.store.history import superseded

    going = superseded(_address(url), keep, unfinished)
    size = in_bytes(sum(version.bytes for version in going))
    if yes:
        remove(_address(url), going)
    done = "removed" if yes else "would be removed; add --yes to do it"
    count = "1 version" if len(going) == 1 else f"{len(going)} versions"
    lines = [*map(_line, going), f"{url}: {count}, {size}, {done}"]
    nothing = f"{url}: nothing to remove"
    answer(
        {"url": url, "removed": yes, "versions": [asdict(version) for version in going]},
        "\n".join(lines) if going else nothing,
    )


def _address(path: str) -> str:
    """A path or address as an address; a "/" at its end stays."""
    return path if "://" in path else f"file://{Path(path).absolute()}" + "/" * path.endswith("/")


def _line(version: Any) -> str:
    mark, about = ("*" if version.latest else " "), version.state
    if version.state == "whole":
        about = f"{version.rows:>14,} rows" if version.rows else f"{'model':>19}"
    about += f"{in_bytes(version.bytes):>12}"
    return f"{mark} {version.digest[:12]}  {version.made[:19] or '-':<19}  {about}"
