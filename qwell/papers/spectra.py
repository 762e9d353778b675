"""The spectra paper: eigenvalues of random potentials by a network (N. Ogure, arXiv:2201.06676)."""

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
        updates: of the paper's network; zoo_updates: of the others.
        generate: options of `qdata generate`.
        network, channels: options of `res_sa`.
        curves, ablations, media: kernels for which learning curves, ablations and matter effects are made.
    """

    sizes: tuple[int, int, int] = (100_000, 200_000, 500_000)
    validation: int = 10_000
    updates: int = 100_000
    zoo_updates: int = 100_000
    generate: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    curves: tuple[str, ...] = KERNELS
    ablations: tuple[str, ...] = KERNELS
    media: tuple[str, ...] = KERNELS


SCALES = {
    "demo": Scale(
        sizes=(2000, 4000, 10_000),
        validation=1000,
        updates=400,
        zoo_updates=1000,
        generate=("--workers", "0"),
        network=("hidden=64",),
        channels=(8, 8, 16, 16, 32),
        curves=("rbf",),
        ablations=("exp",),
        media=("exp",),
    ),
    "cpu": Scale(
        updates=10_000, zoo_updates=20_000, curves=("rbf",), ablations=("exp",), media=("rbf", "exp")
    ),
    "paper": Scale(),
}


@dataclass(frozen=True)
class Steps:
    """The plan at a scale, with the kinds of stages that this paper repeats."""

    scale: Scale
    plan: Plan = field(default_factory=Plan)

    @property
    def size(self) -> str:
        """How much the paper's network learned."""
        ours, paper = self.scale, SCALES["paper"]
        return (
            f"{ours.updates:,} of {paper.updates:,} updates, {ours.sizes[-1]:,} of {paper.sizes[-1]:,}"
            f" potentials, channels up to {ours.channels[-1]} of {paper.channels[-1]}"
        )

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
        return self.train(name, data, "res_sa", self.scale.updates, *network, *options)

    def probe(self, experiment: str, *arguments: str, folder: str = "") -> Stage:
        """An experiment on trained networks."""
        return self.plan.experiment(
            folder or experiment, experiment, "qtrain", "probe", experiment, *arguments
        )


def plan(scale: Scale) -> Plan:
    """Data, trainings, experiments, and the statements of the paper."""
    steps, largest = Steps(scale), scale.sizes[-1]
    sets = {kernel: steps.data(kernel, largest) for kernel in KERNELS}
    watch = repeated("--watch", [sets[kernel] for kernel in KERNELS[1:]])
    runs = {k: steps.res_sa(k, path, *(watch if k == "rbf" else ())) for k, path in sets.items()}
    _learning_curves(steps, runs)
    _other_kernels(steps, sets, runs)
    _ablation(steps, sets, runs)
    _states(steps, sets, runs)
    _matter(steps)
    _zoo(steps, sets, runs)
    return steps.plan


def _learning_curves(steps: Steps, runs: Mapping[str, str]) -> None:
    curves = []
    n1, n2, _ = steps.scale.sizes
    for kernel in steps.scale.curves:
        for name, n in ((f"{kernel}-n1", n1), (f"{kernel}-n2", n2)):
            curves.append(steps.res_sa(name, steps.data(kernel, n, name=name)))
        curves.append(runs[kernel])
    steps.plan.claim(
        steps.probe("learning-curves", *curves, *(run for run in runs.values() if run not in curves)),
        "Learning curves",
        "The NMSE on rbf falls below 1e-4 with N5, overfitting shrinks as the data grow, and smoother"
        " potentials are easier (Fig. 3).",
        _said_of_curves,
        steps.size,
    )


