"""What experiments look at unless they are told otherwise; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.train.config import MEASURED


@dataclass(frozen=True)
class OfSpectra:
    """Asked of networks that predict energies.

    Arguments:
        split: of the data set.
        index: of the potential that is drawn.
        samples: potentials that a table averages over.
        layers: of attention that are drawn.
        candidates: potentials among which crossings are sought.
        device: where the products of a similarity search are made.
    """

    split: str = MEASURED
    index: int = 0
    samples: int = 200
    layers: int = 2
    candidates: int = 24
    device: str = "cpu"


@dataclass(frozen=True)
class OfTrajectories:
    """Asked of emulators.

    Arguments:
        split: of the data set.
        frames: predicted.
        row: of the simulation that is drawn.
        samples: windows of each kind.
        seed: of their choice.
        hamiltonian: of truths that are made on the spot.
        anyway: also of waves of another mesh, time step or Hamiltonian than they learned from.
        keep_norm: whether predicted frames are brought to the norm of the last true one.
    """

    split: str = "test"
    frames: int = 400
    row: int = 0
    samples: int = 200
    seed: int = 0
    hamiltonian: str = "lattice"
    anyway: bool = False
    keep_norm: bool = False
