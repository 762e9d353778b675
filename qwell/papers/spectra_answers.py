"""What our numbers say to the statements of the spectra paper, and when they agree; see `spectra.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from statistics import fmean

from qwell.papers.plan import Answer, Numbers

KERNELS = ("rbf", "m5", "m3", "exp")  # from smooth to rough
GOOD = 1e-3  # NMSE up to which what a network shows counts for the paper
AS_GOOD = 1e-4  # and up to which what it does not show counts against it: the paper's own networks'
NEEDS = f"an NMSE of at most {GOOD:g} to agree, and of {AS_GOOD:g}, the paper's, to disagree"


def judged(sentence: str, criteria: Mapping[str, bool], error: float) -> Answer:
    """An answer by networks of which the worst has the NMSE `error` on what it is asked or was taught."""
    return Answer(sentence, criteria, error <= (GOOD if all(criteria.values()) else AS_GOOD), NEEDS)


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
    return judged(sentence, criteria, max(own.values()))


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
            own += [errors[name] for name in errors if name == entry["name"]]
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
    return judged(" ".join(sentences), criteria, max(own, default=1.0))


def said_of_ablation(n: Numbers) -> Answer:
    """Fig. 8: R_D and R_SA."""
    depths: dict[str, dict[int, float]] = {}
    for r in n["runs"]:
        if r["R_D"]:
            depths.setdefault(r["kernel"], {})[r["blocks"]] = fmean(r["R_D"])
    falling = [[-line[blocks] for blocks in sorted(line)] for line in depths.values() if len(line) > 1]
    ratios = [x for r in n["runs"] if r["R_SA"] for x in r["R_SA"]]
    most = max(r["blocks"] for r in n["runs"])
    whole = [r for r in n["runs"] if r["blocks"] == most and r["attention"]]
    listed = ", ".join(
        f"{kernel} with {blocks} blocks {ratio:.2f}"
        for kernel, line in depths.items()
        for blocks, ratio in sorted(line.items())
        if blocks > 1
    )
    return judged(
        f"Mean R_D: {listed}. R_SA between {min(ratios):.2f} and {max(ratios):.2f}, below 1 in"
        f" {sum(x < 1 for x in ratios)} of {len(ratios)} pairs.",
        {
            "R_D falls with every block": bool(falling) and all(map(_rising, falling)),
            "R_SA below 1 for every pair": max(ratios) < 1,
        },
        max(r["nmse"][n["data"].index(r["kernel"])] for r in whole),
    )


def said_of_attention(n: Numbers) -> Answer:
    """Fig. 9: where the first two layers look."""
    looked = [layer["potential_looked_at"] for layer in n["layers"]]
    return judged(
        f"NMSE on this kernel {n['nmse']:.1e}. Potential at the places looked at, in standard deviations from"
        f" its mean, by layer: {', '.join(f'{v:+.2f}' for v in looked)} (negative: wells); one potential.",
        {
            "the first layer looks below the mean": looked[0] < 0,
            "the second higher than the first": looked[min(1, len(looked) - 1)] > looked[0],
        },
        n["nmse"],
    )


def said_of_densities(n: Numbers) -> Answer:
    """Fig. 10: densities from gradients."""
    levels, first, last = n["levels"], n["levels"][0], n["levels"][-1]
    off = max(inf if level["peak_shift"] is None else level["peak_shift"] for level in levels)
    return judged(
        f"Over {n['samples']} potentials (NMSE {n['nmse']:.1e}), relative L2 error"
        f" {first['relative_l2']:.2g} (ground state) to {last['relative_l2']:.2g} (highest level), mean of"
        f" all levels {fmean(level['relative_l2'] for level in levels):.2g}; as many nodes in"
        f" {100 * first['same_nodes']:.0f} % and {100 * last['same_nodes']:.0f} %, as many peaks in"
        f" {100 * first['same_peaks']:.0f} % and {100 * last['same_peaks']:.0f} %; peaks off by up to"
        f" {off:.2g}; negative part {first['negative']:.1e} and {last['negative']:.1e}.",
        {
            "as many nodes as there should be in 90 % of potentials, each level": min(
                level["same_nodes"] for level in levels
            )
            >= 0.9,
            "peaks off by at most .05, each level": off <= 0.05,
            "some values are negative": max(level["negative"] for level in levels) > 0,
        },
        n["nmse"],
    )


def said_of_crossing(n: Numbers) -> Answer:
    """Figs. 11 and 12: an avoided crossing. Where exact states do not change places, nothing can be said."""
    at, gap, exchanged, same = n["lambda_crossing"], n["gap"], n["overlap_exchanged"], n["overlap_same"]
    near = None not in (at["network"], at["exact"]) and abs(at["network"] - at["exact"]) <= 0.02
    places = {who: exchanged[who] > 0.8 and same[who] < 0.5 for who in ("network", "exact")}
    answer = judged(
        f"Pair found by the {n['found_by']}. Smallest gap at λ = {_number(at['network'])} (exact"
        f" {_number(at['exact'])}), of {_number(gap['network'])} (exact {_number(gap['exact'])}); overlap of"
        f" the ground state before with the first excited after {exchanged['network']:.2f} (exact"
        f" {exchanged['exact']:.2f}), with the ground state after {same['network']:.2f} (exact"
        f" {same['exact']:.2f}); NMSE on the path {n['nmse_on_path']:.1e}.",
        {
            "smallest gap within .02 of its λ": near,
            "and above zero": gap["network"] is not None and gap["network"] > 0,
            "states change places (overlap above .8, else below .5)": places["network"],
        },
        n["nmse_on_path"],
    )
    if places["exact"]:
        return answer
    return replace(answer, enough=False, needs="a path on which the exact states change places")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def said_of_matter(n: Numbers, before: str, least: float, most: float) -> Answer:
    """Figs. 13 and 14: errors in a medium, over those `before`; agrees from `least` to `most` times."""
    own, other = _own(n), _own(n["against"])
    ratios = {kernel: own[kernel] / other[kernel] for kernel in own}
    times = ", ".join(f"{kernel} {own[kernel]:.1e} ({ratio:.2f} times)" for kernel, ratio in ratios.items())
    largest = _largest(n["names"], n["nmse"], n["data"])
    return judged(
        f"V_total = {n['formula']}. {largest} On its own, over that {before}: {times}.",
        {
            f"from {least:.2g} to {most:g} times the error {before}": all(
                least <= ratio <= most for ratio in ratios.values()
            )
        },
        max(own.values()),
    )


def said_of_zoo(n: Numbers) -> Answer:
    """Other networks; nothing to judge."""
    worst = sorted(zip((max(row) for row in n["nmse"]), n["names"], strict=True))
    errors = ", ".join(f"{name.split(', ')[0]} {error:.1e}" for error, name in worst)
    return Answer(f"Largest NMSE over the four kernels, all trained on m3: {errors}.")


def beyond(ours: Callable[[Numbers], Answer]) -> Callable[[Numbers], Answer]:
    """What the paper does not speak of is not judged."""
    return lambda n: Answer(ours(n).sentence)
