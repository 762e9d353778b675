"""The introspective paper: from densities to wave functions (Wang et al., arXiv:1901.11103)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from qwell.papers.plan import Answer, Numbers, Paper, Plan, Stage


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the numerical choices are ours.

    Arguments:
        data: options of `qdata densities`.
        learn: options of `qtrain introspect`.
        seeds: whole pipelines, each from data of its own.
        noise: relative noise of the densities of the curve.
    """

    data: tuple[str, ...] = ()
    learn: tuple[str, ...] = ()
    seeds: int = 3
    noise: tuple[str, ...] = ("0.001", "0.01", "0.1")


SCALES = {
    "demo": Scale(
        data=("--n", "1000", "--cells", "30"),
        learn=(
            "--translator-steps", "1000", "--distiller-steps", "400", "--starts", "2",
            "--dimensions", "1,2,3",
        ),
        seeds=1,
        noise=("0.01",),
    ),
    "cpu": Scale(noise=("0.01",)),
    "paper": Scale(),
}  # fmt: skip
LEARNED = 1e-2  # loss of a translator that has learned what is asked of it
REAL = (
    "The loss rises abruptly below two real variables, which are the wave function up to a choice of basis,"
    " and obey the discrete Schrödinger equation; density functional theory needs three."
)


def plan(scale: Scale) -> Plan:
    """Pipelines, the complex control, noise."""
    todo = Plan()

    def pipeline(name: str, *options: str, seed: int = 0) -> Stage:
        """A data set of densities, and everything that is learned from it."""
        seeded = ("--seed", str(seed))
        path = todo.data(name, "qdata", "densities", *scale.data, *options, *seeded)
        learn = ("qtrain", "introspect", "--data", path, *scale.learn, *seeded)
        return todo.training(f"probes/{name}", "report.json", *learn)

    for seed in range(scale.seeds):
        said = partial(_said_of_laws, numbers=2)
        todo.claim(pipeline(f"real-{seed}", seed=seed), f"A whole pipeline, seed {seed}", REAL, said)
    todo.claim(
        pipeline("complex", "--current", "1.5"),
        "Control: a wave with a current",
        "(Two real variables: real waves only; a complex one has three.)",
        partial(_said_of_laws, numbers=3),
    )
    for noise in scale.noise:
        asked = pipeline(f"noise-{noise}", "--noise", noise)
        todo.claim(asked, f"Densities with noise of {noise}", "None.", _said_of_laws)
    return todo


def _said_of_laws(n: Numbers, numbers: int | None = None) -> Answer:
    """`numbers`: latent numbers that are expected, None where nothing is stated."""
    losses = ", ".join(f"{d}: {min(r['test'] for r in runs):.2g}" for d, runs in n["distillers"].items())
    said = (
        f"Translator {n['translator']:.1e}; rebuilding by d {losses}; verdict:"
        f" {n['verdict'] or 'no'} latent numbers; intrinsic dimension {n['intrinsic_dimension']:.2f}."
    )
    criteria = {} if numbers is None else {f"{numbers} latent numbers": n["verdict"] == numbers}
    if n["failures"] is not None:
        law = n["laws"][0]
        failed = f"fails {', '.join(n['failures'])}" if n["failures"] else "passes every test"
        said += f" ψ'' = ({law['slope']:.4f} V − {law['energy']:.4f}) ψ, {failed}."
    if numbers == 2:
        criteria["the law passes every test"] = n["failures"] == []
    if n["density_form"]:
        form = ", ".join(f"{d}: {f['loss']:.1e}" for d, f in n["density_form"].items())
        said += f" Linear in d numbers: {form}."
    return Answer(said, criteria, n["translator"] <= LEARNED, f"a translator's loss of at most {LEARNED:g}")


def _introduction(scale: Scale) -> list[str]:
    return [
        "Follows the published architecture; the numerical choices are ours.",
        "Losses are MSE over variance, of whole sequences of test data; the verdict is validation data's.",
    ]


INTROSPECTIVE = Paper("introspective", "Wang et al., arXiv:1901.11103", SCALES, plan, _introduction)
