"""The potential paper: potentials by Metropolis sampling (Hong et al.)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, stdev

from qwell.papers.plan import Answer, Command, Numbers, Paper, Plan, Stage, setting
from qwell.papers.stated import POTENTIAL_EPOCHS, POTENTIALS
from qwell.studies.inverse.config import NEWTON_STEPS, FinderConfig

NAMES = {"qpnn": "QPNN", "qpnn-ms": "QPNN with Metropolis sampling", "mpnn": "MPNN"}


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the released scripts' sizes.

    Arguments:
        seeds: beginnings of everything.
        epochs: of the paper's methods; None for the scripts'.
        ours: options of our own recipe.
        penalties: λ of Fig. 3.
        sweep_epochs, sweep_seeds: of every point of it.
    """

    seeds: int = 5
    epochs: int | None = None
    ours: tuple[str, ...] = ()
    penalties: str = "0,1e-5,1e-4,1e-3,1e-2,1e-1,1"
    sweep_epochs: int = 2000
    sweep_seeds: int = 3


SCALES = {
    "demo": Scale(
        seeds=1, epochs=10, ours=("--adam-steps", "500", "--newton-steps", "15"), penalties="0,1e-3,1e-1",
        sweep_epochs=3, sweep_seeds=1,
    ),
    "cpu": Scale(seeds=3, sweep_seeds=1),
    "paper": Scale(),
}  # fmt: skip
OURS = {"hydrogen-1s": (0.02, 0.02), "oscillator-2": (1e-3, 1e-4)}  # our own bars: ε in the box, |Ē − E|
NOISES = "0,1e-5,1e-4,1e-3,1e-2"  # relative, of |ψ|²
WITH_RADIUS = 1e-3  # |Ē − E| where the network sees the radius
RECIPES = {"text": ("--recipe", "text"), "scripts": ("--recipe", "scripts")}
ONE_RECIPE: dict[str, Command] = {"text and the scripts": ()}  # of qpnn, where they do not differ
HELPS = {  # changes of our recipe: folder → title, options, whether ε is to be smaller with it
    "no-newton": ("without Gauss–Newton", ("--newton-steps", "0"), False),
    "no-tails": ("without points from the tails", ("--temper", "0"), False),
    "tanh": ("tanh instead of SiLU", ("--activation", "Tanh"), False),
    "radius": ("the radius as a coordinate", ("--field", "radius"), True),
    "coulomb": ("N(r)/r, which knows the singularity of the answer", ("--field", "coulomb"), True),
}


@dataclass(frozen=True)
class Steps:
    """The plan at a scale, with the kinds of stages that this paper repeats."""

    scale: Scale
    plan: Plan = field(default_factory=Plan)

    @property
    def epochs(self) -> Command:
        return () if self.scale.epochs is None else ("--epochs", str(self.scale.epochs))

    @property
    def seeds(self) -> Command:
        return "--seeds", str(self.scale.seeds)

    def find(self, folder: str, system: str, *options: str, product: str = "report") -> Stage:
        """A search for the potential of a system."""
        return self.plan.experiment(folder, product, "qtrain", "potential", "--system", system, *options)

    def made(self, folder: str) -> Stage:
        """A search that is in the plan already."""
        return next(stage for stage in self.plan.stages if stage.out == f"probes/{folder}")


def plan(scale: Scale) -> Plan:
    """Table I, Fig. 2, Fig. 3, our own recipe, and what helps."""
    steps = Steps(scale)
    _table(steps)
    _figures(steps)
    _our_recipe(steps)
    _noise(steps)
    return steps.plan


def _table(steps: Steps) -> None:
    full = steps.scale.epochs is None
    for system, methods in POTENTIALS.items():
        for method, (error, energy) in methods.items():
            for recipe, options in (ONE_RECIPE if method == "qpnn" else RECIPES).items():
                measure = "centre" if recipe == "scripts" else "box"
                how = ("--method", method, *options, *steps.epochs, *steps.seeds)
                steps.plan.claim(
                    steps.find(f"{system}-{method}-{recipe.split()[0]}", system, *how),
                    f"{system}: {NAMES[method]}, as in the {recipe}",
                    f"ε {error:g}, Ē {energy:g} (Table I).",
                    partial(_said_of_method, measure=measure, error=error, energy=energy, full=full),
                    _size(system, steps.scale.epochs, steps.scale.seeds),
                )


