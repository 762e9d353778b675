"""The introspective paper: from densities to wave functions (Wang et al., arXiv:1901.11103)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from qwell.papers.plan import Answer, Command, Numbers, Paper, Plan, Stage, setting
from qwell.studies.introspect.config import IntrospectConfig


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the numerical choices are ours.

    Arguments:
        data: options of `qdata densities`.
        learn: options of `qtrain introspect`.
        gru: further options of pipelines with the translator `gru`, which learns more slowly.
        beginnings: further options of pipelines of complex waves, which get stuck more often.
        free: further options of pipelines with free updates, which get stuck more often still.
        seeds: whole pipelines, each from data of its own; so many of complex waves, too.
        noise: relative noise of the densities of the curve.
    """

    data: tuple[str, ...] = ()
    learn: tuple[str, ...] = ()
    gru: tuple[str, ...] = (
        "--translator-steps", "18000", "--starts", "8", "--distiller-steps", "4000", "--dimensions", "1,2,3",
    )  # fmt: skip
    beginnings: tuple[str, ...] = ("--starts", "6")
    free: tuple[str, ...] = ("--starts", "8")
    seeds: int = 3
    noise: tuple[str, ...] = ("0.001", "0.003", "0.01", "0.03", "0.1")


SCALES = {
    "demo": Scale(
        data=("--n", "1000", "--cells", "30"),
        learn=(
            "--translator-steps", "1000", "--distiller-steps", "400", "--starts", "2",
            "--dimensions", "1,2,3",
        ),
        gru=(),
        beginnings=(),
        free=(),
        seeds=1,
        noise=("0.01",),
    ),
    "cpu": Scale(),
    "paper": Scale(),
}  # fmt: skip
LEARNED = 1e-2  # loss of a translator that has learned what is asked of it
LAW = 0.01  # relative error of a law's numbers that agrees
REAL = (
    "The loss rises abruptly below two real variables, which are the wave function up to a choice of basis,"
    " and obey the discrete Schrödinger equation; density functional theory needs three."
)
OTHERS: dict[str, tuple[str, Command]] = {  # folder → title, options of the data
    "energy-9": ("another energy and cell, E = 9, a = .07", ("--energy", "9", "--cell", "0.07")),
    "matern": ("potentials from the kernel m3, E = 3", ("--potential", "m3", "--energy", "3")),
}


def plan(scale: Scale) -> Plan:
    """Pipelines by seed, translator, update, energy and potential; the complex control; noise."""
    todo = Plan()

    def data(name: str, *options: str, seed: int = 0) -> str:
        return todo.data(name, "qdata", "densities", *scale.data, *options, "--seed", str(seed))

    def learn(name: str, path: str, *options: str, seed: int = 0) -> Stage:
        """Everything that is learned from a data set of densities."""
        command = ("qtrain", "introspect", "--data", path, *scale.learn, *options, "--seed", str(seed))
        return todo.training(f"probes/{name}", "report.json", *command)

    size, real = _size(scale), partial(_said_of_laws, numbers=2)
    paths = [data(f"real-{seed}", seed=seed) for seed in range(scale.seeds)]
    for seed, path in enumerate(paths):
        todo.claim(learn(f"real-{seed}", path, seed=seed), f"A whole pipeline, seed {seed}", REAL, real, size)
    todo.claim(
        learn("gru", paths[0], "--translator", "gru", *scale.gru),
        "A whole pipeline with a gated recurrent unit as the translator",
        REAL,
        real,
        _size(scale, scale.gru),
    )
    todo.claim(
        learn("free", paths[0], "--update", "free", *scale.free),
        "Control: latent numbers updated by a perceptron",
        "The loss rises abruptly below two real variables; the update is a recurrent network.",
        partial(_said_of_laws, numbers=2, law=False),
        _size(scale, scale.free),
    )
    todo.claim(
        learn("linear", paths[0], "--decoder", "linear"),
        "Control: a linear auto-encoder",
        "(Density functional theory: linear in three numbers.)",
        partial(_said_of_laws, numbers=3, law=False),
        size,
    )
    for name, (title, options) in OTHERS.items():
        asked = learn(name, data(name, *options))
        todo.claim(asked, f"A whole pipeline: {title}", REAL, real, size)
    for seed in range(scale.seeds):
        todo.claim(
            learn(
                f"complex-{seed}",
                data(f"complex-{seed}", "--current", "1.5", seed=seed),
                *scale.beginnings,
                seed=seed,
            ),
            f"Control: a wave with a current, seed {seed}",
            "(Two real variables: real waves only; a complex one has three.)",
            partial(_said_of_laws, numbers=3, law=False),
            _size(scale, scale.beginnings),
        )
    for noise in scale.noise:
        asked = learn(f"noise-{noise}", data(f"noise-{noise}", "--noise", noise))
        said = partial(_said_of_noise, noise=float(noise))
        todo.claim(asked, f"Densities with noise of {float(noise):.1%}", "None.", said, size)
    return todo


