"""The spectra paper: eigenvalues of random potentials by a network (Kenzo Ogure, arXiv:2201.06676)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from qwell.papers.plan import Command, Paper, Plan, Stage, repeated
from qwell.papers.spectra_answers import (
    KERNELS,
    beyond,
    said_of_ablation,
    said_of_attention,
    said_of_crossing,
    said_of_curves,
    said_of_densities,
    said_of_kernels,
    said_of_matter,
    said_of_similarity,
    said_of_zoo,
)

NOT_MIRRORED: Command = ("--set", "mirrored=false")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the paper's sizes.

    Arguments:
        sizes: potentials in N1, N2, N5.
        validation: potentials to validate on.
        model: the network that everything is asked of; what needs self-attention is asked of `res_sa`.
        updates: of that network; res_sa_updates: of `res_sa`; zoo_updates: of the others.
        recipe: how that network learns; mirror: what is added where the medium does not tell left from right.
        generate: options of `qdata generate`.
        network, channels: options of `res_sa`.
        curves, ablations, media: kernels for which learning curves, ablations and matter effects are made.
    """

    sizes: tuple[int, int, int] = (100_000, 200_000, 500_000)
    validation: int = 10_000
    model: str = "res_sa"
    updates: int = 100_000
    res_sa_updates: int = 100_000
    zoo_updates: int = 100_000
    recipe: Command = ()
    mirror: Command = ()
    generate: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    curves: tuple[str, ...] = KERNELS
    ablations: tuple[str, ...] = KERNELS
    media: tuple[str, ...] = KERNELS


SCALES = {
    "demo": Scale(
        sizes=(10_000, 20_000, 50_000),
        validation=1000,
        model="mlp",
        updates=1000,
        res_sa_updates=300,
        zoo_updates=300,
        generate=("--workers", "0"),
        network=("hidden=64",),
        channels=(8, 8, 16, 16, 32),
        curves=("rbf",),
        ablations=("exp",),
        media=("exp",),
    ),
    "cpu": Scale(
        model="mlp",
        updates=5000,
        recipe=("--optimizer", "soap", "--batch", "1000", "--set", "hidden=[512,512,512]", *NOT_MIRRORED),
        mirror=("--mirror", "--set", "averaged=true"),
        res_sa_updates=3000,
        zoo_updates=2000,
        channels=(16, 32, 32, 32, 32),
        curves=("rbf",),
        ablations=("exp",),
        media=("rbf", "exp"),
    ),
    "paper": Scale(),
}
BETTER: Command = (
    "--schedule",
    "cosine",
    "--warm-up",
    "0.05",
    "--first-rate",
    "0.003",
)  # for few updates of res_sa


