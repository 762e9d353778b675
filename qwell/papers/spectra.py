"""The spectra paper: eigenvalues of random potentials by a network (Kenzo Ogure, arXiv:2201.06676)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from qwell.papers.plan import Command, Numbers, Paper, Plan, Stage, repeated

KERNELS = ("rbf", "m5", "m3", "exp")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the paper's sizes.

    Arguments:
        sizes: potentials in N1, N2, N5.
        validation: potentials to validate on.
        model: the network that everything is asked of; what needs self-attention is asked of `res_sa`.
        updates: of that network; res_sa_updates: of `res_sa`; zoo_updates: of the others.
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
        updates=12_000,
        res_sa_updates=3000,
        zoo_updates=2000,
        channels=(16, 32, 32, 32, 32),
        curves=("rbf",),
        ablations=("exp",),
        media=("rbf", "exp"),
    ),
    "paper": Scale(),
}
BETTER: Command = ("--schedule", "cosine", "--warm-up", "0.05")  # for few updates of res_sa


@dataclass(frozen=True)
class Steps:
    """The plan at a scale, with the kinds of stages that this paper repeats."""

    scale: Scale
    plan: Plan = field(default_factory=Plan)

    def size(self, model: str = "") -> str:
        """How much a network learned: the one that everything is asked of, or `res_sa`."""
        ours, paper = self.scale, SCALES["paper"]
        learned = f"{ours.sizes[-1]:,} of {paper.sizes[-1]:,} potentials"
        if (model or ours.model) != "res_sa":
            return f"{ours.model}, not the paper's network: {ours.updates:,} updates, {learned}"
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

    def asked(self, name: str, data: str, *options: str) -> str:
        """The network that everything is asked of. Returns its run."""
        if self.scale.model == "res_sa":
            return self.res_sa(name, data, *options)
        return self.train(name, data, self.scale.model, self.scale.updates, *options)

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
    _other_kernels(steps, sets, runs)
    attending = _ablation(steps, sets, runs)
    _states(steps, sets, runs, attending)
    _matter(steps, runs)
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
        _said_of_curves,
        steps.size(),
    )


def _other_kernels(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    on = repeated("--data", [*sets.values()])
    steps.plan.claim(
        steps.probe("cross-kernel", *runs.values(), *on),
        "Other kernels, σ = 100",
        "The network taught on exp does well on all kernels; the one taught on rbf does not on rough"
        " potentials (Fig. 4).",
        _said_of_kernels,
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
        _said_of_kernels,
        steps.size(),
    )
    steps.plan.claim(
        steps.probe("similarity", *runs.values(), *repeated("--train", [*sets.values()]), *on),
        "Similarity",
        "The exp set is not even near to itself; a smaller distance D does not mean a smaller error:"
        " rbf, m5 and m3 are predicted best by networks taught on the next rougher kernel (Figs. 6, 7).",
        _said_of_similarity,
        steps.size(),
    )


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
        _said_of_ablation,
        steps.size("res_sa"),
    )
    return whole


def _states(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str], attending: str) -> None:
    smooth = ("--data", sets["rbf"])
    steps.plan.claim(
        steps.probe("attention", attending, *smooth),
        "Attention maps",
        "The first layer relates minima of the potential to each other, the second also maxima (Fig. 9).",
        _said_of_attention,
        steps.size("res_sa"),
    )
    steps.plan.claim(
        steps.probe("densities", runs["exp"], *smooth),
        "Densities from gradients",
        "Peaks lie where they should and nodes are as many as they should be, with some negative values"
        " (Fig. 10).",
        _said_of_densities,
        steps.size(),
    )
    steps.plan.claim(
        steps.probe("crossing", runs["exp"], *smooth),
        "Level crossing",
        "Levels come near without crossing, and ground and first excited state change places (Figs. 11, 12).",
        _said_of_crossing,
        steps.size(),
    )


def _matter(steps: Steps, runs: Mapping[str, str]) -> None:
    statements = {
        "case1": ("Matter effect, case 1", "Errors are comparable with those without matter (Fig. 13)."),
        "case2": ("Matter effect, case 2", "Errors are slightly larger than in case 1 (Fig. 14)."),
    }
    for case, (title, paper) in statements.items():
        media = {}
        for kernel in KERNELS:  # those that no network learns are only measured on
            n = steps.scale.sizes[-1] if kernel in steps.scale.media else steps.scale.validation
            media[kernel] = steps.data(kernel, n, "--matter", case, name=f"{kernel}-{case}")
        learned = [steps.asked(f"{kernel}-{case}", media[kernel]) for kernel in steps.scale.media]
        asked = steps.probe("matter", *learned, *repeated("--data", [*media.values()]), folder=case)
        steps.plan.claim(asked, title, paper, _said_of_matter, steps.size())


def _zoo(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    """What the paper does not have: other networks, and the physics of the best of them."""
    updates, smooth = steps.scale.zoo_updates, ("--data", sets["rbf"])
    models = [
        m for m in ("hamiltonian", "transformer", "spectral", "mlp", "linear") if m != steps.scale.model
    ]
    zoo = [steps.train(f"m3-{model}", sets["m3"], model, updates) for model in models]
    on = repeated("--data", [*sets.values()])
    size = f"{updates:,} updates, {steps.scale.sizes[-1]:,} potentials"
    steps.plan.claim(
        steps.probe("cross-kernel", *zoo, runs["m3"], *on, folder="zoo"),
        "Beyond the paper: other networks",
        "No such comparison.",
        _said_of_zoo,
        f"{size}; {steps.scale.model} with {steps.scale.updates:,}",
    )
    steps.plan.claim(
        steps.probe("densities", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: densities of the best network",
        "As above.",
        _said_of_densities,
        f"{models[0]}, {size}",
    )
    steps.plan.claim(
        steps.probe("crossing", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: level crossing of the best network",
        "As above.",
        _said_of_crossing,
        f"{models[0]}, {size}",
    )


def _said_of_curves(n: Numbers) -> str:
    rows = sorted((r for r in n["runs"] if r["kernel"] == "rbf"), key=lambda r: r["n"])
    gaps = ", ".join(f"{r['ratio']:.2f} at {r['n']:,}" for r in rows)
    largest = max(r["n"] for r in n["runs"])
    last = ", ".join(f"{r['kernel']} {r['validation_nmse']:.1e}" for r in n["runs"] if r["n"] == largest)
    updates = max(r["updates"] for r in n["runs"])
    return (
        f"Validation NMSE after {updates:,} updates on {largest:,} potentials: {last}. Validation over"
        f" training error on rbf: {gaps}."
    )


def _said_of_kernels(n: Numbers) -> str:
    return _largest(n["names"], n["nmse"], [entry["name"] for entry in n["data"]])


def _largest(names: Sequence[str], nmse: Sequence[Sequence[float]], data: Sequence[str]) -> str:
    """The largest error of each network (a row of `nmse`), and the data set that it is on."""
    worst = ", ".join(
        f"{name.split(', ')[-1]} {max(row):.1e} (on {data[row.index(max(row))]})"
        for name, row in zip(names, nmse, strict=True)
    )
    return f"Largest NMSE over the four validation sets, by training set: {worst}."


def _said_of_similarity(n: Numbers) -> str:
    names, distance = [entry["name"] for entry in n["training"]], n["D"]
    parts = [f"D of {name} to itself {distance[i][i]:.1f}" for i, name in enumerate(names)]
    sentences = [", ".join(parts) + "."]
    for j, entry in enumerate(n["validation"]):
        errors = {e["training"]: e["nmse"] for e in n.get("errors", []) if e["validation"] == entry["name"]}
        if errors:
            nearest = names[min(range(len(names)), key=lambda i: distance[i][j])]
            best = min(errors, key=lambda k: errors[k])
            sentences.append(
                f"On {entry['name']} the nearest training set is {nearest}, the best teacher {best}."
            )
    return " ".join(sentences)


def _said_of_ablation(n: Numbers) -> str:
    deep = [r for r in n["runs"] if r["R_D"] and r["blocks"] > 1]
    depth = ", ".join(f"{r['kernel']} with {r['blocks']} blocks {fmean(r['R_D']):.2f}" for r in deep)
    ratios = [x for r in n["runs"] if r["R_SA"] for x in r["R_SA"]]
    return (
        f"Mean R_D: {depth}. R_SA between {min(ratios):.2f} and {max(ratios):.2f}, below 1 in"
        f" {sum(x < 1 for x in ratios)} of {len(ratios)} pairs."
    )


def _said_of_attention(n: Numbers) -> str:
    looks = ", ".join(f"{layer['potential_looked_at']:+.2f}" for layer in n["layers"])
    return (
        f"Potential at the places looked at, in standard deviations from its mean, by layer: {looks}"
        f" (negative: wells)."
    )


def _said_of_densities(n: Numbers) -> str:
    first, last = n["levels"][0], n["levels"][-1]
    return (
        f"Over {n['samples']} potentials, relative L2 error {first['relative_l2']:.2g} (ground state) to"
        f" {last['relative_l2']:.2g} (highest level); the same number of peaks in"
        f" {100 * first['same_peaks']:.0f} % and {100 * last['same_peaks']:.0f} %; negative part"
        f" {first['negative']:.1e} and {last['negative']:.1e}."
    )


def _said_of_crossing(n: Numbers) -> str:
    at, gap = n["lambda_crossing"], n["gap"]
    return (
        f"Pair found by the {n['found_by']}. Smallest gap at λ = {at['network']:.3g} (exact"
        f" {at['exact']:.3g}), of {gap['network']:.3g} (exact {gap['exact']:.3g}); overlap of the ground"
        f" state before with the first excited after {n['overlap_exchanged']['network']:.2f}, with the"
        f" ground state after {n['overlap_same']['network']:.2f}."
    )


def _said_of_matter(n: Numbers) -> str:
    return f"V_total = {n['formula']}. {_largest(n['names'], n['nmse'], n['data'])}"


def _said_of_zoo(n: Numbers) -> str:
    worst = sorted(zip((max(row) for row in n["nmse"]), n["names"], strict=True))
    errors = ", ".join(f"{name.split(', ')[0]} {error:.1e}" for error, name in worst)
    return f"Largest NMSE over the four kernels, all trained on m3: {errors}."


def _introduction(scale: Scale) -> list[str]:
    paper = SCALES["paper"]
    return [
        "Energies in ħ²/(m·length²); NMSE = ΣΣ(E − f)²/ΣΣE².",
        f"Training sets of {', '.join(f'{n:,}' for n in scale.sizes)} potentials (N1, N2, N5),"
        f" {scale.validation:,} to validate on (the paper: {', '.join(f'{n:,}' for n in paper.sizes)});"
        f" one seed everywhere. Asked is {Steps(scale).size()}; where self-attention is asked of,"
        f" {Steps(scale).size('res_sa')}.",
    ]


SPECTRA = Paper("spectra", "Kenzo Ogure, arXiv:2201.06676", SCALES, plan, _introduction)