def _figures(steps: Steps) -> None:
    system, mpnn = "hydrogen-1s", ("--method", "mpnn")
    full = steps.scale.epochs is None
    base, qpnn = steps.made(f"{system}-mpnn-text"), steps.made(f"{system}-qpnn-text")
    size = _size(system, steps.scale.epochs, steps.scale.seeds)
    unshrunk = steps.plan.claim(
        steps.find("fig-2-unshrunk", system, *mpnn, *steps.epochs, "--shrink", "1", *steps.seeds),
        "Without the factor δ",
        "Another potential of similar loss (Fig. 2b).",
        partial(_said_of_change, full=full),
        size,
        base,
    )
    loose = steps.plan.claim(
        steps.find("fig-2-free", system, *mpnn, *steps.epochs, "--lambda", "0", *steps.seeds),
        "Without a pinned point, λ = 0",
        "The potential is shifted by a constant (Fig. 2c).",
        partial(_said_of_change, full=full),
        size,
        base,
    )
    beside = [stage.out for stage in (base, unshrunk, loose, qpnn)]
    steps.plan.claim(
        steps.plan.experiment("fig-2", "potentials", "qtrain", "probe", "potentials", *beside),
        "Four potentials for one state",
        "Losses are alike, potentials are not; MPNN's is the best (Fig. 2).",
        partial(_said_of_maps, best=f"{system}-mpnn-text", full=full),
        _size(system, steps.scale.epochs),
    )
    lengths = ("--epochs", str(steps.scale.sweep_epochs), "--seeds", str(steps.scale.sweep_seeds))
    sweep = (*lengths, "--lambda", steps.scale.penalties)
    steps.plan.claim(
        steps.find("fig-3", system, *mpnn, *sweep, product="sweep"),
        "The multiplier λ",
        "λ = 0 leaves a shift; from some λ on, ε is small and Ē ≈ −.5 (Fig. 3).",
        partial(_said_of_sweep, full=steps.scale.sweep_epochs >= POTENTIAL_EPOCHS[system]),
        _size(system, steps.scale.sweep_epochs, steps.scale.sweep_seeds),
    )


def _our_recipe(steps: Steps) -> None:
    """What the paper does not have: our recipe, and what in it helps."""
    hydrogen, ours, scale = "hydrogen-1s", steps.scale.ours, steps.scale
    asked = {}
    for system, name in ((hydrogen, "hydrogen"), ("oscillator-2", "the oscillator")):
        asked[system] = steps.find(f"{system}-ours", system, *ours, *steps.seeds)
        said = partial(_said_of_ours, bars=OURS[system], full=not ours)
        steps.plan.claim(
            asked[system], f"Beyond the paper: {name}, our recipe", "None.", said, _our_size(system, scale)
        )
    steps.plan.claim(
        steps.made(f"{hydrogen}-mpnn-scripts"),
        "What helps: the paper's network and loss, scripts' recipe",
        "None.",
        partial(_said_of_help, better=False, full=scale.epochs is None and not ours),
        _size(hydrogen, scale.epochs, scale.seeds),
        asked[hydrogen],
    )
    for name, (title, options, better) in HELPS.items():
        said = partial(_said_of_help, better=better, full=not ours)
        stage = steps.find(f"ablation-{name}", hydrogen, *ours, *options, *steps.seeds)
        size = _our_size(hydrogen, scale, options)
        steps.plan.claim(stage, f"What helps: {title}", "None.", said, size, asked[hydrogen])


