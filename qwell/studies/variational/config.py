"""How states are looked for, and derivatives timed, as data; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qwell.errors import InvalidInput, unknown
from qwell.studies.variational.potentials import OSCILLATORS, WELLS, Well, well_of
from qwell.train.config import Config, left_open

OPTIMISERS = ("adam", "adam+lbfgs", "adam+lbfgs+linear")
RULES, FORMS, DTYPES = ("legendre", "rectangle"), ("gradient", "laplacian"), ("float64", "float32")
SETUPS = ("ours", "paper")
PARITIES = ("auto", "even", "odd", "none")


@dataclass(frozen=True)
class SampledConfig(Config):
    """How a ground state in two or three dimensions is looked for, by Monte Carlo.

    Arguments:
        potential: one of `OSCILLATORS`, or a formula in x, y[, z].
        dimensions: of a formula, 2 or 3.
        layers: hidden widths, tanh.
        steps: of stochastic reconfiguration.
        walkers: of the sampling, and so samples a step.
        sweeps: recorded for the final energy, of five each.
        seed: of weights and walkers.
        seeds: how many beginnings, from `seed` on.

    Raises InvalidInput for a value out of range.
    """

    potential: str = OSCILLATORS[0]
    dimensions: int = 1
    layers: tuple[int, ...] = (32, 32)
    steps: int = 200
    walkers: int = 500
    sweeps: int = 400
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        self.at_least(1, "steps", "walkers", "sweeps", "seeds")


@dataclass(frozen=True)
class VariationalConfig(Config):
    """How the states of a well are looked for.

    Arguments:
        potential: a name of `WELLS` or a formula in x.
        region: (a, b), where φ vanishes; the well's own by default.
        kinks: of the potential, where V' jumps; the well's own by default.
        layers: hidden widths; the well's own (the paper's) by default.
        points: of the rule of integration.
        rule: "legendre" or "rectangle".
        walls: whether φ vanishes at the ends of the region.
        form: of the functional, "gradient" or "laplacian".
        optimizer: "adam", "adam+lbfgs" or "adam+lbfgs+linear".
        adam_steps, lbfgs_steps, linear_steps: of each.
        rate: Adam's largest learning rate.
        dtype: "float64" or "float32".
        levels: how many states.
        parity: of states about the middle of the region: "even" or "odd", "none" for no use of it, or "auto":
            even and odd in turn where V is the same on both sides.
        seed: of the weights.
        seeds: how many beginnings, from `seed` on.

    Raises InvalidInput for a value out of range, or a combination that cannot be.
    """

    potential: str = "harmonic"
    region: tuple[float, float] | None = left_open("the well's; formulas need it")
    kinks: tuple[float, ...] | None = left_open("the well's")
    layers: tuple[int, ...] | None = left_open(
        f"the paper's; {','.join(map(str, SampledConfig.layers))} by Monte Carlo"
    )
    points: int = 400
    rule: str = RULES[0]
    walls: bool = True
    form: str = FORMS[0]
    optimizer: str = OPTIMISERS[-1]
    adam_steps: int = 300
    lbfgs_steps: int = 800
    linear_steps: int = 350
    rate: float = 1e-2
    dtype: str = DTYPES[0]
    levels: int = 1
    parity: str = PARITIES[0]
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        self.choice("rule", RULES)
        self.choice("parity", PARITIES)
        self.choice("form", FORMS)
        self.choice("optimizer", OPTIMISERS)
        self.choice("dtype", DTYPES)
        self.at_least(20, "points")
        self.at_least(0, "adam_steps", "lbfgs_steps", "linear_steps")
        self.at_least(1, "levels", "seeds")
        self.positive("rate")
        if self.region is not None and len(self.region) != 2:
            raise InvalidInput(f"the region is {self.region}; write two numbers: --region=-6,6")
        if "linear" in self.optimizer and (self.form, self.dtype) != ("gradient", "float64"):
            raise InvalidInput(
                "the linear method needs the gradient form and float64; choose --optimizer adam+lbfgs"
            )
        _ = self.well, self.wave_layers
        if self.parity in ("even", "odd") and not self.well.symmetric:
            raise InvalidInput(
                f"{self.well.formula} is not the same on both sides of the middle of its region"
                f" {self.well.region}: states have no parity; choose --parity none, or another --region"
            )

    @property
    def well(self) -> Well:
        """What is to be solved."""
        well = well_of(self.potential, self.region, self.kinks or ())
        return well if self.kinks is None else replace(well, kinks=self.kinks)

    @property
    def mirrored(self) -> bool:
        """Whether states have a parity that is made use of."""
        return self.parity in ("even", "odd") or (self.parity == "auto" and self.well.symmetric)

    def sign(self, level: int) -> int:
        """The parity of a level, counted among those that are looked for: 1, −1, or 0 for none."""
        if not self.mirrored:
            return 0
        return {"even": 1, "odd": -1}.get(self.parity, (-1) ** level)

    def among_all(self, level: int) -> int:
        """The number, among all levels of the well, of a level among those that are looked for."""
        return 2 * level + (self.parity == "odd") if self.parity in ("even", "odd") else level

    @property
    def wave_layers(self) -> tuple[int, ...]:
        """Hidden widths."""
        layers = self.well.layers if self.layers is None else self.layers
        if not layers or any(width < 1 for width in layers):
            raise InvalidInput(f"layers are {layers}; write widths like 10,10,10")
        return layers

    @classmethod
    def of_setup(cls, potential: str, setup: str = SETUPS[0], **changes: Any) -> VariationalConfig:
        """A set-up with changes: "ours", the defaults, or "paper"; InvalidInput for another."""
        if setup not in SETUPS:
            raise InvalidInput(unknown("setup", setup, SETUPS))
        return cls.paper(potential, **changes) if setup == "paper" else cls(potential, **changes)

    @classmethod
    def paper(cls, potential: str, **changes: Any) -> VariationalConfig:
        """The paper's set-up: its Ω, free ends, ∫φHφ by 10,000 rectangles, Adam."""
        well = WELLS.get(potential)
        if well is None:
            raise InvalidInput(f"the paper knows {', '.join(WELLS)}; {potential!r} is none of them")
        paper: dict[str, Any] = {
            "layers": (20,) * 6 if potential == "morse" else well.layers,
            "region": well.paper_region,
            "kinks": (),
            "points": 10_000,
            "rule": "rectangle",
            "walls": False,
            "form": "laplacian",
            "parity": "none",
            "optimizer": "adam",
            "adam_steps": 2000,
            "rate": 1e-3,
        }
        return cls(potential=potential, **{**paper, **changes})


@dataclass(frozen=True)
class TimesConfig(Config):
    """What derivatives of networks are timed for.

    Arguments:
        sizes: numbers of inputs, and of outputs.
        orders: of `derivatives`.
        batch: points an evaluation.
        patience: seconds for each number.
        threads: of torch, while it lasts.
    """

    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    orders: tuple[str, ...] = ("hessian", "diagonal", "first")
    batch: int = 1
    patience: float = 0.2
    threads: int = 1


def is_sampled(potential: str, dimensions: int = SampledConfig.dimensions) -> bool:
    """Whether a potential has more than one dimension, and so is Monte Carlo's."""
    return potential in OSCILLATORS or dimensions > 1
