"""The commands of `qdata` that keep what there is: verification and repair of data sets, and the cache."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json, wants_json
from qwell.cli.common import Failed
from qwell.cli.options import given, option, refuse
from qwell.datagen.audit.audit import audit
from qwell.datagen.clusters import Workers
from qwell.errors import InvalidInput
from qwell.progress import in_bytes, in_words, parse_bytes, stage


@click.command()
@click.argument("path")
@click.option(
    "--full",
    is_flag=True,
    help="Read every value, too, and make a random sample again by the reference method.",
)
@click.option(
    "--recipe",
    is_flag=True,
    help="Make shards again from the recipe, too, and compare the sha256 of their files.",
)
@option(audit, "samples", help="Rows of each split that --full makes again; trajectories at most 8.")
@click.option("--sample", type=int, help="Shards that --recipe makes again, drawn at random, instead of all.")
@option(audit, "seed", help="Seed of the random samples of --full and --sample.")
@option(Workers, "count", "--workers", help="Processes that make shards again for --recipe; 0: this one.")
@as_json
def verify(
    path: str, full: bool, recipe: bool, samples: int | None, sample: int | None, seed: int | None,
    count: int | None,
) -> None:  # fmt: skip
    """Check a data set: manifest, names, sizes and sha256 of every file. Exit code 1 if anything is wrong."""
    from qwell.store.reader import open_dataset

    if not full:
        refuse("it belongs to --full", "samples")
    if not recipe:
        refuse("it belongs to --recipe", "sample", "count")
    if not full and sample is None:
        refuse("it draws the samples of --full and --sample", "seed")
    manifest, problems = _files(path)
    results: dict[str, Any] = {"path": path, "digest": manifest.digest, "files": len(manifest.files)}
    checked, verdict = [f"{len(manifest.files)} files"], "DAMAGED"
    remedy = f"`qdata repair {path}` makes it good again, or brings it from a copy with --from"
    if "://" in path or manifest.plan.storage == "hdf5-single":
        remedy = "copy the data set again from its source"
    if full and not problems:
        found = audit(open_dataset(path), **given({"samples": samples, "seed": seed}))
        problems = found.problems
        results |= found.numbers
        checked += [found.summary] if found.summary else []
        remedy = "the numbers are not what the recipe says: do not use them, and tell whoever made them"
    if recipe and not problems:
        again, problems, remedy = _again(path, manifest, sample, seed or 0, count)
        results |= again
        words = "the files are others" if problems else "the files are the same"
        checked.append(f"{again['shards_made_again']} of {again['shards']} shards made again: {words}")
        verdict = "NOT MADE ALIKE"
    results["problems"] = problems
    last = f"{path}: {verdict if problems else 'good'} ({'; '.join(checked)}), version {manifest.digest[:12]}"
    answer(results, "\n".join([*(f"  {problem}" for problem in problems), last]))
    if problems:
        if not wants_json():
            click.echo(f"remedy: {remedy}", err=True)
        raise Failed(1)


def _files(path: str) -> tuple[Any, list[str]]:
    """The manifest of a data set, and a line for each thing wrong with its files."""
    from qwell.store.dataset import check_version
    from qwell.store.reader import load_manifest, locate, split_path, version_at
    from qwell.store.transfer import verify_remote
    from qwell.store.verify import verify_files

    if "://" in path:
        manifest, found = verify_remote(path)
        return manifest, list(found)
    name, wanted = split_path(path)
    inside = version_at(name, wanted)
    root = locate(inside, wanted)
    manifest = load_manifest(root)
    check_version(name, manifest.digest, wanted)
    return manifest, list(verify_files(inside, root, manifest))


def _again(
    path: str, manifest: Any, sample: int | None, seed: int, count: int | None
) -> tuple[dict[str, Any], list[str], str]:
    """Make shards again: what was done, a line for each file that is another, and what that may come from."""
    from qwell.datagen.audit.remake import compare, drawn, makers
    from qwell.store.reader import open_dataset

    every = len(manifest.plan.shards())
    try:
        with stage("shards", len(drawn(manifest.plan, sample, seed))) as done:
            made, different = compare(manifest, sample, seed=seed, workers=Workers(count), progress=done)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} cannot be made again from a recipe: {error}; leave --recipe out"
        ) from error
    problems = [f"{name} made again has another sha256" for name in different]
    remedy = (
        "last bits may differ with the processor and the versions of libraries, and trajectories more than"
        f" others; {makers(open_dataset(path).provenance)}. Else the data is not what its recipe says:"
        " --full compares numbers"
    )
    return {"shards_made_again": made, "shards": every, "files_that_differ": different}, problems, remedy


@click.command()
@click.argument("path")
@click.option(
    "--from", "source", default="", metavar="URL",
    help="Another copy to bring damaged files from, a path or an address; URL@VERSION for the manifest, too.",
)  # fmt: skip
@as_json
def repair(path: str, source: str) -> None:
    """Put damaged or missing files right: made again from the recipe, or brought from a copy.

    Only what has the sha256 of the manifest is put in place. Exit code 1 if something is still wrong.
    """
    from qwell.datagen.audit.repair import repair as mend

    if "://" in path:
        raise InvalidInput(
            f"{path} is an address; repair data sets on this machine, and push them from there"
        )
    done = mend(Path(path), source)
    lines = [f"  {name} is as it was, by {by}" for name, by in done.mended.items()]
    lines += [f"  {line}" for line in done.left]
    files = "1 file" if len(done.mended) == 1 else f"{len(done.mended)} files"
    count = f"{files} repaired" if done.mended else "nothing was damaged"
    verdict = f"{count}, {len(done.left)} left" if done.left else count
    answer(
        {"path": path, **asdict(done)}, "\n".join([*lines, f"{path}: {verdict}, version {done.digest[:12]}"])
    )
    if done.left:
        if done.remedy and not wants_json():
            click.echo(f"remedy: {done.remedy}", err=True)
        raise Failed(1)


@click.command()
@click.option("--clear", is_flag=True, help="Say what would be deleted of it; with --yes delete that.")
@click.option(
    "--older-than", metavar="AGE", help="Delete only what was not used for so long, like 30d or 8w."
)
@click.option("--larger-than", metavar="SIZE", help="Delete only what takes more, e.g. 500MB or 5GB.")
@click.option("--name", metavar="PATTERN", help="Delete only data sets and models of this name, e.g. 'm3*'.")
@click.option("--yes", is_flag=True, help="Delete what --clear has chosen.")
@as_json
def cache(clear: bool, older_than: str | None, larger_than: str | None, name: str | None, yes: bool) -> None:
    """Say what is in the cache: copies of data and models that can be made or brought again.

    Its directory is $QWELL_CACHE. With QWELL_CACHE_SIZE=50GB the least recently used makes room.
    """
    from qwell.store.cache import KINDS, cache_root, entries, limit, remove

    if not clear:
        refuse("it belongs to --clear", "older_than", "larger_than", "name", "yes")
    most, there = limit(), entries()
    names = {entry.digest: entry.name for entry in there if entry.name}
    oldest, largest = _seconds(older_than), parse_bytes(larger_than) or 0
    chosen = [
        entry
        for entry in there
        if entry.age >= oldest
        and entry.bytes >= largest
        and (name is None or fnmatchcase(names.get(entry.digest, entry.digest), name))
    ]
    gone = [entry for entry in chosen if clear and yes and not entry.held and remove(entry)]
    total, left = sum(entry.bytes for entry in there if entry not in gone), len(there) - len(gone)
    rows: list[dict[str, Any]] = []
    for entry in chosen:
        used = datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds")
        row: dict[str, Any] = {
            "kind": entry.kind,
            "name": names.get(entry.digest, ""),
            "digest": entry.digest,
        }
        row |= {"path": entry.path, "bytes": entry.bytes, "used": used, "in_use": entry.held}
        rows.append({**row, "deleted": entry in gone})
    lines = [
        f"{KINDS[entry.kind]:<17}{row['name'] or '-':<24}{entry.digest[:12]}{in_bytes(entry.bytes):>12}"
        f"  used {in_words(entry.age)} ago{', in use' if entry.held else ''}"
        for entry, row in zip(chosen, rows, strict=True)
    ]
    bound = "" if most is None else f" of {in_bytes(most)}"
    lines.append(
        f"{cache_root()}: {in_bytes(total)}{bound} in {left} {'copy' if left == 1 else 'copies'}"
        + _cleared(clear, yes, chosen, gone)
    )
    answer({"path": cache_root(), "bytes": total, "limit": most, "copies": rows}, "\n".join(lines))


def _cleared(clear: bool, yes: bool, chosen: list[Any], gone: list[Any]) -> str:
    """What was deleted, or would be."""
    if not clear:
        return ""
    free = gone if yes else [entry for entry in chosen if not entry.held]
    size = in_bytes(sum(entry.bytes for entry in free))
    return f"; {size} in {len(free)} deleted" if yes else f"; --yes deletes {size} in {len(free)}"


def _seconds(text: str | None) -> float:
    """An age like 12h, 30d or 8w in seconds; 0 if none is asked for."""
    if text is None:
        return 0.0
    units = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdecimal():
        raise InvalidInput(f"the age is {text!r}; write it like 12h, 30d or 8w (m, h, d or w)")
    return float(number) * units[unit]