def _noise(steps: Steps) -> None:
    """What the paper does not have: noise, which pointwise inversion cannot bear.

    On a fine mesh: on 101 points a network has more numbers than there are points, and learns the noise.
    """
    make = ("qdata", "generate", "--kernel", "m3", "--n", "1000", "--validation", "10", "--workers", "0")
    data, scale = steps.plan.data("m3", *make, "--mesh", "800"), steps.scale
    how = ("--data", data, "--noise", NOISES, *scale.ours, *steps.seeds)
    steps.plan.claim(
        steps.plan.experiment("noise", "noise", "qtrain", "potential", *how),
        "Beyond the paper: noise",
        "None.",
        partial(_said_of_noise, full=not scale.ours),
        f"one ground state of m3 on 801 points; {_our_size('oscillator-2', scale)}",
    )


def _size(system: str, epochs: int | None, seeds: int = 1) -> str:
    """How long the paper's methods learned; the paper itself says nothing of it, its scripts do."""
    scripts = POTENTIAL_EPOCHS[system]
    done = scripts if epochs is None else epochs
    begun = "one beginning" if seeds == 1 else f"{seeds} beginnings"
    return f"{done:,} of the released scripts' {scripts:,} epochs, 2,500 points, {begun}"


def _our_size(system: str, scale: Scale, changes: Command = ()) -> str:
    """How long our own recipe learned."""
    options = (*scale.ours, *changes)
    adam, points = (setting(options, FinderConfig, name) for name in ("adam_steps", "samples"))
    at = options.index("--newton-steps") + 1 if "--newton-steps" in options else 0
    newton = (
        options[-1]
        if "--newton-steps" in changes
        else options[at]
        if at
        else NEWTON_STEPS[system == "hydrogen-1s"]
    )
    begun = "one beginning" if scale.seeds == 1 else f"{scale.seeds} beginnings"
    return f"{adam:,} steps of Adam, at most {newton} of Gauss–Newton on {2 * points:,} points, {begun}"


def _mean(n: Numbers, key: str, digits: int = 3) -> str:
    values = [run[key] for run in n["runs"]]
    spread = f" ± {stdev(values):.1g}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}g}{spread}"


def _range(n: Numbers, key: str) -> str:
    """From the least to the largest of all seeds."""
    values = [run[key] for run in n["runs"]]
    return f" ({min(values):.4g} … {max(values):.4g})" if len(values) > 1 else ""


def _said_of_potential(n: Numbers) -> Answer:
    seeds = len(n["runs"])
    return Answer(
        f"ε {_mean(n, 'box')} in the box, {_mean(n, 'centre')} in [−1, 1]^d, {_mean(n, 'weighted')} by |ψ|²;"
        f" Ē {_mean(n, 'energy', 6)}{_range(n, 'energy')}, evenly in the box (Eq. 10)"
        f" {_mean(n, 'uniform')}{_range(n, 'uniform')} (exact {n['exact']:g}), the potential's own error"
        f" √(variance of E(r)) {_mean(n, 'model', 1)}; {seeds} beginning{'s' * (seeds > 1)}."
        f" Without training: {n['without_training']['box']:.0e}."
    )


def _said_of_ours(n: Numbers, bars: tuple[float, float], full: bool) -> Answer:
    """Our recipe, by bars of our own."""
    error, off = bars
    criteria = {
        f"mean ε in the box at most {error:g} (our own bar)": fmean(run["box"] for run in n["runs"]) <= error,
        f"every |Ē − E| at most {off:g} (our own bar)": max(
            abs(run["energy"] - n["exact"]) for run in n["runs"]
        )
        <= off,
    }
    return Answer(_said_of_potential(n).sentence, criteria, full or all(criteria.values()), "our full recipe")


def _said_of_help(n: Numbers, better: bool, full: bool) -> Answer:
    """A change of our recipe makes ε larger, or smaller where it is `better`."""
    changed, base = (fmean(run["box"] for run in m["runs"]) for m in (n, n["against"]))
    words = "below" if better else "above"
    criteria = {f"mean ε in the box {words} that of our recipe": (changed < base) == better}
    if n["config"]["field"] in ("radius", "coulomb"):
        off = max(abs(run["energy"] - n["exact"]) for run in n["runs"])
        criteria[f"every |Ē − E| at most {WITH_RADIUS:g} (our own bar)"] = off <= WITH_RADIUS
    sentence = f"{_said_of_potential(n).sentence} Our recipe: ε {base:.3g} in the box."
    return Answer(sentence, criteria, full, "our full recipe")


