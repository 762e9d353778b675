"""Bits that flip, files that are cut short or gone, in finished data sets."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from faults.trying import SMALL, Outcome, all_rows, flip, make
from support import copy_of, root_of

from qwell.errors import QwellError
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.verify import verify_files


def kinds_of_files(path: Path) -> dict[str, Path]:
    """One file of every kind that a data set has."""
    found: dict[str, Path] = {}
    for p in sorted(root_of(path).rglob("*")):
        if p.is_file():
            parts = p.relative_to(root_of(path)).parts
            kind = "/".join(part for part in parts if not part.isdigit()).replace("validation", "train")
            found.setdefault(kind, p)
    if path.is_file():
        found["master"] = path
    return found


def _reads_right(path: Path, truth: dict[str, np.ndarray]) -> str:
    """Read everything: "refused", or "right"; wrong numbers are a failure."""
    try:
        data = open_dataset(path)
        for name, values in truth.items():
            split, field = name.split("/")
            np.testing.assert_array_equal(data[split][field][:], values)
            assert data.recipe == SMALL.to_json()
            np.testing.assert_array_equal(data.coordinates["x"], SMALL.grid.x)
    except QwellError:
        return "refused"
    return "right"


def _damage(folder: Path, suffix: str, tries: int, change: Callable[[Path, random.Random], None]) -> int:
    """Damage every kind of file `tries` times: reading never gives wrong numbers, and verify names it."""
    whole = make(folder / f"whole{suffix}", SMALL)
    truth, dice, count = all_rows(whole), random.Random(3), 0
    for i in range(tries):
        for kind in kinds_of_files(whole):
            path = copy_of(
                whole, folder / f"{count}" / f"x{suffix}" if (folder / f"{count}").mkdir() is None else whole
            )
            victim = kinds_of_files(path)[kind]
            before = victim.read_bytes()
            change(victim, dice)
            if victim.exists() and victim.read_bytes() == before:
                continue
            assert _reads_right(path, truth) in ("refused", "right")
            try:
                root = locate(path)
                problems = list(verify_files(path, root, load_manifest(root)))
            except QwellError as error:
                problems = [str(error)]
            assert problems, f"verify does not notice {kind} ({i})"
            count += 1
            shutil.rmtree(path.parent)
    return count


def _truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


DAMAGE = "named by verify; reading refuses, or gives the right numbers"


def bit_flips(folder: Path, suffix: str, tries: int) -> Outcome:
    """One bit flipped, anywhere in every kind of file."""
    return _damage(folder, suffix, tries, flip), DAMAGE


def truncations(folder: Path, suffix: str, tries: int) -> Outcome:
    """Every kind of file cut short, anywhere."""
    return _damage(folder, suffix, max(tries // 4, 1), _truncate), DAMAGE


def deletions(folder: Path, suffix: str, tries: int) -> Outcome:
    """Every kind of file deleted."""
    return _damage(folder, suffix, 1, lambda path, dice: path.unlink()), DAMAGE
