"""Files of shards made again from the recipe of a data set, in memory.

Every number is a function of the recipe alone, and a file one of its numbers and of the libraries that encode
it. A file made again may be compared with the sha256 that the manifest has of it: equal, or made otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import Any

import numpy as np

from qwell import plugins
from qwell.datagen.clusters import Workers, available_cores, local_processes, warm_up
from qwell.datagen.pipeline import Recipe, get_ready, in_workers, rows_between
from qwell.errors import InvalidInput, QwellError, WorkerError
from qwell.store.backends import SHARDED
from qwell.store.manifest import FileRecord, Manifest
from qwell.store.provenance import made_with, versions_in_words
from qwell.store.schema import Plan

LONG = 0.5  # seconds of work on a shard from which several processes share it
BLOCKS = (1000, 8)  # rows that recipes make together: of many rows, of few
# What made the rows of data sets that no recipe makes again.
OTHERS = {
    "import": "it was imported, and its potentials are in the file that was brought",
    "subset": "it is a subset: its rows come from another data set",
    "merge": "it was merged: its rows come from other data sets",
    "windows": "it holds windows of another data set",
}


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe that makes every row of a data set again.

    A data set that was converted has that of its source, and can be made again like it.

    Raises:
        InvalidInput: it has none, with the reason; or what it says is no recipe.
        MissingPlugin: it needs a plug-in that is not here.
    """
    plan = manifest.plan
    name = str(plan.recipe.get("recipe"))
    if plan.storage not in SHARDED:
        raise InvalidInput("it is a single file, and its parts are no files of their own")
    if name in OTHERS:
        raise InvalidInput(OTHERS[name])
    return _read(name, plan)


def _read(name: str, plan: Plan) -> Recipe:
    """The recipe of a kind, which is imported only now."""
    if name == "spectra":
        from qwell.datagen.recipes.spectra import SpectraRecipe

        return SpectraRecipe.from_json(plan.recipe)
    if name == "trajectories":
        from qwell.datagen.recipes.trajectories import TrajectoriesRecipe

        return TrajectoriesRecipe.from_json(plan.recipe)
    if name == "driven":
        from qwell.datagen.recipes.driven import DrivenRecipe

        return DrivenRecipe.from_json(plan.recipe)
    if name == "densities":
        from qwell.datagen.recipes.densities import DensitiesRecipe

        return DensitiesRecipe.from_json(plan.recipe)
    raise InvalidInput(f"its recipe is called {name[:64]!r}, and this version makes none of that name")


def get_set(recipe: Recipe, plan: Plan) -> None:
    """Let the processes that share the work on one shard be ready when `shard_files` asks for them."""
    if _processes(recipe, plan) > 1:
        warm_up([__name__, *recipe.modules])


def shard_files(recipe: Recipe, plan: Plan, split: str, shard: int) -> dict[str, bytes | memoryview]:
    """The files of one shard, {name: content}; several processes share the work on one that takes long.

    Raises InvalidInput if the recipe makes other arrays than those of the plan.
    """
    start, stop = plan.splits[split].span(shard)
    count, block = _processes(recipe, plan), next((b for b in BLOCKS if stop - start > b), BLOCKS[-1])
    parts = [(a, min(a + block, stop)) for a in range(start, stop, block)]
    if min(count, len(parts)) > 1:
        try:
            return _encoded(plan, split, shard, _rows_of_parts(recipe, plan, split, parts, count))
        except (BrokenExecutor, WorkerError):  # they died, perhaps for want of memory
            pass
    return _encoded(plan, split, shard, _asked(rows_between, recipe, split, start, stop))


def _processes(recipe: Recipe, plan: Plan) -> int:
    """How many share the work on one shard."""
    rows = max(min(layout.shard_rows, layout.rows) for layout in plan.splits.values())
    return available_cores() if recipe.seconds_per_row * rows > LONG else 1


