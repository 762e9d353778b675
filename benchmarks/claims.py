"""The page of claims: what each benchmark says in a sentence, with a picture, ours beside others.

Every number in a sentence is taken from the results; a claim whose results are not there is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

Results = Mapping[str, Any]
OURS, OTHERS, LIMIT = "#2166ac", "#b0b0b0", "#b2182b"


@dataclass(frozen=True)
class Claim:
    """A claim.

    Arguments:
        name: of the result.
        title: of the section.
        sentence: results → what they say.
        draw: draws them.
        wide: width of the picture in inches.
    """

    name: str
    title: str
    sentence: Callable[[Results], str]
    draw: Callable[[Results, Axes], None]
    wide: float = 5.5


def picture(claim: Claim, results: Results, path: Path) -> None:
    """Draw a claim into a file."""
    figure, axes = plt.subplots(figsize=(claim.wide, 3.0), layout="constrained")
    claim.draw(results, axes)
    barred = bool(axes.containers) and not axes.yaxis.get_label_text()
    figure.set_figheight(0.9 + 0.27 * len(axes.patches) if barred else 3.0)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def bars(axes: Axes, values: Mapping[str, tuple[float, bool]], unit: str, limit: float | None = None) -> None:
    """Values as bars, ours (True) in colour, the limit dashed; the axis is logarithmic if need be."""
    names = list(values)[::-1]
    axes.barh(names, [values[n][0] for n in names], color=[OURS if values[n][1] else OTHERS for n in names])
    for row, name in enumerate(names):
        axes.text(values[name][0], row, f" {short(values[name][0])}", va="center", fontsize=8)
    if limit is not None:
        axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1, label=f"limit {short(limit)}")
        axes.legend(fontsize=8)
    largest, least = (f(v for v, _ in values.values()) for f in (max, min))
    if largest > 20 * least:
        axes.set(xscale="log", xlim=(min(least, limit or least) / 2, largest * 6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set(xlim=(0, max(largest, limit or 0) * 1.2))
    axes.set(xlabel=unit)
    axes.tick_params(axis="y", labelsize=8)


def short(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def found(results: Results, pattern: str) -> dict[str, float]:
    """Of the results whose names match, what the group of the pattern holds → the value."""
    pairs = ((re.fullmatch(pattern, name), value) for name, value in results.items())
    return {match[1]: value for match, value in pairs if match and isinstance(value, int | float)}


def _solvers(r: Results, axes: Axes) -> None:
    for name in (
        "lanes",
        "scipy eigh_tridiagonal",
        "scipy eigh_tridiagonal, select",
        "scipy dsterf",
        "JAX, batched",
    ):
        line = {int(m): v for m, v in found(r, rf"mesh (\d+), sigma 100: {re.escape(name)} \[us\]").items()}
        if line:
            style = {"color": OURS, "linewidth": 2.5} if name == "lanes" else {}
            axes.loglog(list(line), list(line.values()), "o-", markersize=3, label=name, **style)
    axes.set(xlabel="mesh points", ylabel="CPU µs a potential")
    axes.legend(fontsize=8)


def _said_of_solvers(r: Results) -> str:
    ours = found(r, r"mesh (\d+), sigma 100: lanes \[us\]")
    ratios = found(r, r"(.*): fastest of scipy / lanes.*").values()
    errors = found(r, r"(.*): error of lanes.*").values()
    return (
        f"`--solver lanes` finds ten energies in {short(ours['100'])} µs on a mesh of 100 and in"
        f" {short(ours['1600'])} µs on one of 1,600 ({r['potentials a mesh for lanes']:,} potentials; others"
        f" and errors of fewer): {short(min(ratios))} to {short(max(ratios))} times faster than the fastest"
        f" call of scipy, with errors of at most {max(errors):.1e}."
    )


def _said_of_generate(r: Results) -> str:
    return (
        f"{r['n']:,} potentials with ten energies each take {short(r['generate --solver lanes [s]'])} s with"
        f" `--solver lanes` and {short(r['generate --solver scipy [s]'])} s with scipy, start-up and writing"
        f" included; the bare scipy calls alone, on all cores, would take {short(r['ideal [s]'])} s."
    )


def _generate(r: Results, axes: Axes) -> None:
    bars(
        axes,
        {
            "generate --solver lanes": (r["generate --solver lanes [s]"], True),
            "generate (scipy)": (r["generate --solver scipy [s]"], True),
            "bare eigh_tridiagonal": (r["ideal [s]"], False),
        },
        f"s for {r['n']:,} rows",
    )


def _said_of_scaling(r: Results) -> str:
    rows = {int(n.replace(",", "")): v for n, v in found(r, r"([\d,]+) rows: whole command \[s\]").items()}
    memory = {int(n.replace(",", "")): v for n, v in found(r, r"([\d,]+) rows: memory \[MB\]").items()}
    opens = {int(n.replace(",", "")): v for n, v in found(r, r"([\d,]+) shards: open \[s\]").items()}
    most, shards = max(rows), max(opens)
    return (
        f"One process makes {most:,} rows at {rows[most] / most * 1e6:.3g} µs each, in "
        f"{short(memory[most])} MB"
        f" of memory where {min(rows):,} take {short(memory[min(rows)])}; a data set of {shards:,} "
        "shards opens in"
        f" {short(opens[shards])} s."
    )


def _scaling(r: Results, axes: Axes) -> None:
    for name in ("made, a shard", "finish", "open", "info", "verify", "first batch"):
        line = {int(n.replace(",", "")): v for n, v in found(r, rf"([\d,]+) shards: {name} \[s\]").items()}
        axes.loglog(list(line), list(line.values()), "o-", markersize=3, label=name)
    rows = {int(n.replace(",", "")): v for n, v in found(r, r"([\d,]+) rows: whole command \[s\]").items()}
    axes.loglog(
        [n / 1000 for n in rows], list(rows.values()), "o-", color=OURS, label="1,000 rows a shard, made"
    )
    axes.set(xlabel="shards", ylabel="s")
    axes.legend(fontsize=7, ncols=2)


def _streams(r: Results, batch: int) -> dict[str, tuple[float, bool]]:
    rates = found(r, rf"(.*), batch {batch} \[rows/s\]")
    ours = ("resident", "mirror", "pool, zarr", "pool, hdf5")
    return {name: (rate, name in ours) for name, rate in sorted(rates.items(), key=lambda pair: -pair[1])}


def _said_of_streams(r: Results) -> str:
    said = []
    for batch in (1000, 100):
        rates = _streams(r, batch)
        peer = max((rate, name) for name, (rate, ours) in rates.items() if not ours)
        best = max((rate, name) for name, (rate, ours) in rates.items() if ours)
        said.append(
            f"in batches of {batch:,} `{best[1]}` gives {short(best[0] / 1e6)} million rows a second, "
            f"{best[0] / peer[0]:.2g}"
            f" times the fastest other way ({peer[1]})"
        )
    return (
        f"Shuffled, {r['rows']:,} rows: {'; '.join(said)}. `pool` reads from the disk, the loops over "
        "arrays have all in memory."
    )


def _propagators(r: Results, axes: Axes) -> None:
    shared = "8 packets in one potential"
    ours = (
        "chebyshev, lattice, float64",
        "chebyshev, lattice, float32",
        f"chebyshev, spectral, float64, {shared}",
        f"truncated-eigen, spectral, float64, tolerance 1e-11, {shared}",
        f"truncated-eigen, spectral, float64, tolerance 1e-07, {shared}",
    )  # fmt: skip
    others = ("numpy space-splitting", "scipy solve_ivp DOP853", "scipy expm_multiply", "QuTiP sesolve")
    values = {}
    for name in (*ours, *others):
        if f"{name}: ms a simulation" in r:
            label = name.removesuffix(f", {shared}")
            values[f"{label} ({r[f'{name}: error']:.0e})"] = (r[f"{name}: ms a simulation"], name in ours)
    bars(axes, values, "ms a simulation (error)")


def _said_of_propagators(r: Results) -> str:
    fast = r["chebyshev, lattice, float64: ms a simulation"]
    others = ("numpy space-splitting", "scipy solve_ivp DOP853", "scipy expm_multiply", "QuTiP sesolve")
    best = min((r[f"{name}: ms a simulation"], name) for name in others if f"{name}: ms a simulation" in r)
    return (
        f"A simulation of the dynamics paper (500 frames, 1,024 points) takes {short(fast)} ms on one "
        "core, with an"
        f" error of {r['chebyshev, lattice, float64: error']:.0e}: {short(best[0] / fast)} times less "
        "than the fastest"
        f" other program, {best[1]}, of which 5 frames were measured."
    )


def _windows(r: Results, axes: Axes) -> None:
    target = " (target 300,000)"
    kinds = ("resident", "memory-mapped")
    bars(
        axes, {kind: (r[f"{kind}: windows/s{target}"] / 1e3, True) for kind in kinds}, "1,000 windows/s", 300
    )


def _said_of_windows(r: Results) -> str:
    return (
        f"The dynamics paper's {r['simulations']:,} simulations, {short(r['generating: GB'])} GB, are made in"
        f" {short(r['generating: seconds'])} s; its windows are cut where they are needed,"
        f" {short(r['resident: windows/s (target 300,000)'])} a second."
    )


def _rollout(r: Results, axes: Axes) -> None:
    for name, ours in (
        ("emulator-unitary, 384 points, 2 layers", True),
        ("Strang, 384 points, 2 layers", False),
        ("chebyshev, float32, 1e-2", False),
    ):
        at = r[f"{name}: us a frame and case, 16 together"]
        axes.semilogy(at, r[f"{name}: mean 1 - C over 37 cases"], "o", color=OURS if ours else OTHERS)
        axes.annotate(f" {name.partition(',')[0]}", (at, r[f"{name}: mean 1 - C over 37 cases"]), fontsize=8)
    axes.set(xlabel="µs a frame and case, 16 together", ylabel="mean 1 − C", xlim=(0, 45), ylim=(1e-7, 1e-3))


def _said_of_rollout(r: Results) -> str:
    return (
        "The learned `emulator-unitary` is as cheap as the splitting that it resembles and, over the 37"
        " test cases, no better: mean 1 − C is"
        f" {r['emulator-unitary, 384 points, 2 layers: mean 1 - C over 37 cases']:.1e} against"
        f" {r['Strang, 384 points, 2 layers: mean 1 - C over 37 cases']:.1e} at equal cost; the exact "
        "propagator at twice the cost has"
        f" {r['chebyshev, float32, 1e-2: mean 1 - C over 37 cases']:.1e}. In one static dimension "
        "solving wins."
    )


def _derivatives(r: Results, axes: Axes) -> None:
    values = found(r, r"(.*): fastest torch peer over qwell")
    some = {name: (value, value >= 1) for name, value in values.items() if ", 1,000 points, " in name}
    bars(axes, some, "fastest torch peer / qwell", 1.0)


def _said_of_derivatives(r: Results) -> str:
    values = found(r, r"(.*): fastest torch peer over qwell")
    ours, folx = found(r, r"(.* points, laplacian): qwell, .*"), found(r, r"(.*): folx \(JAX\), .*")
    many = {name: folx[name] / ours[name] for name in folx if " 1 points" not in name}
    few = {name: ours[name] / folx[name] for name in folx if " 1 points" in name}
    beside = (
        f" Laplacians beside folx, compiled by JAX: from 1,000 points on {short(min(many.values()))} to"
        f" {short(max(many.values()))} times its speed; of single points folx takes"
        f" {short(min(few.values()))} to {short(max(few.values()))} times less."
        if folx
        else ""
    )
    return (
        f"Hessians, diagonals and Laplacians of a network: between {short(min(values.values()))} and "
        f"{short(max(values.values()))} times the"
        f" speed of the fastest way that torch has, in {sum(v >= 1 for v in values.values())} of "
        f"{len(values)} cases faster (grey: slower).{beside}"
    )


def _transfer(r: Results, axes: Axes) -> None:
    bars(
        axes,
        {
            "push": (r["push [MB/s]"], True),
            "s3fs.put": (r["s3fs.put of the same files [MB/s]"], False),
            "pull, checked by sha256": (r["pull, every file checked by sha256 [MB/s]"], True),
            "s3fs.get, unchecked": (r["s3fs.get of the same files [MB/s]"], False),
        },
        "MB/s",
    )


def _said_of_transfer(r: Results) -> str:
    ratios = [value for name, value in r.items() if name.startswith(("push / ", "pull / "))]
    return (
        f"{r['bytes'] / 1e9:.2g} GB to and from an S3 server on the same machine: push has "
        f"{ratios[0]:.2g} times the speed of s3fs,"
        f" pull, which checks every byte by sha256, {ratios[1]:.2g} times."
    )


def _certify(r: Results, axes: Axes) -> None:
    costs = found(r, r"[\d,]+ of (.*), 10 levels: certifying by solving.*")
    bars(axes, {name: (value, True) for name, value in costs.items()}, "certifying / solving by lanes", 3.0)


def _said_of_certify(r: Results) -> str:
    costs = found(r, r"(.*): certifying by solving.*").values()
    smallest = found(r, r"(.*): smallest δ by solving").values()
    edge = found(r, r"at the edge, all: (.*)")
    return (
        f"Sturm counts prove that an energy lies within δ of its level: {edge['false (0)']} false among"
        f" {edge['certified']:,.0f} certificates, in {edge['checks']:,.0f} checks at the edge of δ, for"
        f" {short(min(costs))} to {short(max(costs))} of the time of solving; the smallest δ, which"
        f" `predict --certify` says, takes {short(min(smallest))} to {short(max(smallest))} times that."
    )


CLAIMS = (
    Claim("solvers", "Energies", _said_of_solvers, _solvers),
    Claim("generate", "A data set of spectra", _said_of_generate, _generate),
    Claim("scaling", "Large data sets", _said_of_scaling, _scaling, 6.5),
    Claim(
        "peers",
        "Streaming",
        _said_of_streams,
        lambda r, axes: bars(axes, _streams(r, 1000), "rows/s, batches of 1,000"),
        6.5,
    ),
    Claim("propagators", "Wave packets", _said_of_propagators, _propagators, 7.0),
    Claim("windows", "The dynamics paper's data", _said_of_windows, _windows),
    Claim("rollout", "Emulators", _said_of_rollout, _rollout),
    Claim("derivatives", "Derivatives of networks", _said_of_derivatives, _derivatives, 6.5),
    Claim("transfer", "Pushing and pulling", _said_of_transfer, _transfer),
    Claim("certify", "Certified levels", _said_of_certify, _certify),
)