def _size(scale: Scale, changes: Command = ()) -> str:
    """How much a pipeline learned, and from what."""
    learn = (*scale.learn, *changes)
    steps = {name: setting(learn, IntrospectConfig, name) for name in STEPS}
    typed = dict(zip(scale.data[::2], scale.data[1::2], strict=True))
    rows, cells = (int(typed.get(flag, default)) for flag, default in (("--n", 4096), ("--cells", 60)))
    return (
        f"{rows:,} sequences of {cells} cells; {steps['translator_steps']:,} updates of the translator,"
        f" {steps['distiller_steps']:,} of each distiller, the best of {steps['starts']} beginnings;"
        f" {steps['seeds']} distiller{'s' * (steps['seeds'] > 1)} for each d; the paper's sizes are not known"
    )


STEPS = ("translator_steps", "distiller_steps", "starts", "seeds")


def _least(losses: Iterable[float | None]) -> str:
    """The least loss as people read it; None where a sequence grew beyond all numbers."""
    finite = [loss for loss in losses if loss is not None]
    return f"{min(finite):.2g}" if finite else "diverged"


def _found(n: Numbers) -> str:
    """What a pipeline found, with the law of its best distiller beside that distiller's failures."""
    losses = ", ".join(f"{d}: {_least(r['test'] for r in runs)}" for d, runs in n["distillers"].items())
    said = (
        f"Translator {n['translator']:.1e}; rebuilding by d {losses}; verdict:"
        f" {n['verdict'] or 'no'} latent numbers; intrinsic dimension {n['intrinsic_dimension']:.2f}."
    )
    if best := n["best"]:
        wrong = best["failures"]
        failed = f"fails {', '.join(wrong)}" if wrong else "passes every test"
        said += (
            f" ψ'' = ({best['slope']:.4f} V − {best['energy']:.4f}) ψ, by the distiller of seed"
            f" {best['seed']}, which {failed}."
        )
    if n["density_form"]:
        form = ", ".join(f"{d}: {_least([f['loss']])}" for d, f in n["density_form"].items())
        said += f" In closed form, linear in d numbers: {form}."
    return said


def _law_holds(n: Numbers) -> bool:
    """Whether slope and energy of the best distiller's law are right to a hundredth."""
    best, energy = n["best"], n["recipe"]["energy"]
    return bool(best) and abs(best["slope"] - 1) <= LAW and abs(best["energy"] / energy - 1) <= LAW


def _said_of_laws(n: Numbers, numbers: int, law: bool = True) -> Answer:
    """`numbers`: latent numbers that are expected; `law`: whether there is one to be read off."""
    criteria = {f"{numbers} latent numbers": n["verdict"] == numbers}
    if law:
        criteria[f"slope and energy of the law within {LAW:.0%}"] = _law_holds(n)
    return Answer(
        _found(n), criteria, n["translator"] <= LEARNED, f"a translator's loss of at most {LEARNED:g}"
    )


def _said_of_noise(n: Numbers, noise: float) -> Answer:
    """Noise: how far verdict and law hold, by a bar of our own."""
    criteria = {
        "2 latent numbers": n["verdict"] == 2,
        f"the law within {LAW:.0%} (our own bar)": _law_holds(n),
    }
    least = noise**2  # what noise leaves of the variance cannot be learned
    learned = n["translator"] <= max(LEARNED, 10 * least)
    return Answer(_found(n), criteria, learned, f"a translator's loss of at most {LEARNED:g}")


def _introduction(scale: Scale) -> list[str]:
    return [
        "Follows the published architecture; the numerical choices are ours.",
        "Losses are MSE over variance, of whole sequences of test data; the verdict is validation data's, for"
        " each d by the better of distiller and closed form.",
    ]


INTROSPECTIVE = Paper(
    "introspective",
    "Wang et al., arXiv:1901.11103",
    SCALES,
    plan,
    _introduction,
    {
        "demo": "some minutes on 2 cores",
        "cpu": "77 minutes beside other work, 35 of one core (measured)",
        "paper": "as long as cpu, which has the same sizes",
    },
)
