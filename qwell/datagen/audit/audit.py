"""Are the numbers of a data set right? Values checked everywhere, a sample made again by the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qwell.errors import InvalidInput
from qwell.store.dataset import Dataset


@dataclass
class Audit:
    """What was found: problems, numbers, and a few words on what was done."""

    problems: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    summary: str = ""


def audit(data: Dataset, samples: int = 1000, seed: int = 0) -> Audit:
    """Check every value of a data set, and a seeded random sample of rows against the reference method.

    Arguments:
        data: of any kind; of kinds without numbers to check nothing is said.
        samples: rows a split to make again; of trajectories at most 8, of driven ones 4.
        seed: of the choice.

    Raises InvalidInput for trajectories chosen or put together from others.
    """
    if data.kind == "spectra":
        from qwell.datagen.audit.spectra import audit_spectra

        return Audit(*audit_spectra(data, samples, seed))
    if data.kind == "trajectories" and data.recipe.get("recipe") in ("subset", "merge"):
        raise InvalidInput(
            f"the simulations of {data.path} are not in the order of a recipe; use --full with the data it"
            " was made of"
        )
    if data.kind == "trajectories" and data.recipe.get("recipe") == "driven":
        from qwell.datagen.audit.driven import audit_driven

        return Audit(*audit_driven(data, samples, seed))
    if data.kind == "trajectories":
        from qwell.datagen.audit.trajectories import audit_trajectories

        return Audit(*audit_trajectories(data, samples, seed))
    if data.kind == "densities":
        from qwell.datagen.audit.densities import audit_densities

        return Audit(*audit_densities(data, samples, seed))
    return Audit()
