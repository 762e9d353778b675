"""The statements of the potential paper, and what our numbers say to them."""

from __future__ import annotations

import json
from pathlib import Path

from qwell.papers.report import Claim, Numbers, made_by, write_report

NAMES = {"qpnn": "QPNN", "qpnn-ms": "QPNN with Metropolis sampling", "mpnn": "MPNN"}
STATED = {
    ("hydrogen-1s", "qpnn"): (0.157, -0.486),
    ("hydrogen-1s", "qpnn-ms"): (0.383, -0.534),
    ("hydrogen-1s", "mpnn"): (0.157, -0.493),
    ("oscillator-2", "qpnn"): (0.039, 2.474),
    ("oscillator-2", "qpnn-ms"): (0.016, 2.519),
    ("oscillator-2", "mpnn"): (0.006, 2.506),
}


def _mean(n: Numbers, key: str) -> str:
    values = [run[key] for run in n["runs"]]
    mean = sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5
    return f"{mean:.3g} ± {spread:.1g}" if len(values) > 1 else f"{mean:.3g}"


def _found(n: Numbers) -> str:
    return (
        f"ε {_mean(n, 'box')} in the box, {_mean(n, 'centre')} in [−1, 1]^d, {_mean(n, 'weighted')} by |ψ|²;"
        f" Ē {sum(r['energy'] for r in n['runs']) / len(n['runs']):.5f} (exact {n['exact']:g})."
        f" Without training: {n['without_training']['box']:.0e}."
    )


def _sweep(n: Numbers) -> str:
    means = [sum(row) / len(row) for row in n["errors"]]
    return "ε in [−1, 1]^d: " + ", ".join(
        f"λ {p:g}: {m:.3g}" for p, m in zip(n["penalties"], means, strict=True)
    )


def _claims() -> tuple[Claim, ...]:
    table = [
        Claim(
            f"{system}-{method}-{recipe}",
            "report",
            f"{system}: {NAMES[method]}, as in the {recipe}",
            f"ε {stated[0]:g}, Ē {stated[1]:g} (Table I).",
            _found,
        )
        for (system, method), stated in STATED.items()
        for recipe in ("text", "scripts")
    ]
    four = [
        ("fig-2-unshrunk", "Without the factor δ", "Another potential of similar loss (Fig. 2b)."),
        ("fig-2-free", "Without a pinned point, λ = 0", "The potential is shifted by a constant (Fig. 2c)."),
    ]
    ours = [
        ("hydrogen-1s-ours", "Beyond the paper: hydrogen, our recipe"),
        ("oscillator-2-ours", "Beyond the paper: the oscillator, our recipe"),
        ("ablation-relu-paper", "What helps: the paper's network and loss, scripts' recipe"),
        ("ablation-no-newton", "What helps: without Gauss–Newton"),
        ("ablation-no-tails", "What helps: without points from |ψ|^½"),
        ("ablation-tanh", "What helps: tanh instead of SiLU"),
        ("ablation-radius", "What helps: the radius as a coordinate"),
        ("ablation-coulomb", "What helps: N(r)/r, which knows the singularity of the answer"),
    ]
    return (
        *table,
        *(Claim(folder, "report", title, said, _found) for folder, title, said in four),
        Claim(
            "fig-3",
            "sweep",
            "The multiplier λ",
            "λ = 0 leaves a shift; from some λ on, ε is small and Ē ≈ −.5 (Fig. 3).",
            _sweep,
        ),
        *(Claim(folder, "report", title, "None.", _found) for folder, title in ours),
    )


CLAIMS = _claims()


def write_potential_report(folder: Path) -> Path:
    """Write the report of `qtrain reproduce potential`. Returns the path of the HTML."""
    about = json.loads((folder / "reproduction.json").read_text())
    lines = [
        "Hong et al., Predicting potentials by deep neural networks and Metropolis sampling; ħ = m = 1.",
        "ε is mean |U − V| (Eq. 9), over even points of [−5, 5]^d as the text says, of [−1, 1]^d as the"
        " released scripts do, and over points from |ψ|². For ψ in closed form no network is needed:"
        " V − E = ∇²ψ/2ψ; that answer stands beside every other.",
        made_by(folder),
    ]
    head = f"The potential paper, done again at the scale {about['scale']}"
    return write_report(folder, head, lines, CLAIMS)
