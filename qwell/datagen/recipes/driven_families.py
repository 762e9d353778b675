"""Families of driven simulations: packets × potentials × drives, or cases drawn at random between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from qwell.datagen.recipes.trajectories import NUMBERS, Family
from qwell.errors import InvalidInput
from qwell.physics.barriers import Potential
from qwell.physics.drives import WORDS, Drive, Term

MOST_DRAWN = 10**9
Case = tuple[str, Potential, tuple[float, float, float], Drive]  # packet, potential, (x0, s0, e0), drive


@dataclass(frozen=True)
class DrivenFamily(Family):
    """Every packet in every potential under every drive, or so many cases drawn between them.

    Arguments:
        x0, s0, e0, potentials, packet: see `Family`; the packet "ground" is the lowest eigenstate of its
            potential, without x0, s0 and e0.
        drives: what potentials are driven by; drives run slowest.
        drawn: 0 for all of these. Else so many cases with random numbers instead: x0, s0, e0 and the numbers
            of drives alike (of the same kinds, envelopes and shapes) uniform between the least and the
            largest there are; a potential and a drive picked.
    """

    drives: tuple[Drive, ...] = (Drive(),)
    drawn: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.drives:
            raise InvalidInput("drives is empty; give at least one")
        if not 0 <= self.drawn <= MOST_DRAWN:
            raise InvalidInput(f"drawn is {self.drawn}; it must be from 0 to {MOST_DRAWN:,}")

    def __len__(self) -> int:
        return self.drawn or super().__len__() * len(self.drives)

    def pick(self, row: int) -> Case:
        """Case `row` of all combinations."""
        shape = (len(self.drives), len(self.potentials), len(self.x0), len(self.s0), len(self.e0))
        d, v, i, j, k = np.unravel_index(row, shape)
        return self.packet, self.potentials[v], (self.x0[i], self.s0[j], self.e0[k]), self.drives[d]

    def draw(self, rng: np.random.Generator) -> Case:
        """A case of random numbers."""
        x0, s0, e0 = (rng.uniform(min(getattr(self, n)), max(getattr(self, n))) for n in NUMBERS)
        potential = self.potentials[rng.integers(len(self.potentials))]
        one = self.drives[rng.integers(len(self.drives))]
        alike = [drive for drive in self.drives if _signature(drive) == _signature(one)]
        terms = []
        for place, term in enumerate(one.terms):
            numbers = dict(term.numbers)
            for name, value in sorted(numbers.items()):  # in one order, however a recipe was written down
                if name not in (*WORDS, "values"):
                    values = [drive.terms[place].numbers[name] for drive in alike]
                    drawn = float(rng.uniform(min(values), max(values)))
                    numbers[name] = drawn if min(values) < max(values) else value
            terms.append(Term(term.kind, numbers))
        return self.packet, potential, (x0, s0, e0), Drive(tuple(terms))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        return {**super().to_json(), "drives": [d.to_json() for d in self.drives], "drawn": self.drawn}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> DrivenFamily:
        """Build from untrusted JSON; InvalidInput on anything else."""
        if not isinstance(obj, Mapping) or not isinstance(obj.get("drives"), list):
            raise InvalidInput(f"not a family of driven simulations: {str(obj)[:80]}")
        if type(obj.get("drawn")) is not int:
            raise InvalidInput(f"not a family of driven simulations: drawn is {obj.get('drawn')!r}")
        plain = Family.from_json({k: v for k, v in obj.items() if k not in ("drives", "drawn")})
        drives = tuple(Drive.from_json(d) for d in obj["drives"])
        return cls(**{f.name: getattr(plain, f.name) for f in fields(plain)}, drives=drives,
                   drawn=obj["drawn"])  # fmt: skip


def _signature(drive: Drive) -> list[tuple[Any, ...]]:
    """What two drives share whose numbers may be mixed."""
    return [
        (term.kind, sorted(term.numbers), *(str(term.numbers.get(word)) for word in WORDS))
        for term in drive.terms
    ]


def families_from(many: Sequence[Any]) -> tuple[DrivenFamily, ...]:
    """Families from untrusted JSON; InvalidInput on anything else."""
    return tuple(DrivenFamily.from_json(one) for one in many)
