"""The commands of `qdata` that keep what there is: verification and repair of data sets, and the cache."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json, wants_json
from qwell.cli.common import Failed
from qwell.cli.options import given, option, refuse
from qwell.datagen.audit.audit import audit
from qwell.datagen.clusters import Workers
from qwell.errors import InvalidInput
from qwell.progress import stage


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
@click.option("--sample", type=int, help="Shards that --recipe makes again, drawn at random.  [default: all]")
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
    from qwell.store.reader import load_manifest, locate
    from qwell.store.transfer import verify_remote
    from qwell.store.verify import verify_files

    if "://" in path:
        manifest, found = verify_remote(path)
        return manifest, list(found)
    root = locate(path)
    manifest = load_manifest(root)
    return manifest, list(verify_files(Path(path), root, manifest))


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
    count = f"{len(done.mended)} files repaired" if done.mended else "nothing was damaged"
    verdict = f"{count}, {len(done.left)} left" if done.left else count
    answer(
        {"path": path, **asdict(done)}, "\n".join([*lines, f"{path}: {verdict}, version {done.digest[:12]}"])
    )
    if done.left:
        if done.remedy and not wants_json():
            click.echo(f"remedy: {done.remedy}", err=True)
        raise Failed(1)
