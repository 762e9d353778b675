"""What a training is, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from qwell.errors import CheckpointError, InvalidInput

PRECISIONS = ("float32", "tf32", "bf16", "float64")
TIERS = ("auto", "resident", "mirror", "pool")


@dataclass(frozen=True)
class EigenConfig:
    """Training of an eigenvalue network; defaults are the paper's recipe (spectra paper, appendix A).

    Arguments:
        data, digest: path and version of the data set.
        model, options: name in the zoo, and fields of its configuration that differ from the defaults.
        updates: of the weights in all.
        batch: rows an update.
        first_rate, last_rate: learning rates, geometric in between.
        density_weight: w of the loss on densities (`steps.density_loss`); the data set must have them.
        seed: of weights and order of batches.
        precision: "float32", "tf32" or "bf16".
        compile: pass the model through torch.compile.
        stream: tier, see `stream.open_stream`.
        watch: paths of further data sets whose validation split is measured too.
        tensorboard: also write TensorBoard events into the run.
        log_every, evaluate_every, checkpoint_every: in updates.

    Raises InvalidInput for a value out of range.
    """

    data: str
    digest: str
    model: str = "res_sa"
    options: dict[str, Any] = field(default_factory=dict)
    updates: int = 100_000
    batch: int = 100
    first_rate: float = 1e-3
    last_rate: float = 1e-5
    density_weight: float = 0.0
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    stream: str = "auto"
    watch: tuple[str, ...] = ()
    tensorboard: bool = False
    log_every: int = 100
    evaluate_every: int = 1000
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "log_every", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("first_rate", "last_rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be a positive number")
        if not (math.isfinite(self.density_weight) and self.density_weight >= 0):
            raise InvalidInput(f"density_weight is {self.density_weight}; it must be 0 or a positive number")
        for name, allowed in (("precision", PRECISIONS), ("stream", TIERS)):
            if getattr(self, name) not in allowed:
                raise InvalidInput(
                    f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}"
                )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the data set that the training reads."""
        return ("potential", "energy", "density") if self.density_weight else ("potential", "energy")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> EigenConfig:
        """Build from the `config.json` of a run; CheckpointError if it is not one."""
        known = {f.name for f in fields(cls)}
        try:
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in obj.items() if k in known
            }
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(
                f"the run's config.json is not that of an eigenvalue training: {error}"
            ) from error
