"""What our numbers say to the statements of the spectra paper, and when they agree; see `spectra.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from qwell.papers.plan import Answer, Numbers

KERNELS = ("rbf", "m5", "m3", "exp")  # from smooth to rough
GOOD = 1e-3  # NMSE on its own kernel from which a network can be asked about physics
NEEDS = f"an NMSE of at most {GOOD:g} on the potentials it is asked about, or was taught"


def said_of_curves(n: Numbers) -> Answer:
    """Fig. 3: errors against updates and data."""
    rows = sorted((r for r in n["runs"] if r["kernel"] == "rbf"), key=lambda r: r["n"])
    ratios = [r["ratio"] for r in rows]
    gaps = ", ".join(f"{r['ratio']:.2f} at {r['n']:,}" for r in rows)
    largest, updates = max(r["n"] for r in n["runs"]), max(r["updates"] for r in n["runs"])
    last = {r["kernel"]: r["validation_nmse"] for r in n["runs"] if r["n"] == largest}
    below = last["rbf"] < 1e-4
    return Answer(
        f"Validation NMSE after {updates:,} updates on {largest:,} potentials:"
        f" {', '.join(f'{kernel} {error:.1e}' for kernel, error in last.items())}. Validation over training"
        f" error on rbf: {gaps}.",
        {
            "NMSE on rbf below 1e-4": below,
            "validation over training error falls with the data": ratios == sorted(ratios, reverse=True),
            "NMSE grows from rbf by m5 and m3 to exp": _rising([last[kernel] for kernel in KERNELS]),
        },
        below or updates >= 100_000,
        "the paper's 100,000 updates, or the error that it states",
    )


def _rising(values: Sequence[float]) -> bool:
    return all(a < b for a, b in pairwise(values))


def _own(n: Numbers) -> dict[str, float]:
    """Training set → NMSE of the network taught on it on its own validation potentials."""
    data = [entry if isinstance(entry, str) else entry["name"] for entry in n["data"]]
    rows = zip(n["names"], n["nmse"], strict=True)
    return {(taught := name.split(", ")[-1]): row[data.index(taught)] for name, row in rows}


def said_of_kernels(n: Numbers) -> Answer:
    """Figs. 4 and 5: networks on kernels they have not seen; at σ = 1000 "against" σ = 100."""
    names = [entry["name"] for entry in n["data"]]
    smooth, rough = (names.index(next(x for x in names if x.startswith(k))) for k in ("rbf", "exp"))
    by, own, nmse = [name.split(", ")[-1] for name in n["names"]], _own(n), n["nmse"]
    all_by_rough, all_by_smooth = nmse[by.index(names[rough])], nmse[by.index(names[smooth])]
    criteria = {
        "exp-taught: no other kernel above twice its own NMSE": max(all_by_rough) <= 2 * all_by_rough[rough],
        "rbf-taught: on exp above ten times its own": all_by_smooth[rough] > 10 * all_by_smooth[smooth],
    }
    if "against" in n:
        before = list(_own(n["against"]).values())
        criteria["each larger than at σ = 100"] = all(
            b > a for a, b in zip(before, own.values(), strict=True)
        )
    sentence = f"{_largest(n['names'], nmse, names)} On its own: {_listed(own)}."
    return Answer(sentence, criteria, max(own.values()) <= GOOD, NEEDS)


def _listed(errors: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {error:.1e}" for name, error in errors.items())


def _largest(names: Sequence[str], nmse: Sequence[Sequence[float]], data: Sequence[str]) -> str:
    """The largest error of each network (a row of `nmse`), and the data set that it is on."""
    worst = ", ".join(
        f"{name.split(', ')[-1]} {max(row):.1e} (on {data[row.index(max(row))]})"
        for name, row in zip(names, nmse, strict=True)
    )
    return f"Largest NMSE over the four validation sets, by training set: {worst}."


def said_of_similarity(n: Numbers) -> Answer:
    """Figs. 6 and 7: distances of data sets, and the best teacher of each kernel."""
    names, distance = [entry["name"] for entry in n["training"]], n["D"]
    itself = {name: distance[i][i] for i, name in enumerate(names)}
    sentences = [", ".join(f"D of {name} to itself {d:.1f}" for name, d in itself.items()) + "."]
    best, own = {}, []
    for j, entry in enumerate(n["validation"]):
        errors = {e["training"]: e["nmse"] for e in n.get("errors", []) if e["validation"] == entry["name"]}
        if errors:
            own.append(errors.get(entry["name"], 0.0))
            nearest = names[min(range(len(names)), key=lambda i: distance[i][j])]
            best[entry["name"]] = min(errors, key=lambda k: errors[k])
            sentences.append(
                f"On {entry['name']} the nearest training set is {nearest}, the best teacher"
                f" {best[entry['name']]}."
            )
    rougher = dict(pairwise(KERNELS))
    criteria = {
        "exp is farther from itself than any other": itself["exp"] == max(itself.values()),
        "rbf, m5 and m3 have the next rougher kernel as best teacher": all(
            best.get(kernel) == teacher for kernel, teacher in rougher.items()
        ),
    }
    return Answer(" ".join(sentences), criteria, max(own, default=1.0) <= GOOD, NEEDS)


def said_of_ablation(n: Numbers) -> Answer:
    """Fig. 8: R_D and R_SA."""
    deep = [r for r in n["runs"] if r["R_D"] and r["blocks"] > 1]
    depth = ", ".join(f"{r['kernel']} with {r['blocks']} blocks {fmean(r['R_D']):.2f}" for r in deep)
    ratios = [x for r in n["runs"] if r["R_SA"] for x in r["R_SA"]]
    kernels = {r["kernel"] for r in deep}
    falls = all(
        _rising([-fmean(r["R_D"]) for r in sorted(deep, key=lambda r: r["blocks"]) if r["kernel"] == kernel])
        for kernel in kernels
    )
    most = max(r["blocks"] for r in deep)
    own = max(r["nmse"][n["data"].index(r["kernel"])] for r in deep if r["blocks"] == most)
    return Answer(
        f"Mean R_D: {depth}. R_SA between {min(ratios):.2f} and {max(ratios):.2f}, below 1 in"
        f" {sum(x < 1 for x in ratios)} of {len(ratios)} pairs.",
        {"R_D falls with every block": falls, "R_SA below 1 for every pair": max(ratios) < 1},
        own <= GOOD,
        NEEDS,
    )


def said_of_attention(n: Numbers) -> Answer:
    """Fig. 9: where the first two layers look."""
    looked = [layer["potential_looked_at"] for layer in n["layers"]]
    return Answer(
        f"NMSE on this kernel {n['nmse']:.1e}. Potential at the places looked at, in standard deviations from"
        f" its mean, by layer: {', '.join(f'{v:+.2f}' for v in looked)} (negative: wells); one potential.",
        {
            "the first layer looks below the mean": looked[0] < 0,
            "the second higher than the first": looked[min(1, len(looked) - 1)] > looked[0],
        },
        n["nmse"] <= GOOD,
        NEEDS,
    )


def said_of_densities(n: Numbers) -> Answer:
    """Fig. 10: densities from gradients."""
    first, last = n["levels"][0], n["levels"][-1]
    peaks = min(level["same_peaks"] for level in n["levels"])
    return Answer(
        f"Over {n['samples']} potentials (NMSE {n['nmse']:.1e}), relative L2 error"
        f" {first['relative_l2']:.2g} (ground state) to {last['relative_l2']:.2g} (highest level), mean of"
        f" all levels {fmean(level['relative_l2'] for level in n['levels']):.2g}; the same number of peaks in"
        f" {100 * first['same_peaks']:.0f} % and {100 * last['same_peaks']:.0f} %; negative part"
        f" {first['negative']:.1e} and {last['negative']:.1e}.",
        {
            "right number of peaks in 90 % of potentials, each level": peaks >= 0.9,
            "some values are negative": max(level["negative"] for level in n["levels"]) > 0,
        },
        n["nmse"] <= GOOD,
        NEEDS,
    )


def said_of_crossing(n: Numbers) -> Answer:
    """Figs. 11 and 12: an avoided crossing."""
    at, gap, exchanged, same = n["lambda_crossing"], n["gap"], n["overlap_exchanged"], n["overlap_same"]
    seen = "none" if at["network"] is None else f"{at['network']:.3g}"
    return Answer(
        f"Pair found by the {n['found_by']}. Smallest gap at λ = {seen} (exact"
        f" {at['exact']:.3g}), of {gap['network']:.3g} (exact {gap['exact']:.3g}); overlap of the ground"
        f" state before with the first excited after {exchanged['network']:.2f}, with the ground state after"
        f" {same['network']:.2f}; NMSE on the path {n['nmse_on_path']:.1e}.",
        {
            "smallest gap within .02 of its λ": at["network"] is not None
            and abs(at["network"] - at["exact"]) <= 0.02,
            "and above zero": gap["network"] > 0,
            "states change places (overlap above .8, else below .5)": exchanged["network"] > 0.8
            and same["network"] < 0.5,
        },
        n["nmse_on_path"] <= GOOD,
        NEEDS,
    )


def said_of_matter(n: Numbers, before: str, most: float) -> Answer:
    """Figs. 13 and 14: errors in a medium, over those `before`; agrees up to `most` times."""
    own, other = _own(n), _own(n["against"])
    ratios = {kernel: own[kernel] / other[kernel] for kernel in own}
    times = ", ".join(f"{kernel} {own[kernel]:.1e} ({ratio:.2f} times)" for kernel, ratio in ratios.items())
    largest = _largest(n["names"], n["nmse"], n["data"])
    return Answer(
        f"V_total = {n['formula']}. {largest} On its own, over that {before}: {times}.",
        {f"at most {most:g} times the error {before}": max(ratios.values()) <= most},
        max(own.values()) <= GOOD,
        NEEDS,
    )


def said_of_zoo(n: Numbers) -> Answer:
    """Other networks; nothing to judge."""
    worst = sorted(zip((max(row) for row in n["nmse"]), n["names"], strict=True))
    errors = ", ".join(f"{name.split(', ')[0]} {error:.1e}" for error, name in worst)
    return Answer(f"Largest NMSE over the four kernels, all trained on m3: {errors}.")


def beyond(ours: Callable[[Numbers], Answer]) -> Callable[[Numbers], Answer]:
    """What the paper does not speak of is not judged."""
    return lambda n: Answer(ours(n).sentence)
