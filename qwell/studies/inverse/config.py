"""How a potential is looked for, as data; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwell.errors import InvalidInput
from qwell.train.config import MEASURED, Config, known, left_open

if TYPE_CHECKING:
    from qwell.studies.inverse.systems import System

METHODS = ("variance", "mpnn", "qpnn", "qpnn-ms")
RECIPES = ("text", "scripts")
FIELDS = ("paper", "plain", "radius", "coulomb")
DERIVATIVES = ("difference", "spline", "spectral")
# What depends on the number of dimensions: in one, and in two or three.
LAYERS = ((24, 24), (32, 32))
EPOCHS = (1000, 2000)
NEWTON_STEPS = (150, 60)
# λ of the released scripts, for hydrogen-1s and for the rest.
PENALTIES = (0.001, 1.0)


def _by_dimension(flat: object, space: object) -> str:
    return f"{space}; {flat} in 1-D"


@dataclass(frozen=True)
class FinderConfig(Config):
    """How a potential is looked for. What is left open, `resolved` fills in for a system.

    Arguments:
        system: a name of `SYSTEMS`, or what a grid is called.
        method: "variance", "mpnn", "qpnn" or "qpnn-ms".
        recipe: of the paper's methods, "text" or "scripts".
        field: of `FIELDS`; "plain" by default, and "paper" for the paper's methods, which take no other.
        layers: hidden widths of smooth fields; by default 24, 24 in one dimension, and 32, 32 in more.
        activation: of smooth fields.
        penalty: λ; the released scripts' by default.
        shrink: δ, what the paper's network is multiplied by at the beginning.
        pins: r₀, one or several points; the system's own by default.
        samples: points to learn from; of "variance", of each kind.
        temper: share of the points of "variance" that are drawn with β = ¼, for the tails.
        epochs: of the paper's methods, batches of 32; by default 1000 in one dimension, and 2000 in more.
        adam_steps, newton_steps: of "variance"; the second by default 150 in one dimension, and 60 in more.
        rate: Adam's learning rate.
        seed: of weights and points.
        seeds: how many beginnings, from `seed` on.

    Raises InvalidInput for a value out of range, or a combination that cannot be.
    """

    system: str = "hydrogen-1s"
    method: str = METHODS[0]
    recipe: str = RECIPES[0]
    field: str | None = left_open(f"{FIELDS[1]}; the paper's methods: {FIELDS[0]}")
    layers: tuple[int, ...] | None = left_open(
        _by_dimension(*(",".join(map(str, widths)) for widths in LAYERS))
    )
    activation: str = "SiLU"
    penalty: float | None = left_open("the scripts'")
    shrink: float = 0.01
    pins: tuple[tuple[float, ...], ...] | None = left_open("the system's")
    samples: int = 2500
    temper: float = 0.5
    epochs: int | None = left_open(_by_dimension(*EPOCHS))
    adam_steps: int = 1500
    newton_steps: int | None = left_open(_by_dimension(*NEWTON_STEPS))
    rate: float = 1e-3
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        self.choice("method", METHODS)
        self.choice("recipe", RECIPES)
        self.choice("field", FIELDS)
        if self.field is not None and (self.method == "variance") == (self.field == "paper"):
            takes = f"smooth fields {', '.join(FIELDS[1:])}" if self.field == "paper" else "the paper field"
            raise InvalidInput(f"the method {self.method} takes {takes}")
        self.at_least(32, "samples")
        self.at_least(1, "epochs", "seeds")
        self.at_least(0, "adam_steps", "newton_steps")
        self.not_negative("penalty", "shrink")
        self.shares("temper")
        self.positive("rate")

    @property
    def steps(self) -> int:
        """Steps, or epochs, of one beginning; InvalidInput if they are still open."""
        if self.method == METHODS[0]:
            return self.adam_steps + known(self.newton_steps)
        return known(self.epochs)

    def resolved(self, system: System) -> FinderConfig:
        """The same with what was left open filled in for a system."""
        beyond = int(system.dimensions > 1)
        return replace(self, pins=self.pins or (system.pin,)).filled(
            field="plain" if self.method == "variance" else "paper",
            layers=LAYERS[beyond],
            penalty=PENALTIES[int(system.name != "hydrogen-1s")],
            epochs=EPOCHS[beyond],
            newton_steps=NEWTON_STEPS[beyond],
        )


@dataclass(frozen=True)
class StateConfig(Config):
    """The state whose potential is looked for: of a named system, of a data set of spectra, or in a file.

    Arguments:
        system: a name of `SYSTEMS`.
        data: path of a data set of spectra; row, level, split: of the state in it.
        file: path of x, ψ [, V] in columns.
        derivative: how ψ'' is taken on grids: "difference", "spline" or "spectral"; by default the data set's
            own differences, and of a file what its ψ allows (`grids.derivative_for`).
        noise: relative standard deviation of |ψ|² at every point of the grid; 0 for none.
        noise_seed: of the noise.
        values: V at the pinned points, for files that do not have it.

    Raises InvalidInput unless there is one of system, data and file.
    """

    system: str | None = None
    data: str | None = None
    file: str | None = None
    row: int = 0
    level: int = 0
    split: str = MEASURED
    derivative: str | None = left_open("difference; spectral of files that are smooth")
    noise: float = 0.0
    noise_seed: int = 0
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.system, self.data, self.file)) != 1:
            raise InvalidInput("name one of --system, --data and --file, e.g. --system hydrogen-1s")
        self.choice("derivative", DERIVATIVES)
        self.not_negative("noise")
        if self.noise and self.system is not None:
            raise InvalidInput(f"ψ of {self.system} is a formula, without noise; ask about --data or --file")