@dataclass(frozen=True)
class Steps:
    """The plan at a scale, with the kinds of stages that this paper repeats."""

    scale: Scale
    plan: Plan = field(default_factory=Plan)

    def size(self, model: str = "") -> str:
        """How much a network learned: the one that everything is asked of, or `res_sa`."""
        ours, paper = self.scale, SCALES["paper"]
        learned = f"{ours.sizes[-1]:,} of {paper.sizes[-1]:,} potentials, one seed"
        if (model or ours.model) != "res_sa":
            how = " by SOAP" if "soap" in ours.recipe else ""
            return f"{ours.model}{how}, not the paper's network: {ours.updates:,} updates, {learned}"
        updates = f"{ours.res_sa_updates:,} of {paper.res_sa_updates:,} updates"
        return f"res_sa: {updates}, {learned}, channels up to {ours.channels[-1]} of {paper.channels[-1]}"

    def data(self, kernel: str, n: int, *options: str, name: str = "") -> str:
        """A data set of a kernel. Returns its path."""
        validation = ("--validation", str(self.scale.validation))
        command = ("qdata", "generate", "--kernel", kernel, "--n", str(n), "--solver", "lanes", *validation)
        return self.plan.data(name or kernel, *command, *self.scale.generate, *options)

    def train(self, name: str, data: str, model: str, updates: int, *options: str) -> str:
        """A network of the zoo. Returns its run."""
        every = max(updates // 20, 1)
        command = ("qtrain", "eigen", "--data", data, "--model", model, "--updates", str(updates))
        intervals = ("--log-every", str(max(every // 10, 1)), "--evaluate-every", str(every))
        return self.plan.training(f"runs/{name}", "report.md", *command, *intervals, *options).out

    def res_sa(
        self, name: str, data: str, *options: str, depth: int | None = None, settings: Command = ()
    ) -> str:
        """The paper's network, or one of only so many blocks. Returns its run."""
        channels = f"channels={json.dumps(self.scale.channels[:depth])}"
        network = repeated("--set", (channels, *self.scale.network, *settings))
        updates = self.scale.res_sa_updates
        schedule = BETTER if updates < SCALES["paper"].res_sa_updates else ()
        return self.train(name, data, "res_sa", updates, *network, *schedule, *options)

    def asked(self, name: str, data: str, *options: str, mirror: bool = True) -> str:
        """The network that everything is asked of, of a medium with the mirror symmetry. Returns its run."""
        recipe = self.scale.recipe + self.scale.mirror * mirror
        if self.scale.model == "res_sa":
            return self.res_sa(name, data, *recipe, *options)
        return self.train(name, data, self.scale.model, self.scale.updates, *recipe, *options)

    def probe(self, experiment: str, *arguments: str, folder: str = "") -> Stage:
        """An experiment on trained networks."""
        return self.plan.experiment(
            folder or experiment, experiment, "qtrain", "probe", experiment, *arguments
        )


def plan(scale: Scale) -> Plan:
    """Data, trainings, experiments, and the statements of the paper."""
    steps, largest = Steps(scale), scale.sizes[-1]
    sets = {kernel: steps.data(kernel, largest) for kernel in KERNELS}
    steps.plan.picture(
        "Potentials of the four kernels (Fig. 2)",
        [("qdata", "plot", path, "--out", f"figures/{kernel}-samples.png") for kernel, path in sets.items()],
    )
    runs = {kernel: steps.asked(kernel, path, *_watch(kernel, sets)) for kernel, path in sets.items()}
    _learning_curves(steps, runs)
    plain = _other_kernels(steps, sets, runs)
    attending = _ablation(steps, sets, runs)
    _states(steps, sets, runs, attending)
    _matter(steps, plain)
    _zoo(steps, sets, runs)
    return steps.plan


def _watch(kernel: str, sets: Mapping[str, str]) -> Command:
    """The network taught on the smoothest kernel is measured on the others while it learns (Figs. 4a, 5a)."""
    first, *others = sets
    return repeated("--watch", [sets[one] for one in others]) if kernel == first else ()


def _learning_curves(steps: Steps, runs: Mapping[str, str]) -> None:
    curves = []
    n1, n2, _ = steps.scale.sizes
    for kernel in steps.scale.curves:
        for name, n in ((f"{kernel}-n1", n1), (f"{kernel}-n2", n2)):
            curves.append(steps.asked(name, steps.data(kernel, n, name=name)))
        curves.append(runs[kernel])
    steps.plan.claim(
        steps.probe("learning-curves", *curves, *(run for run in runs.values() if run not in curves)),
        "Learning curves",
        "The NMSE on rbf falls below 1e-4 with N5, overfitting shrinks as the data grow, and smoother"
        " potentials are easier (Fig. 3).",
        said_of_curves,
        steps.size()
        + "; training errors are of single answers, the others of their mean over mirror images"
        * ("averaged=true" in steps.scale.mirror),
    )


def _other_kernels(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> Stage:
    """Every network on every kernel, and what distances of data sets say. Returns the errors at σ = 100."""
    on = repeated("--data", [*sets.values()])
    plain = steps.plan.claim(
        steps.probe("cross-kernel", *runs.values(), *on),
        "Other kernels, σ = 100",
        "The network taught on exp does well on all kernels; the one taught on rbf does not on rough"
        " potentials (Fig. 4).",
        said_of_kernels,
        steps.size(),
    )
    sigma, largest = ("--sigma", "1000"), steps.scale.sizes[-1]
    wide = {f"{kernel}-1000": steps.data(kernel, largest, *sigma, name=f"{kernel}-1000") for kernel in sets}
    wide_runs = [steps.asked(name, path, *_watch(name, wide)) for name, path in wide.items()]
    on_wide = repeated("--data", [*wide.values()])
    steps.plan.claim(
        steps.probe("cross-kernel", *wide_runs, *on_wide, folder="cross-kernel-1000"),
        "Other kernels, σ = 1000",
        "The same at σ = 1000, with larger errors (Fig. 5).",
        said_of_kernels,
        steps.size(),
        plain,
    )
    steps.plan.claim(
        steps.probe("similarity", *runs.values(), *repeated("--train", [*sets.values()]), *on),
        "Similarity",
        "The exp set is not even near to itself; a smaller distance D does not mean a smaller error:"
        " rbf, m5 and m3 are predicted best by networks taught on the next rougher kernel (Figs. 6, 7).",
        said_of_similarity,
        steps.size(),
    )
    return plain


def _ablation(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> str:
    """Depth and self-attention. Returns a run of the whole `res_sa`, of the last kernel that was asked."""
    parts = []
    for kernel in steps.scale.ablations:
        for depth in range(1, len(steps.scale.channels)):
            parts.append(steps.res_sa(f"{kernel}-depth-{depth}", sets[kernel], depth=depth))
        parts.append(steps.res_sa(f"{kernel}-no-attention", sets[kernel], settings=("attention=0",)))
        whole = runs[kernel]
        if steps.scale.model != "res_sa":
            whole = steps.res_sa(f"{kernel}-res_sa", sets[kernel])
        parts.append(whole)
    steps.plan.claim(
        steps.probe("ablation", *parts, *repeated("--data", [*sets.values()])),
        "Depth and self-attention",
        "The error falls fast with the number of blocks; self-attention lowers it for every pair, most"
        " on smooth potentials (Fig. 8).",
        said_of_ablation,
        steps.size("res_sa"),
    )
    return whole


def _states(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str], attending: str) -> None:
    smooth = ("--data", sets["rbf"])
    steps.plan.claim(
        steps.probe("attention", attending, *smooth),
        "Attention maps",
        "The first layer relates minima of the potential to each other, the second also maxima (Fig. 9).",
        said_of_attention,
        steps.size("res_sa"),
    )
    steps.plan.claim(
        steps.probe("densities", runs["exp"], *smooth),
        "Densities from gradients",
        "Peaks lie where they should and nodes are as many as they should be, with some negative values"
        " (Fig. 10).",
        said_of_densities,
        steps.size(),
    )
    steps.plan.claim(
        steps.probe("crossing", runs["exp"], *smooth),
        "Level crossing",
        "Levels come near without crossing, and ground and first excited state change places (Figs. 11, 12).",
        said_of_crossing,
        steps.size(),
    )


def _matter(steps: Steps, plain: Stage) -> None:
    statements = {
        "case1": (
            "Errors are comparable with those without matter (Fig. 13).",
            "without matter",
            "mirror",
            1 / 3,
        ),
        "case2": ("Errors are slightly larger than in case 1 (Fig. 14).", "in case 1", "shift", 1.0),
    }
    before, most = plain, 3.0
    for case, (paper, other, broken, least) in statements.items():
        media = {}
        for kernel in KERNELS:  # those that no network learns are only measured on
            n = steps.scale.sizes[-1] if kernel in steps.scale.media else steps.scale.validation
            media[kernel] = steps.data(kernel, n, "--matter", case, name=f"{kernel}-{case}")
        learned = [
            steps.asked(f"{kernel}-{case}", media[kernel], mirror=broken != "mirror")
            for kernel in steps.scale.media
        ]
        asked = steps.probe("matter", *learned, *repeated("--data", [*media.values()]), folder=case)
        ours = partial(said_of_matter, before=other, least=least, most=most)
        title = f"Matter effect, case {case[-1]}"
        size = steps.size()
        if steps.scale.model == "mlp":  # which puts in the laws that hold
            size += f"; not told of the {broken}, which this medium breaks: not like with like"
        before = steps.plan.claim(asked, title, paper, ours, size, before)


def _zoo(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    """What the paper does not have: other networks, and the physics of the best of them."""
    updates, smooth = steps.scale.zoo_updates, ("--data", sets["rbf"])
    models = [
        m for m in ("hamiltonian", "transformer", "spectral", "mlp", "linear") if m != steps.scale.model
    ]
    zoo = [steps.train(f"m3-{model}", sets["m3"], model, updates) for model in models]
    on = repeated("--data", [*sets.values()])
    size = f"{updates:,} updates, {steps.scale.sizes[-1]:,} potentials, one seed"
    steps.plan.claim(
        steps.probe("cross-kernel", *zoo, runs["m3"], *on, folder="zoo"),
        "Beyond the paper: other networks",
        "No such comparison.",
        said_of_zoo,
        f"{size}; {steps.scale.model} with {steps.scale.updates:,}",
    )
    steps.plan.claim(
        steps.probe("densities", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: densities of the best network",
        "As above.",
        beyond(said_of_densities),
        f"{models[0]}, {size}",
    )
    steps.plan.claim(
        steps.probe("crossing", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: level crossing of the best network",
        "As above.",
        beyond(said_of_crossing),
        f"{models[0]}, {size}",
    )


def _introduction(scale: Scale) -> list[str]:
    paper = SCALES["paper"]
    return [
        "Energies in ħ²/(m·length²); NMSE = ΣΣ(E − f)²/ΣΣE².",
        f"Training sets of {', '.join(f'{n:,}' for n in scale.sizes)} potentials (N1, N2, N5),"
        f" {scale.validation:,} to validate on (the paper: {', '.join(f'{n:,}' for n in paper.sizes)});"
        f" one seed everywhere. Asked is {Steps(scale).size()}; where self-attention is asked of,"
        f" {Steps(scale).size('res_sa')}.",
    ]


SPECTRA = Paper(
    "spectra",
    "Kenzo Ogure, arXiv:2201.06676",
    SCALES,
    plan,
    _introduction,
    {
        "demo": "some minutes on 2 cores",
        "cpu": "104 minutes on 2 cores that have other work besides, two commands at a time (measured)",
        "paper": "about 270 core-hours without a GPU: 44 trainings of 3 hours on 2 cores (estimated)",
    },
)
