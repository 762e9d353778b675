"""The statements of the spectra paper, and what our numbers say to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qwell.papers.report import Claim, Numbers, made_by, write_report


def _curves(n: Numbers) -> str:
    rows = sorted((r for r in n["runs"] if r["kernel"] == "rbf"), key=lambda r: r["n"])
    gaps = ", ".join(f"{r['ratio']:.2f} at {r['n']:,}" for r in rows)
    largest = max(r["n"] for r in n["runs"])
    last = ", ".join(f"{r['kernel']} {r['validation_nmse']:.1e}" for r in n["runs"] if r["n"] == largest)
    updates = max(r["updates"] for r in n["runs"])
    return (
        f"Validation NMSE after {updates:,} updates on {largest:,} potentials: {last}. Validation over"
        f" training error on rbf: {gaps}."
    )


def _kernels(n: Numbers) -> str:
    matrix = np.array(n["nmse"])
    worst = ", ".join(
        f"{name.split(', ')[-1]} {row.max():.1e} (on {n['data'][int(row.argmax())]['name']})"
        for name, row in zip(n["names"], matrix, strict=True)
    )
    return f"Largest NMSE over the four validation sets, by training set: {worst}."


def _similarity(n: Numbers) -> str:
    names = [entry["name"] for entry in n["training"]]
    distance = np.array(n["D"])
    parts = [f"D of {name} to itself {distance[i, i]:.1f}" for i, name in enumerate(names)]
    sentences = [", ".join(parts) + "."]
    for j, entry in enumerate(n["validation"]):
        errors = {e["training"]: e["nmse"] for e in n.get("errors", []) if e["validation"] == entry["name"]}
        if errors:
            nearest, best = names[int(distance[:, j].argmin())], min(errors, key=lambda k: errors[k])
            sentences.append(
                f"On {entry['name']} the nearest training set is {nearest}, the best teacher {best}."
            )
    return " ".join(sentences)


def _ablation(n: Numbers) -> str:
    deep = [r for r in n["runs"] if r["R_D"]]
    depth = ", ".join(
        f"{r['kernel']} with {r['blocks']} blocks {np.mean(r['R_D']):.2f}" for r in deep if r["blocks"] > 1
    )
    ratios = [x for r in n["runs"] if r["R_SA"] for x in r["R_SA"]]
    return (
        f"Mean R_D: {depth}. R_SA between {min(ratios):.2f} and {max(ratios):.2f}, below 1 in"
        f" {sum(x < 1 for x in ratios)} of {len(ratios)} pairs."
    )


def _attention(n: Numbers) -> str:
    looks = ", ".join(f"{layer['potential_looked_at']:+.2f}" for layer in n["layers"])
    return (
        f"Potential at the places looked at, in standard deviations from its mean, by layer: {looks}"
        f" (negative: wells)."
    )


def _densities(n: Numbers) -> str:
    first, last = n["levels"][0], n["levels"][-1]
    return (
        f"Over {n['samples']} potentials, relative L2 error {first['relative_l2']:.2g} (ground state) to"
        f" {last['relative_l2']:.2g} (highest level); the same number of peaks in"
        f" {100 * first['same_peaks']:.0f} % and {100 * last['same_peaks']:.0f} %; negative part"
        f" {first['negative']:.1e} and {last['negative']:.1e}."
    )


def _crossing(n: Numbers) -> str:
    at, gap = n["lambda_crossing"], n["gap"]
    return (
        f"Pair found by the {n['found_by']}. Smallest gap at λ = {at['network']:.3g} (exact"
        f" {at['exact']:.3g}), of {gap['network']:.3g} (exact {gap['exact']:.3g}); overlap of the ground"
        f" state before with the first excited after {n['overlap_exchanged']['network']:.2f}, with the"
        f" ground state after {n['overlap_same']['network']:.2f}."
    )


def _matter(n: Numbers) -> str:
    return f"V_total = {n['formula']}. " + _kernels({**n, "data": [{"name": name} for name in n["data"]]})


def _zoo(n: Numbers) -> str:
    mean = np.array(n["nmse"]).max(axis=1)
    order = np.argsort(mean)
    return (
        "Largest NMSE over the four kernels, all trained on m3: "
        + ", ".join(f"{n['names'][i].split(', ')[0]} {mean[i]:.1e}" for i in order)
        + "."
    )


CLAIMS = (
    Claim(
        "learning-curves",
        "learning-curves",
        "Learning curves",
        "The NMSE on rbf falls below 1e-4 with N5, overfitting shrinks as the data grow, and smoother"
        " potentials are easier (Fig. 3).",
        _curves,
    ),
    Claim(
        "cross-kernel",
        "cross-kernel",
        "Other kernels, σ = 100",
        "The network taught on exp does well on all kernels; the one taught on rbf does not on rough"
        " potentials (Fig. 4).",
        _kernels,
    ),
    Claim(
        "cross-kernel-1000",
        "cross-kernel",
        "Other kernels, σ = 1000",
        "The same at σ = 1000, with larger errors (Fig. 5).",
        _kernels,
    ),
    Claim(
        "similarity",
        "similarity",
        "Similarity",
        "The exp set is not even near to itself; a smaller distance D does not mean a smaller error:"
        " rbf, m5 and m3 are predicted best by networks taught on the next rougher kernel (Figs. 6, 7).",
        _similarity,
    ),
    Claim(
        "ablation",
        "ablation",
        "Depth and self-attention",
        "The error falls fast with the number of blocks; self-attention lowers it for every pair, most"
        " on smooth potentials (Fig. 8).",
        _ablation,
    ),
    Claim(
        "attention",
        "attention",
        "Attention maps",
        "The first layer relates minima of the potential to each other, the second also maxima (Fig. 9).",
        _attention,
    ),
    Claim(
        "densities",
        "densities",
        "Densities from gradients",
        "Peaks lie where they should and nodes are as many as they should be, with some negative values"
        " (Fig. 10).",
        _densities,
    ),
    Claim(
        "crossing",
        "crossing",
        "Level crossing",
        "Levels come near without crossing, and ground and first excited state change places (Figs. 11, 12).",
        _crossing,
    ),
    Claim(
        "case1",
        "matter",
        "Matter effect, case 1",
        "Errors are comparable with those without matter (Fig. 13).",
        _matter,
    ),
    Claim(
        "case2",
        "matter",
        "Matter effect, case 2",
        "Errors are slightly larger than in case 1 (Fig. 14).",
        _matter,
    ),
    Claim("zoo", "cross-kernel", "Beyond the paper: other networks", "No such comparison.", _zoo),
    Claim("zoo", "densities", "Beyond the paper: densities of the best network", "As above.", _densities),
    Claim("zoo", "crossing", "Beyond the paper: level crossing of the best network", "As above.", _crossing),
)


def write_spectra_report(folder: Path) -> Path:
    """Write the report of `qtrain reproduce spectra`. Returns the path of the HTML."""
    about = json.loads((folder / "reproduction.json").read_text())
    lines = [
        "N. Ogure, arXiv:2201.06676. Energies in ħ²/(m·length²); NMSE = ΣΣ(E − f)²/ΣΣE².",
        f"Training sets of {', '.join(f'{n:,}' for n in about['sizes'])} potentials (N1, N2, N5),"
        f" {about['validation']:,} to validate on; res_sa with channels"
        f" {', '.join(map(str, about['channels']))}, {about['updates']:,} updates (the paper: 100,000,"
        " 200,000 and 500,000; channels up to 256; 100,000).",
        made_by(folder),
    ]
    head = f"The spectra paper, done again at the scale {about['scale']}"
    return write_report(folder, head, lines, CLAIMS)