def _other_kernels(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    on = repeated("--data", [*sets.values()])
    steps.plan.claim(
        steps.probe("cross-kernel", *runs.values(), *on),
        "Other kernels, σ = 100",
        "The network taught on exp does well on all kernels; the one taught on rbf does not on rough"
        " potentials (Fig. 4).",
        _said_of_kernels,
        steps.size,
    )
    sigma, largest = ("--sigma", "1000"), steps.scale.sizes[-1]
    wide = {f"{kernel}-1000": steps.data(kernel, largest, *sigma, name=f"{kernel}-1000") for kernel in sets}
    wide_runs = [steps.res_sa(name, path) for name, path in wide.items()]
    on_wide = repeated("--data", [*wide.values()])
    steps.plan.claim(
        steps.probe("cross-kernel", *wide_runs, *on_wide, folder="cross-kernel-1000"),
        "Other kernels, σ = 1000",
        "The same at σ = 1000, with larger errors (Fig. 5).",
        _said_of_kernels,
        steps.size,
    )
    steps.plan.claim(
        steps.probe("similarity", *runs.values(), *repeated("--train", [*sets.values()]), *on),
        "Similarity",
        "The exp set is not even near to itself; a smaller distance D does not mean a smaller error:"
        " rbf, m5 and m3 are predicted best by networks taught on the next rougher kernel (Figs. 6, 7).",
        _said_of_similarity,
        steps.size,
    )


def _ablation(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    parts = []
    for kernel in steps.scale.ablations:
        for depth in range(1, len(steps.scale.channels)):
            parts.append(steps.res_sa(f"{kernel}-depth-{depth}", sets[kernel], depth=depth))
        parts.append(steps.res_sa(f"{kernel}-no-attention", sets[kernel], settings=("attention=0",)))
        parts.append(runs[kernel])
    steps.plan.claim(
        steps.probe("ablation", *parts, *repeated("--data", [*sets.values()])),
        "Depth and self-attention",
        "The error falls fast with the number of blocks; self-attention lowers it for every pair, most"
        " on smooth potentials (Fig. 8).",
        _said_of_ablation,
        steps.size,
    )


def _states(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    smooth = ("--data", sets["rbf"])
    steps.plan.claim(
        steps.probe("attention", runs["exp"], *smooth),
        "Attention maps",
        "The first layer relates minima of the potential to each other, the second also maxima (Fig. 9).",
        _said_of_attention,
        steps.size,
    )
    steps.plan.claim(
        steps.probe("densities", runs["exp"], *smooth),
        "Densities from gradients",
        "Peaks lie where they should and nodes are as many as they should be, with some negative values"
        " (Fig. 10).",
        _said_of_densities,
        steps.size,
    )
    steps.plan.claim(
        steps.probe("crossing", runs["exp"], *smooth),
        "Level crossing",
        "Levels come near without crossing, and ground and first excited state change places (Figs. 11, 12).",
        _said_of_crossing,
        steps.size,
    )


def _matter(steps: Steps) -> None:
    statements = {
        "case1": ("Matter effect, case 1", "Errors are comparable with those without matter (Fig. 13)."),
        "case2": ("Matter effect, case 2", "Errors are slightly larger than in case 1 (Fig. 14)."),
    }
    for case, (title, paper) in statements.items():
        matter = ("--matter", case)
        media = {k: steps.data(k, steps.scale.sizes[-1], *matter, name=f"{k}-{case}") for k in KERNELS}
        runs = [steps.res_sa(f"{kernel}-{case}", media[kernel]) for kernel in steps.scale.media]
        asked = steps.probe("matter", *runs, *repeated("--data", [*media.values()]), folder=case)
        steps.plan.claim(asked, title, paper, _said_of_matter, steps.size)


def _zoo(steps: Steps, sets: Mapping[str, str], runs: Mapping[str, str]) -> None:
    """What the paper does not have: other networks, and the physics of the best of them."""
    updates, smooth = steps.scale.zoo_updates, ("--data", sets["rbf"])
    models = ("hamiltonian", "transformer", "spectral", "mlp", "linear")
    zoo = [steps.train(f"m3-{model}", sets["m3"], model, updates) for model in models]
    on = repeated("--data", [*sets.values()])
    size = f"{updates:,} updates, {steps.scale.sizes[-1]:,} potentials"
    steps.plan.claim(
        steps.probe("cross-kernel", *zoo, runs["m3"], *on, folder="zoo"),
        "Beyond the paper: other networks",
        "No such comparison.",
        _said_of_zoo,
        f"{size}; res_sa with {steps.scale.updates:,}",
    )
    steps.plan.claim(
        steps.probe("densities", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: densities of the best network",
        "As above.",
        _said_of_densities,
        size,
    )
    steps.plan.claim(
        steps.probe("crossing", zoo[0], *smooth, folder="zoo"),
        "Beyond the paper: level crossing of the best network",
        "As above.",
        _said_of_crossing,
        size,
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
        f" {scale.validation:,} to validate on; res_sa with channels {', '.join(map(str, scale.channels))},"
        f" {scale.updates:,} updates (the paper: {', '.join(f'{n:,}' for n in paper.sizes)};"
        f" channels up to {paper.channels[-1]}; {paper.updates:,}).",
    ]


SPECTRA = Paper("spectra", "N. Ogure, arXiv:2201.06676", SCALES, plan, _introduction)
