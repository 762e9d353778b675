"""New data sets from old ones: the same in another format, a part of one, several in one.

All go through the writer: whole or not there, resumable, checksummed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import DatasetExists, DatasetKindError, InvalidInput
from qwell.store.backends import storage_of
from qwell.store.dataset import Dataset
from qwell.store.hdf5_single import write_single
from qwell.store.manifest import Manifest
from qwell.store.provenance import provenance
from qwell.store.schema import SPLITS, Plan, SplitLayout
from qwell.store.writer import DatasetWriter, write_shard

Progress = Callable[[int], object]
Rows = dict[str, np.ndarray]


def write_rows(
    path: Path,
    plan: Plan,
    rows: Callable[[str, int, int], Rows],
    about: dict[str, Any],
    *,
    sources: Sequence[Dataset] = (),
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda rows: None,
) -> Manifest:
    """Write a data set whose rows another function gives.

    Arguments:
        path: where.
        plan: what.
        rows: (split, start, stop) → {field: rows start … stop − 1}.
        about: further entries of `provenance.json`.
        sources: where the rows come from; they must still be there, unchanged, when all is written.
        resume, force: see `DatasetWriter`.
        progress: called with the number of rows done since its last call.
    """
    began = time.time()
    writer = DatasetWriter(path, plan, resume=resume, force=force)
    try:
        pending = writer.pending()
        for split, shard in plan.shards():
            start, stop = plan.splits[split].span(shard)
            if (split, shard) in pending:
                write_shard(writer.root, plan, split, shard, rows(split, start, stop))
            progress(stop - start)
        for source in sources:
            source.check()
        return writer.finish(provenance(began, **about))
    finally:
        writer.close()


def replan(plan: Plan, path: Path, **changes: Any) -> Plan:
    """A plan for `path` after changes, with chunks of the size that its back end is given."""
    plan = replace(plan, storage=storage_of(path), **changes)
    row_bytes = max(field.row_bytes for field in plan.fields)
    splits = {
        name: SplitLayout.of(layout.rows, layout.shard_rows, row_bytes, plan.storage)
        for name, layout in plan.splits.items()
    }
    return replace(plan, splits=splits)


def convert(
    data: Dataset,
    path: Path,
    *,
    single: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda rows: None,
) -> Manifest:
    """The same rows in another format; the suffix of `path` says which.

    A data set that was generated and then converted equals, byte for byte, the one generated in that format.

    Arguments:
        data: the source.
        path: ends in .zarr, or in .h5 for HDF5.
        single: one portable HDF5 file instead of one a shard.
        resume, force, progress: see `write_rows`.
    """
    if not single:
        about = {"converted_from": data.digest, "source": data.provenance}
        options: dict[str, Any] = {"resume": resume, "force": force, "progress": progress}
        options |= {"sources": [data]}
        return write_rows(path, replan(data.plan, path), lambda s, a, b: data[s].rows(a, b), about, **options)
    if storage_of(path) != "hdf5":
        raise InvalidInput(f"{path}: a single file is HDF5; choose a name ending in .h5")
    if (path.exists() and not force) or path.with_name(f"{path.name}.shards").exists():
        raise DatasetExists(f"{path} already exists; add --force to replace a single file, or choose another")

    def shards() -> Iterator[tuple[str, int, Rows]]:
        for split, shard in data.plan.shards():
            rows = data[split].shard(shard)
            yield split, shard, rows
            progress(len(next(iter(rows.values()))))
        data.check()

    return write_single(path, replan(data.plan, path), shards())


def subset(
    data: Dataset,
    path: Path,
    n: int,
    *,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda rows: None,
) -> Manifest:
    """A random part of the training split; the other splits as they are.

    Subsets of one seed are nested: the first k rows of a larger one are the smaller one.

    Arguments:
        data: the source.
        path: where.
        n: training rows to keep.
        seed: of the choice.
        resume, force, progress: see `write_rows`.

    Raises InvalidInput if `n` is not in 1 … training rows.
    """
    train = data["train"]
    if not 1 <= n <= len(train):
        raise InvalidInput(f"n is {n}; {data.path} has {len(train)} rows of train, choose 1 to {len(train)}")
    stream = np.random.SeedSequence([seed, int(data.digest[:16], 16)])
    chosen = np.random.Generator(np.random.SFC64(stream)).permutation(len(train))[:n]
    layout = replace(train.layout, rows=n)
    recipe = {"recipe": "subset", "n": n, "seed": seed, "digest": data.digest, "of": data.recipe}
    plan = replan(data.plan, path, recipe=recipe, splits={**data.plan.splits, "train": layout})
    with tempfile.TemporaryFile() as scratch:  # the rows kept, in their new order: one pass over the source
        kept: Rows = {}
        for field in plan.fields:
            scratch.seek(0, 2)
            offset = scratch.tell()
            scratch.truncate(offset + n * field.row_bytes)
            shape = (n, *field.shape)
            kept[field.name] = np.memmap(scratch, field.dtype, "r+", offset, shape)
        for i in range(train.shards):
            start, stop = train.layout.span(i)
            places = np.flatnonzero((chosen >= start) & (chosen < stop))
            if len(places):
                for name, values in train.shard(i).items():
                    kept[name][places] = values[chosen[places] - start]

        def rows(split: str, a: int, b: int) -> Rows:
            if split != "train":
                return data[split].rows(a, b)
            return {name: np.array(values[a:b]) for name, values in kept.items()}

        about = {"subset_of": data.digest, "source": data.provenance}
        return write_rows(
            path, plan, rows, about, sources=[data], resume=resume, force=force, progress=progress
        )


def merge(
    parts: Sequence[Dataset],
    path: Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda rows: None,
) -> Manifest:
    """Several data sets one after the other, split by split. Rows are then grouped by their source.

    What `same_draws` says of them is kept in the provenance of the new data set, as `same_draws`.

    Arguments:
        parts: at least two, of one kind, with the same fields and coordinates.
        path: where.
        resume, force, progress: see `write_rows`.

    Raises:
        InvalidInput: fewer than two, or one of them twice.
        DatasetKindError: they do not fit together.
    """
    if len(parts) < 2:
        raise InvalidInput("a merge takes at least two data sets")
    digests = [p.digest for p in parts]
    if twice := next((p for i, p in enumerate(parts) if p.digest in digests[:i]), None):
        raise InvalidInput(
            f"{twice.path} is given twice, or is a copy of another ({twice.digest[:12]}): every row would be"
            " there twice; leave one of them out"
        )
    first = parts[0].plan
    for part in parts[1:]:
        for what in ("kind", "fields", "coordinates"):
            ours, theirs = getattr(first, what), getattr(part.plan, what)
            if ours != theirs:
                raise DatasetKindError(
                    f"{part.path} cannot be merged with {parts[0].path}: their {what} differ"
                    f" ({_difference(ours, theirs)})"
                )
    names = [name for name in first.splits if all(name in p.plan.splits for p in parts)]
    ends = {name: np.cumsum([0, *(len(p[name]) for p in parts)]) for name in names}
    sizes = {name: max(p.plan.splits[name].shard_rows for p in parts) for name in names}
    splits = {
        name: replace(first.splits[name], rows=int(ends[name][-1]), shard_rows=sizes[name], chunk_rows=1)
        for name in names
    }
    sources = [{"digest": p.digest, "recipe": p.recipe} for p in parts]
    recipe = {"recipe": "merge", "of": sources}
    plan = replan(first, path, recipe=recipe, splits=splits, row_order="grouped")

    def rows(split: str, a: int, b: int) -> Rows:
        pieces = []
        for part, begin, end in zip(parts, ends[split], ends[split][1:], strict=False):
            low, high = max(a, int(begin)), min(b, int(end))
            if low < high:
                pieces.append(part[split].rows(low - int(begin), high - int(begin)))
        return {f.name: np.concatenate([piece[f.name] for piece in pieces]) for f in plan.fields}

    about = {"merged_from": digests, "same_draws": same_draws(parts)}
    return write_rows(path, plan, rows, about, sources=parts, resume=resume, force=force, progress=progress)


def same_draws(parts: Sequence[Dataset]) -> list[str]:
    """A line for each split and seed that rows of several data sets were drawn with.

    Row k of a split is made from the same random numbers in all data sets of one seed, whatever the kernel, σ
    and L: such rows are correlated or equal, and neither may validate what was trained on the other.
    """
    owners: dict[tuple[str, int], list[str]] = {}
    for part in parts:
        for name, seed in sorted(_draws(part.recipe)):
            if name in part.splits and len(part[name]):
                owners.setdefault((name, seed), []).append(str(part.path))
    return [
        f"{' and '.join(paths)} have rows of {name} that were drawn with the same seed {seed}, from the same"
        " random numbers: one row says something about the other; draw one of the data sets with another"
        " --seed"
        for (name, seed), paths in owners.items()
        if len(paths) > 1
    ]


_DRAWN = {
    "spectra": SPLITS,
    "densities": SPLITS,
    "trajectories": ("validation",),
    "driven": SPLITS,
}  # fmt: skip  (the rest is no chance)


def _draws(recipe: Mapping[str, Any]) -> set[tuple[str, int]]:
    """The (split, seed) that the rows of a recipe were drawn with, also those of its sources."""
    if "of" in recipe:
        of = recipe["of"]
        sources = [source["recipe"] for source in of] if isinstance(of, list) else [of]
        return set().union(*map(_draws, sources))
    return {(split, recipe["seed"]) for split in _DRAWN.get(str(recipe.get("recipe")), ())}


def _difference(ours: Any, theirs: Any) -> str:
    """The first place where two plans differ, in a few words."""
    if isinstance(ours, tuple) and len(ours) == len(theirs):
        ours, theirs = next((a, b) for a, b in zip(ours, theirs, strict=True) if a != b)
        if hasattr(ours, "values"):
            return f"{ours.name} has {len(ours.values)} and {len(theirs.values)} values, or others"
        return f"{ours.name} {ours.dtype}{ours.shape} and {theirs.name} {theirs.dtype}{theirs.shape}"
    return str(ours) if isinstance(ours, str) else f"{len(ours)} and {len(theirs)} of them"
