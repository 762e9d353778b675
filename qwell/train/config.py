"""What a training is, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from qwell.errors import CheckpointError, InvalidInput

PRECISIONS = ("float32", "tf32", "bf16", "float64")
TIERS = ("auto", "resident", "mirror", "pool")


@dataclass(frozen=True)
class TrainingConfig:
    """What every training has; see the descendants.

    Raises InvalidInput for a value out of range.
    """

    data: str
    digest: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    updates: int = 100_000
    batch: int = 100
    first_rate: float = 1e-3
    last_rate: float = 1e-5
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
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
        self._choice("precision", PRECISIONS)

    def _choice(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise InvalidInput(f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Self:
        """Build from the `config.json` of a run; CheckpointError if it is not one of this kind."""
        known = {f.name for f in fields(cls)}
        try:
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in obj.items() if k in known
            }
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(
                f"the run's config.json is not that of such a training ({cls.__name__}): {error}"
            ) from error


@dataclass(frozen=True)
class EigenConfig(TrainingConfig):
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

    model: str = "res_sa"
    density_weight: float = 0.0
    stream: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.density_weight) and self.density_weight >= 0):
            raise InvalidInput(f"density_weight is {self.density_weight}; it must be 0 or a positive number")
        self._choice("stream", TIERS)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the data set that the training reads."""
        return ("potential", "energy", "density") if self.density_weight else ("potential", "energy")


@dataclass(frozen=True)
class DynamicsConfig(TrainingConfig):
    """Training of an emulator; defaults are the released recipe (dynamics paper; its text differs).

    Arguments:
        data, digest, model, options, updates, seed, compile, tensorboard, …: as in `EigenConfig`.
        batch: windows an update; of emulators on the ring, trajectories.
        first_rate, last_rate: the rate rises from 0 to the first over `warm_up`, and falls linearly.
        warm_up: share of the updates.
        decay: decoupled weight decay of AdamW, not on biases.
        clip: largest norm of each tensor's gradient; 0 leaves them as they are.
        unroll: frames that an emulator on the ring is run on for the loss.
        rollout: frames of the rollouts that validate.

    Raises InvalidInput for a value out of range.
    """

    model: str = "emulator_gru"
    batch: int = 128
    last_rate: float = 1e-6
    warm_up: float = 0.01
    decay: float = 0.01
    clip: float = 1.0
    unroll: int = 4
    rollout: int = 100
    log_every: int = 1000
    evaluate_every: int = 20_000
    checkpoint_every: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("unroll", "rollout"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name, most in (("warm_up", 1.0), ("decay", math.inf), ("clip", math.inf)):
            if not 0 <= getattr(self, name) <= most or math.isinf(getattr(self, name)):
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be 0 or a positive number")