def _said_of_method(n: Numbers, measure: str, error: float, energy: float, full: bool) -> Answer:
    """A row of Table I; ε in the "box" [−5, 5]^d, as in the text, or "centre" [−1, 1]^d, as in scripts."""
    where = {"box": "the box", "centre": "[−1, 1]^d"}[measure]
    mean = "uniform" if n["config"]["method"] == "qpnn" else "energy"  # Eq. 10, or 8
    ours, ours_energy = (fmean(run[key] for run in n["runs"]) for key in (measure, mean))
    criteria = {
        f"mean ε in {where} at most 1.5 times the paper's": ours <= 1.5 * error,
        f"mean Ē ({'Eq. 10' if mean == 'uniform' else 'by |ψ|²'}) within .02 of the paper's": abs(
            ours_energy - energy
        )
        <= 0.02,
    }
    return Answer(_said_of_potential(n).sentence, criteria, full or all(criteria.values()))


def _said_of_change(n: Numbers, full: bool) -> Answer:
    """Something is left out of the method: the potential is another one than with it."""
    without, base = (fmean(run["box"] for run in m["runs"]) for m in (n, n["against"]))
    criteria = {"ε in the box above twice that with it": without > 2 * base}
    sentence = f"{_said_of_potential(n).sentence} With it, ε in the box is {base:.3g}."
    return Answer(sentence, criteria, full)


def _said_of_maps(n: Numbers, best: str, full: bool) -> Answer:
    """Of several networks for one state, one has the least ε."""
    errors = n["errors"]
    listed = ", ".join(f"{name}: {error:.3g} (Ē {n['energies'][name]:.3f})" for name, error in errors.items())
    criteria = {f"ε in the box is least for {best}": min(errors, key=errors.__getitem__) == best}
    return Answer(f"ε in the box of the first beginning of each, {listed}.", criteria, full)


def _said_of_sweep(n: Numbers, full: bool) -> Answer:
    errors = dict(zip(n["penalties"], map(fmean, n["errors"]), strict=True))
    listed = ", ".join(f"λ {penalty:g}: {mean:.3g}" for penalty, mean in errors.items())
    free = errors.pop(0)
    criteria = {"ε at λ = 0 above ten times the least of the others": free > 10 * min(errors.values())}
    seeds = len(n["errors"][0])
    return Answer(f"ε in [−1, 1]^d: {listed}; {seeds} beginning{'s' * (seeds > 1)} each.", criteria, full)


def _said_of_noise(n: Numbers, full: bool) -> Answer:
    """A network sees through noise that pointwise inversion makes into a potential."""
    rows = list(
        zip(n["noises"], *(map(fmean, n["errors"][k]) for k in ("network", "pointwise")), strict=True)
    )
    listed = "; ".join(f"{noise:g}: {ours:.2g} and {plain:.2g}" for noise, ours, plain in rows)
    noise, ours, plain = rows[-1]
    criteria = {
        f"at noise {noise:g} at most a fifth of pointwise inversion's ε (our own bar)": 5 * ours <= plain
    }
    sentence = f"ε of the network and of pointwise inversion, at relative noise of |ψ|² {listed}."
    return Answer(sentence, criteria, full or all(criteria.values()), "our full recipe")


def _introduction(scale: Scale) -> list[str]:
    return [
        "ħ = m = 1. ε is mean |U − V| (Eq. 9), over even points of [−5, 5]^d as the text says, of [−1, 1]^d"
        " as the released scripts do, and over points from |ψ|². For ψ in closed form no network is needed:"
        " V − E = ∇²ψ/2ψ; that answer stands beside every other.",
    ]


POTENTIAL = Paper(
    "potential",
    "Hong et al., Predicting potentials by deep neural networks and Metropolis sampling",
    SCALES,
    plan,
    _introduction,
    {
        "demo": "some minutes on 2 cores",
        "cpu": "90 minutes beside other work, 70 of one core (measured)",
        "paper": "about 2.5 core-hours (estimated)",
    },
)
