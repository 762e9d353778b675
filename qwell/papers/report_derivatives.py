"""The statements of the derivatives paper, and what our numbers say to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from qwell.papers.report import Claim, Numbers, made_by, write_report

STATED = {
    "harmonic": "Ē − E₀ < 1e-6, |⟨φ|φ⟩ − 1| < 1e-7, G ≈ 1e-6 (Eq. 32, Fig. 1).",
    "linear": "Ē − E₀ = 1e-6, |⟨φ|φ⟩ − 1| < 1e-7, G ≈ 1e-5 (Eq. 34, Fig. 2).",
    "quartic": "Ē differs by about 1e-4 from .5075, first-order perturbation theory (Eq. 37, Fig. 3).",
    "quartic-strong": "Ē = .803771, |⟨φ|φ⟩ − 1| ≈ 1e-7, G ≈ 1e-5 (Eq. 38, Fig. 3).",
    "exponential": "Ē = 2.060040, |⟨φ|φ⟩ − 1| ≈ 2e-6, G ≈ 1e-5 (Eq. 40, Fig. 4).",
    "morse": "Ē − E₀ = 2e-6, |⟨φ|φ⟩ − 1| < 1e-7, G ≈ 1e-5 (Eq. 42, Fig. 6).",
}


def _well(n: Numbers) -> str:
    ground = [run[0] for run in n["runs"]]
    errors = [run[0] for run in n["errors"]]
    return (
        f"Exact E₀ = {n['exact'][0]:.10f}; Ē − E₀ from {min(errors):+.1e} to {max(errors):+.1e},"
        f" |⟨φ|φ⟩ − 1| up to {max(abs(g['norm'] - 1) for g in ground):.0e}, G up to"
        f" {max(g['residual'] for g in ground):.1e}, {len(ground)} beginnings,"
        f" {sum(g['restarts'] for g in ground)} begun again, {max(g['seconds'] for g in ground):.0f} CPU"
        " seconds at most."
    )


def _excited(n: Numbers) -> str:
    return (
        "; ".join(
            f"E{k} = {e:.8f}, Ē − E {d:+.1e}"
            for k, (e, d) in enumerate(zip(n["exact"], n["errors"][0], strict=True))
        )
        + "."
    )


def _sampled(n: Numbers) -> str:
    run = n["runs"][0]
    return f"Exact {n['exact']:.8f}, found {run['energy']:.8f} ± {run['error']:.0e}."


def _times(n: Numbers) -> str:
    def last(side: str, name: str) -> float:
        return float(n[side]["curves"][name][-1][1])

    most = n["sizes"][-1]
    parts = [
        f"{order} {last('inputs', f'double backward, {order}') / last('inputs', f'qwell, {order}'):.1f}"
        for order in ("hessian", "diagonal", "first")
    ]
    return f"At {most} inputs and one point, double backward takes this many times ours: {', '.join(parts)}."


def _of(well: str) -> tuple[Claim, Claim]:
    ours: Callable[[Numbers], str] = _well
    return (
        Claim(well, "report", f"The well {well}", STATED[well], ours),
        Claim(f"{well}-paper", "report", f"{well}, set up as in the paper", STATED[well], ours),
    )


CLAIMS = (
    *(claim for well in STATED for claim in _of(well)),
    Claim("excited", "report", "Beyond the paper: excited states", "None.", _excited),
    Claim(
        "coupled",
        "report",
        "Three dimensions",
        "Monte Carlo would be needed (section 5, not done).",
        _sampled,
    ),
    Claim(
        "times",
        "derivatives",
        "Times",
        "Time grows fastest for full Hessians; first derivatives are two orders of magnitude faster at many"
        " inputs (Fig. 7, Table 1).",
        _times,
    ),
)


def write_derivatives_report(folder: Path) -> Path:
    """Write the report of `qtrain reproduce derivatives`. Returns the path of the HTML."""
    about = json.loads((folder / "reproduction.json").read_text())
    lines = [
        "S. Rodini, Analytical derivatives of neural networks. ħ = m = 1; Ē is the Rayleigh quotient,"
        " G the mean square of (H − Ē)φ (Eq. 30), both on finer rules than those of the search.",
        "E₀ is that of an independent solver (spectral elements). The paper's set-up integrates φHφ over"
        " its Ω by rectangles with free ends: that functional has no lower bound, and Ē may lie below E₀.",
        made_by(folder),
    ]
    head = f"The derivatives paper, done again at the scale {about['scale']}"
    return write_report(folder, head, lines, CLAIMS)
