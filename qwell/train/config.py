"""What a training is, as data: every default stands here, and nothing here needs torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from qwell.errors import CheckpointError, InvalidInput, unknown
from qwell.train.loggers import LIBRARIES

PRECISIONS = ("float32", "tf32", "bf16", "float64")
TIERS = ("auto", "resident", "mirror", "pool")
TRAJECTORY_TIERS = ("auto", "resident", "mirror")  # windows are cut at random from all of a split
DEVICE = "auto"  # what `choose_device` is given
MEASURED = "validation"  # the split that trained networks are measured on
# Every so many parts of a training is logged, validated and saved, unless it is said how often.
OPTIMIZERS = ("adam", "soap")
PARTS = {"log_every": 1000, "evaluate_every": 20, "checkpoint_every": 100}
# The released recipe of emulators that see windows; and ours of emulators on the ring, which have none.
WINDOWS, EPOCHS, FREE_EPOCHS = 128, 5, 3
RINGS, RING_UPDATES = 8, 12_000
SCHEDULES = ("geometric", "cosine", "linear")
# The spectra paper's recipe (appendix A), for networks that have none of their own.
PAPER = {"batch": 100, "last_rate": 1e-5, "schedule": "geometric", "warm_up": 0.0}
SMALL = 1_000_000  # numbers of a network below which one thread is as fast as many
T = TypeVar("T")


def left_open(words: str, **metadata: Any) -> Any:
    """A field that is None until `resolved` fills it in; `words` say by what, for help texts.

    `absent` is what it was, silently, in runs from before there was the field.
    """
    return field(default=None, metadata={"default": words, **metadata})


def known(value: T | None) -> T:
    """A setting of a configuration that is resolved.

    Raises InvalidInput if it is still open.
    """
    if value is None:
        raise InvalidInput("a setting was left open; call `resolved` on the configuration first")
    return value


@dataclass(frozen=True)
class Config:
    """Settings of a training or study as plain data, with the checks that they share.

    Settings that are still open (None) pass every check.
    """

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Any) -> Self:
        """Build from an object of a run's files; keys that are no settings are left out.

        Raises:
            CheckpointError: it is not one of this kind.
            InvalidInput: a value out of range.
        """
        names = {f.name for f in fields(cls)}
        absent = {f.name: f.metadata["absent"] for f in fields(cls) if "absent" in f.metadata}
        try:
            given = {name: _tuples(value) for name, value in obj.items() if name in names}
            return cls(**absent | given)
        except (TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the run's files do not describe such a training ({cls.__name__}): {error}"
            ) from error

    def filled(self, **values: Any) -> Self:
        """The same with these values where a setting is still open."""
        return replace(self, **{name: v for name, v in values.items() if getattr(self, name) is None})

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def at_least(self, least: float, *names: str) -> None:
        """Raise InvalidInput for a setting below a number."""
        for name, value in self._given(names).items():
            if value < least:
                raise InvalidInput(f"{name} is {value}; it must be at least {least}")

    def positive(self, *names: str) -> None:
        """Raise InvalidInput for a setting that is not a positive number."""
        for name, value in self._given(names).items():
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name} is {value}; it must be a positive number")

    def not_negative(self, *names: str) -> None:
        """Raise InvalidInput for a setting that is neither 0 nor a positive number."""
        for name, value in self._given(names).items():
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInput(f"{name} is {value}; it must be 0 or a positive number")

    def shares(self, *names: str) -> None:
        """Raise InvalidInput for a setting that does not lie between 0 and 1."""
        for name, value in self._given(names).items():
            if not 0 <= value <= 1:
                raise InvalidInput(f"{name} is {value}; it must lie between 0 and 1")

    def choice(self, name: str, allowed: tuple[str, ...]) -> None:
        """Raise InvalidInput for a setting that is none of these."""
        for value in self._given((name,)).values():
            if value not in allowed:
                raise InvalidInput(unknown(name, value, allowed))


def _tuples(value: Any) -> Any:
    """The same with tuples for the lists that JSON makes of them."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class TrainingConfig(Config):
    """What every training has; see the descendants.

    Raises InvalidInput for a value out of range.
    """

    data: str
    digest: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    updates: int | None = None
    batch: int | None = None
    first_rate: float | None = left_open("the model's, mostly 1e-3")
    last_rate: float | None = left_open("the model's, mostly 1e-5")
    schedule: str | None = None
    warm_up: float | None = None
    ema: float = 0.0
    threads: int | None = left_open("1 for networks of less than a million numbers, else all cores")
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    watch: tuple[str, ...] = ()
    logger: tuple[str, ...] = ()
    tensorboard: bool = False
    log_every: int | None = left_open(f"1/{PARTS['log_every']} of all")
    evaluate_every: int | None = left_open(f"1/{PARTS['evaluate_every']} of all")
    checkpoint_every: int | None = left_open(f"1/{PARTS['checkpoint_every']} of all")

    def __post_init__(self) -> None:
        self.at_least(1, "updates", "batch", *PARTS)
        self.at_least(1, "threads")
        self.positive("first_rate", "last_rate")
        self.choice("schedule", SCHEDULES)
        self.shares("warm_up")
        if not 0 <= self.ema < 1:
            raise InvalidInput(f"ema is {self.ema}; it must be 0 (no average) or below 1, e.g. 0.999")
        self.choice("precision", PRECISIONS)
        for name in self.logger:
            if name not in LIBRARIES:
                raise InvalidInput(unknown("logger", name, LIBRARIES))

    @property
    def loggers(self) -> tuple[str, ...]:
        """The loggers that are asked for, each once."""
        return tuple(dict.fromkeys([*self.logger, *["tensorboard"] * self.tensorboard]))

    def resolved(self, **decided: Any) -> Self:
        """The same with what was left open filled in: by what the model and the data decide, and by `PARTS`.

        Arguments:
            decided: values of `updates`, `batch`, `first_rate` …, used where they were not given.
        """
        settled = self.filled(**decided)
        updates = known(settled.updates)
        return settled.filled(**{name: max(updates // part, 1) for name, part in PARTS.items()})


@dataclass(frozen=True)
class EigenConfig(TrainingConfig):
    """Training of an eigenvalue network; defaults are the paper's recipe (spectra paper, appendix A).

    Arguments:
        data, digest: path and version of the data set.
        model, options: name in the zoo, and fields of its configuration that differ from the defaults.
        updates: of the weights in all.
        batch: rows an update.
        first_rate, last_rate, schedule, warm_up: learning rates from and to which the schedule leads
            ("geometric", "cosine", "linear"), after a rise from 0 in a share of the updates; the model's
            own by default (`registry.Entry`), the paper's `PAPER` where it has none.
        ema: decay of a running average of the weights, which is measured and saved instead of them; 0: none.
        threads: of the processor that the training uses.
        optimizer: "adam", the paper's, or "soap" (`soap.SOAP`), which needs far fewer updates, each dearer;
            batches of 1,000 suit it.
        density_weight: w of the loss on densities (`eigen_steps.density_loss`); the data set must have them.
        mirror: half of every batch is mirrored, v(−x), which has the energies of v(x); with torchrun, half of
            the part of every process, so that W processes do not do what one does.
        seed: of weights and order of batches.
        precision: "float32", "tf32" or "bf16".
        compile: pass the model through torch.compile.
        stream: tier, see `stream.open_stream`.
        watch: paths of further data sets whose validation split is measured too.
        logger: names of `loggers.LIBRARIES`, which get every measurement, too.
        tensorboard: the same as "tensorboard" among them.
        log_every, evaluate_every, checkpoint_every: in updates; by default parts of all (`PARTS`).

    Raises InvalidInput for a value out of range.
    """

    model: str = "res_sa"
    updates: int = 100_000
    batch: int | None = left_open("the model's: 100, and 250 for mlp")
    schedule: str | None = left_open("the model's: geometric, and cosine for mlp", absent="geometric")
    warm_up: float | None = left_open("the model's: 0, and 0.05 for mlp", absent=0.0)
    optimizer: str = "adam"
    density_weight: float = 0.0
    mirror: bool = False
    stream: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choice("optimizer", OPTIMIZERS)
        self.not_negative("density_weight")
        self.choice("stream", TIERS)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the data set that the training reads."""
        return ("potential", "energy", "density") if self.density_weight else ("potential", "energy")


@dataclass(frozen=True)
class DynamicsConfig(TrainingConfig):
    """Training of an emulator; defaults are the released recipe (dynamics paper; its text differs).

    Arguments:
        data, digest, model, options, seed, compile, logger, …: as in `EigenConfig`.
        updates, batch: windows an update, and trajectories for emulators on the ring; by default as
            `dynamics.recipe_of` says.
        first_rate, last_rate, schedule, warm_up: as in `EigenConfig`; the released recipe's by default.
        decay: decoupled weight decay of AdamW, not on biases.
        clip: largest norm of each tensor's gradient; 0 leaves them as they are.
        noise: standard deviation of the noise that is added to Re ψ and Im ψ of what is seen, in units of the
            root mean square of ψ in the window; targets have none.
        unroll: frames that an emulator on the ring is run on for the loss.
        rollout: frames of the rollouts that validate.
        stream: where trajectories lie, see `trajectories.trajectories_of`; batches are the same.
        start_from: a run, model folder or pretrained name whose weights are begun with.

    Raises InvalidInput for a value out of range.
    """

    model: str = "emulator_gru"
    updates: int | None = left_open(
        f"the released recipe's, {EPOCHS} epochs, {FREE_EPOCHS} without potential; {RING_UPDATES} for models"
        " on the ring"
    )
    batch: int | None = left_open(f"{WINDOWS}; {RINGS} for models on the ring")
    last_rate: float | None = 1e-6
    schedule: str | None = "linear"
    warm_up: float | None = 0.01
    decay: float = 0.01
    clip: float = 1.0
    noise: float = 0.0
    unroll: int = 4
    rollout: int = 100
    stream: str = "auto"
    start_from: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choice("stream", TRAJECTORY_TIERS)
        self.at_least(1, "unroll", "rollout")
        self.not_negative("decay", "clip", "noise")
