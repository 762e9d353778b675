"""How densities are looked into, as data; nothing here needs torch until a configuration is made."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.errors import InvalidInput
from qwell.train.config import Config

UPDATES = ("linear", "free")
DECODERS = ("free", "linear")
STAGES = ("translator", "scan", "law")


@dataclass(frozen=True)
class IntrospectConfig(Config):
    """How a data set of densities is learned from, and looked into.

    Arguments:
        data, digest: path and version of the data set.
        translator: of `TRANSLATORS`.
        dimensions: latent dimensions to scan.
        update: of latent numbers: "linear", by matrices, or "free", by a perceptron; a control without a law.
        decoder: of latent numbers: "free", a perceptron, or "linear", by a matrix, as is the encoder then: a
            linear auto-encoder, as a control.
        seeds: distillers of each dimension, one after another.
        starts: beginnings of each; the one ahead is trained to the end.
        translator_steps, distiller_steps: of Adam.
        seed: of all.

    Raises InvalidInput for a value out of range.
    """

    data: str
    digest: str
    translator: str = "taylor"
    dimensions: tuple[int, ...] = (1, 2, 3, 4)
    update: str = UPDATES[0]
    decoder: str = DECODERS[0]
    seeds: int = 1
    starts: int = 3
    translator_steps: int = 6000
    distiller_steps: int = 2500
    seed: int = 0

    def __post_init__(self) -> None:
        from qwell.models.introspective import TRANSLATORS

        self.choice("translator", tuple(TRANSLATORS))
        self.choice("update", UPDATES)
        self.choice("decoder", DECODERS)
        if not self.dimensions or min(self.dimensions) < 1 or max(self.dimensions) > 8:
            raise InvalidInput(f"dimensions are {self.dimensions}; write some from 1 to 8, like 1,2,3,4")
        self.at_least(1, "seeds", "starts", "translator_steps", "distiller_steps")
