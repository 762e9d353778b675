"""The statements of the introspective paper, and what our numbers say to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from qwell.papers.report import Claim, Numbers, made_by, write_report


def _found(n: Numbers) -> str:
    losses = ", ".join(f"{d}: {min(r['test'] for r in found):.2g}" for d, found in n["distillers"].items())
    said = (
        f"Translator {n['translator']:.1e}; rebuilding by d {losses}; verdict:"
        f" {n['verdict'] or 'no'} latent numbers; intrinsic dimension {n['intrinsic_dimension']:.2f}."
    )
    if n["failures"] is not None:
        law = n["laws"][0]
        failed = f"fails {', '.join(n['failures'])}" if n["failures"] else "passes every test"
        said += f" ψ'' = ({law['slope']:.4f} V − {law['energy']:.4f}) ψ, {failed}."
    if n["density_form"]:
        form = ", ".join(f"{d}: {f['loss']:.1e}" for d, f in n["density_form"].items())
        said += f" Linear in d numbers: {form}."
    return said


REAL = (
    "The loss rises abruptly below two real variables, which are the wave function up to a choice of basis,"
    " and obey the discrete Schrödinger equation; density functional theory needs three."
)


def claims_of(seeds: int, noises: Sequence[str]) -> tuple[Claim, ...]:
    """The statements, for so many pipelines and these noises."""
    claims = [Claim(f"real-{k}", "report", f"A whole pipeline, seed {k}", REAL, _found) for k in range(seeds)]
    claims.append(
        Claim(
            "complex",
            "report",
            "Control: a wave with a current",
            "(Two real variables: real waves only.)",
            _found,
        )
    )
    claims += [
        Claim(f"noise-{noise}", "report", f"Densities with noise of {noise}", "None.", _found)
        for noise in noises
    ]
    return tuple(claims)


def write_introspective_report(folder: Path) -> Path:
    """Write the report of `qtrain reproduce introspective`. Returns the path of the HTML."""
    about = json.loads((folder / "reproduction.json").read_text())
    lines = [
        "Wang et al., arXiv:1901.11103: follows the published architecture; the numerical choices are ours.",
        "Losses are MSE over variance, of whole sequences of test data; the verdict is validation data's.",
        made_by(folder),
    ]
    head = f"The introspective paper, done again at the scale {about['scale']}"
    return write_report(folder, head, lines, claims_of(about["seeds"], about["noise"]))