def _rows_of_parts(
    recipe: Recipe, plan: Plan, split: str, parts: list[tuple[int, int]], count: int
) -> dict[str, np.ndarray]:
    """Rows of a split from first to last, whose parts so many processes make."""
    needed = plugins.parcel(plan.recipe.get("plugins"))
    with local_processes(min(count, len(parts)), partial(plugins.receive, needed)) as pool:
        tasks = [pool.submit(rows_between, recipe, split, *part) for part in parts]
        made = [_asked(task.result) for task in tasks]
    return {name: np.concatenate([rows[name] for rows in made]) for name in made[0]}


def _asked(make: Callable[..., dict[str, np.ndarray]], *arguments: Any) -> dict[str, np.ndarray]:
    """Rows, if the recipe has them; InvalidInput if not, as one of another data set may not."""
    try:
        return make(*arguments)
    except QwellError:
        raise
    except LookupError as error:
        raise InvalidInput(f"its recipe makes no such rows: {error}") from error


def _encoded(
    plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]
) -> dict[str, bytes | memoryview]:
    start, stop = plan.splits[split].span(shard)
    for field in plan.fields:
        if field.name not in values or values[field.name].shape != (stop - start, *field.shape):
            raise InvalidInput(f"its recipe makes no {field.name} of {(stop - start, *field.shape)} numbers")
    return dict(SHARDED[plan.storage].encode_shard(plan, split, shard, values))


def records_of(
    recipe: Recipe, plan: Plan, split: str, shard: int, needed: plugins.Parcel | None = None
) -> dict[str, FileRecord]:
    """What a manifest would say of the files of one shard, if it were made now: the work of one task."""
    plugins.receive(needed or [])
    values = _asked(rows_between, recipe, split, *plan.splits[split].span(shard))
    return {name: FileRecord.of(content) for name, content in _encoded(plan, split, shard, values).items()}


def compare(
    manifest: Manifest,
    sample: int | None = None,
    *,
    seed: int = 0,
    workers: int | Workers | None = None,
    progress: Callable[[int], object] = lambda shards: None,
) -> tuple[int, list[str]]:
    """Make shards again, and compare the sha256 of their files with those in the manifest.

    Arguments:
        manifest: of a data set that has a recipe.
        sample: number of shards, drawn at random; all by default.
        seed: of the choice.
        workers: as for `generate`.
        progress: called with the number of shards done since its last call.

    Returns: how many shards were made, and the names of the files that are others, in order.

    Raises InvalidInput or MissingPlugin if the data set cannot be made again; see `recipe_of`.
    """
    recipe, plan = recipe_of(manifest), manifest.plan
    workers = workers if isinstance(workers, Workers) else Workers(workers)
    chosen = drawn(plan, sample, seed)
    get_ready(recipe, plan, workers)
    different: list[str] = []

    def note(made: dict[str, FileRecord]) -> None:
        different.extend(name for name, record in made.items() if manifest.files.get(name) != record)
        progress(1)

    in_workers(records_of, recipe, plan, chosen, workers, note)
    return len(chosen), sorted(different)


def drawn(plan: Plan, sample: int | None, seed: int) -> list[tuple[str, int]]:
    """All shards, or some of them at random, in their order; InvalidInput for fewer than one."""
    every = plan.shards()
    if sample is None or sample >= len(every):
        return every
    if sample < 1:
        raise InvalidInput(f"sample is {sample}; choose 1 to {len(every)} shards")
    chosen = np.random.default_rng(seed).permutation(len(every))[:sample]
    return [every[i] for i in sorted(chosen.tolist())]


def makers(provenance: Mapping[str, Any]) -> str:
    """What made a data set and what would make it here, in words: where their last bits may come from."""
    by = provenance.get("shards_made_with")
    there = "; ".join(map(str, by)) if isinstance(by, dict) and by else "an unknown version"
    where = provenance.get("platform")
    on = f" on {where}" if where else ""
    return f"it was made by {there}{on}, and here is {versions_in_words(made_with())}"
