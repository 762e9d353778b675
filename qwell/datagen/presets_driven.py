"""Driven simulations: a small set to try things with, random pulses, a shaken lattice, a moving barrier.

The pulses are electric fields that act on an electron in the ground state of a well, with open ends for what
they set free. Networks learn from Gaussian and sin² envelopes and are tested with envelopes that they have
never seen; `pulses-long` has the same over ten times the horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from qwell.datagen.recipes.driven import GROUND, KEEP, DrivenRecipe
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.errors import InvalidInput
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.windows import Curriculum

TAUGHT, UNSEEN = ("gaussian", "sin2"), ("flat", "sech", "double")  # envelopes
HOW = Propagation("split-operator-4", tolerance=1e-6)
WELLS = tuple(
    Potential("gaussian", {"height": -depth, "width": width})
    for depth, width in product((2.0, 3.0, 4.0, 5.0), (6.0, 8.0))
)


def between(kind: str, words: Mapping[str, Any], **ranges: tuple[float, float]) -> tuple[Drive, Drive]:
    """The two drives of one term with the least and the largest numbers, for cases drawn between them."""
    return tuple(  # type: ignore[return-value]
        Drive((Term(kind, {**words, **{name: ends[i] for name, ends in ranges.items()}}),)) for i in (0, 1)
    )


def _pulses(envelopes: Sequence[str], drawn: int) -> DrivenFamily:
    drives = [
        drive
        for envelope in envelopes
        for drive in between(
            "dipole", {"envelope": envelope}, amplitude=(0.1, 1.0), frequency=(0.3, 2.0), phase=(0.0, 6.28),
            start=(0.0, 10.0), duration=(10.0, 30.0),
        )
    ]  # fmt: skip
    return DrivenFamily(potentials=WELLS, packet=GROUND, drives=tuple(drives), drawn=drawn)


def _random_pulses() -> DrivenRecipe:
    return DrivenRecipe((_pulses(TAUGHT, 800),), tests=(_pulses(UNSEEN, 100),), validation=100,
                        propagation=HOW, absorber=Absorber(), levels=4,
                        curriculum=Curriculum(v_scale=5.0))  # fmt: skip


def _long_pulses() -> DrivenRecipe:
    """Ten times longer: trains of pulses of every envelope."""
    how = replace(HOW, frames=5000)
    return replace(_random_pulses(), families=(_pulses(UNSEEN, 16),), tests=(), validation=0, split="test",
                   propagation=how)  # fmt: skip


def _small() -> DrivenRecipe:
    drives = between("dipole", {"envelope": "sin2"}, amplitude=(0.2, 1.0), frequency=(0.5, 1.5),
                     cycles=(2.0, 4.0))  # fmt: skip
    wells = tuple(Potential("gaussian", {"height": -depth, "width": 8.0}) for depth in (3.0, 4.0))
    family = DrivenFamily(potentials=wells, packet=GROUND, drives=drives, drawn=24)
    return DrivenRecipe((family,), ring=Ring(60.0, 256), validation=4, absorber=Absorber(12.0, 3.3),
                        propagation=replace(HOW, frames=200), levels=4,
                        curriculum=Curriculum(v_scale=4.0))  # fmt: skip


def _shaken_lattice() -> DrivenRecipe:
    """An optical lattice of 20 sites, shaken; packets over some of them, at rest or moving."""
    drives = between("shake", {"envelope": "flat"}, amplitude=(0.1, 1.0), frequency=(0.5, 3.0),
                     start=(0.0, 5.0), duration=(30.0, 45.0))  # fmt: skip
    lattices = tuple(Potential("lattice", {"height": height, "period": 5.0}) for height in (1.0, 2.0, 4.0))
    family = DrivenFamily((40.0, 60.0), (3.0, 6.0), (0.0, 1.0), lattices, drives=drives, drawn=128)
    return DrivenRecipe((family,), validation=16, propagation=HOW, keep=KEEP, levels=4,
                        curriculum=Curriculum(v_scale=4.0))  # fmt: skip


def _moving_barrier() -> DrivenRecipe:
    """A barrier that sweeps a packet along, or runs into it, or is run through."""
    drives = [
        drive
        for ends in ((10.0, 80.0), (90.0, 20.0))
        for drive in between(
            "move", {"from": ends[0], "to": ends[1]}, height=(1.0, 10.0), width=(4.0, 10.0),
            start=(0.0, 10.0), duration=(20.0, 40.0),
        )
    ]  # fmt: skip
    family = DrivenFamily((35.0, 65.0), (1.5, 4.0), (0.0, 4.0), drives=tuple(drives), drawn=128)
    return DrivenRecipe((family,), validation=16, propagation=HOW, keep=KEEP,
                        curriculum=Curriculum(v_scale=10.0))  # fmt: skip


PRESETS: dict[str, Callable[[], DrivenRecipe]] = {
    "driven-small": _small,
    "pulses": _random_pulses,
    "pulses-long": _long_pulses,
    "shaken-lattice": _shaken_lattice,
    "moving-barrier": _moving_barrier,
}


def drives_of(terms: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Drive, ...]:
    """Every sum of terms whose numbers are one of those given: (kind, {number: value or list of values}).

    Raises InvalidInput for a term that is impossible.
    """
    if not terms:
        return ()
    alternatives = []
    for kind, numbers in terms:
        lists = {k: v for k, v in numbers.items() if isinstance(v, list | tuple) and k != "values"}
        if any(not v for v in lists.values()):
            raise InvalidInput(f"a number of the drive {kind!r} is an empty list; give at least one value")
        fixed = {k: v for k, v in numbers.items() if k not in lists}
        alternatives.append(
            [
                Term(kind, {**fixed, **dict(zip(lists, some, strict=True))})
                for some in product(*lists.values())
            ]
        )
    return tuple(Drive(tuple(some)) for some in product(*alternatives))
