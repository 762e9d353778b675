"""Eigenvalues of many tridiagonal matrices at once: Sturm's recurrence with potentials in SIMD lanes.

With energies scaled by 2dx², the leading minors of s − H obey, without a division,

    p_i = (2 + 2dx² v_i − s) p_{i−1} − p_{i−2},   p_0 = 1,  p_{−1} = 0,

and the number of sign changes in p_0 … p_{M−1} (a zero counts as positive) is the number of eigenvalues
below s. Each level is
first isolated by bisection on that count and then refined by Chandrupatla's method (inverse quadratic
interpolation kept safe by bisection) on p_{M−1}(s), whose only root in the bracket it then is.

Source of the root finder: T. R. Chandrupatla, Adv. Eng. Softw. 28 (1997) 145,
doi 10.1016/S0965-9978(96)00051-8.
Error: |E − E_scipy| below 1e-9 |E|, in absolute terms some 1e-15 of the norm of H (as LAPACK's own).

Minors grow beyond what float64 holds where M is large or V rough. Every `BLOCK` mesh points those above
2^300 are divided by 2^300, which changes no bit of their mantissas, and the divisions are counted: a minor is
p · 2^(300 e). Potentials so rough that a minor could overflow within a block are not `tractable`; `spectrum`
gives them to scipy.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float

from qwell.physics.compiled import compiled
from qwell.physics.grid import Grid

WIDTH = 64
UNROLL = 7  # mesh points advanced while the minors stay in registers
BLOCK = 4 * UNROLL  # mesh points from one look at the size of the minors to the next
LOG_LARGEST = 690.0  # log of the largest minor that float64 holds, with a margin
LARGE = 2.0**300  # minors above it are divided by it
SMALL = 1 / LARGE
LEAST = 2.0**-1000
ROUNDING = 4.5e-16  # two units in the last place: no bracket can be made narrower
# Rows of the scratch array `w` and of a level's bracket, as offsets. One flat array each: LLVM then sees
# that rows do not overlap, and vectorises the loops over lanes.
SHIFT, P, Q, COUNT, TOLERANCE, STEP, A, B, FA, FB, E, UNIT = (WIDTH * row for row in range(12))
ROWS = 12
LOW, HIGH, F_LOW, F_HIGH, E_LOW, E_HIGH, BELOW_LOW, BELOW_HIGH = (WIDTH * row for row in range(8))
BRACKET = 8 * WIDTH


@compiled()
def _rescale(w: np.ndarray) -> None:
    """Divide minors above LARGE by it, and count that in w[E]."""
    for k in range(WIDTH):
        p, q = w[P + k], w[Q + k]
        large = max(abs(p), abs(q)) > LARGE
        by = SMALL if large else 1.0
        w[P + k], w[Q + k] = p * by, q * by
        w[E + k] += 1.0 if large else 0.0


@compiled()
def _minor(diagonal: np.ndarray, w: np.ndarray, block: int) -> None:
    """w[P] · LARGE^w[E] ← p_{M−1}(w[SHIFT]) in every lane."""
    for k in range(WIDTH):
        w[Q + k], w[E + k] = 1.0, 0.0
        w[P + k] = diagonal[0, k] - w[SHIFT + k]
    points = diagonal.shape[0]
    i = 1
    while i < points:
        stop = min(i + block, points)
        while i + UNROLL <= stop:
            for k in range(WIDTH):
                s, b, a = w[SHIFT + k], w[P + k], w[Q + k]
                a = (diagonal[i, k] - s) * b - a
                b = (diagonal[i + 1, k] - s) * a - b
                a = (diagonal[i + 2, k] - s) * b - a
                b = (diagonal[i + 3, k] - s) * a - b
                a = (diagonal[i + 4, k] - s) * b - a
                b = (diagonal[i + 5, k] - s) * a - b
                a = (diagonal[i + 6, k] - s) * b - a
                w[P + k], w[Q + k] = a, b
            i += UNROLL
        while i < stop:
            for k in range(WIDTH):
                a = (diagonal[i, k] - w[SHIFT + k]) * w[P + k] - w[Q + k]
                w[Q + k] = w[P + k]
                w[P + k] = a
            i += 1
        if block < points:
            _rescale(w)


@compiled()
def _minor_and_count(diagonal: np.ndarray, w: np.ndarray, block: int) -> None:
    """As `_minor`, and w[COUNT] ← the number of eigenvalues below w[SHIFT]."""
    for k in range(WIDTH):
        w[Q + k], w[E + k] = 1.0, 0.0
        w[P + k] = diagonal[0, k] - w[SHIFT + k]
        w[COUNT + k] = 1.0 if w[P + k] < 0 else 0.0
    points = diagonal.shape[0]
    i = 1
    while i < points:
        stop = min(i + block, points)
        while i + 4 <= stop:
            for k in range(WIDTH):
                s, p, q = w[SHIFT + k], w[P + k], w[Q + k]
                a = (diagonal[i, k] - s) * p - q
                b = (diagonal[i + 1, k] - s) * a - p
                c = (diagonal[i + 2, k] - s) * b - a
                d = (diagonal[i + 3, k] - s) * c - b
                changes = 1.0 if (p < 0) != (a < 0) else 0.0
                changes += 1.0 if (a < 0) != (b < 0) else 0.0
                changes += 1.0 if (b < 0) != (c < 0) else 0.0
                changes += 1.0 if (c < 0) != (d < 0) else 0.0
                w[COUNT + k] += changes
                w[P + k], w[Q + k] = d, c
            i += 4
        while i < stop:
            for k in range(WIDTH):
                a = (diagonal[i, k] - w[SHIFT + k]) * w[P + k] - w[Q + k]
                w[COUNT + k] += 1.0 if (a < 0) != (w[P + k] < 0) else 0.0
                w[Q + k] = w[P + k]
                w[P + k] = a
            i += 1
        if block < points:
            _rescale(w)


@compiled()
def _keep_exponents(w: np.ndarray, brackets: np.ndarray, j: int) -> None:
    """E_LOW and E_HIGH of level j, where w[SHIFT] is about to become LOW or HIGH."""
    at = j * BRACKET
    for k in range(WIDTH):
        s, c, e = w[SHIFT + k], w[COUNT + k], w[E + k]
        up = (c <= j) & (s > brackets[at + LOW + k])
        down = (c > j) & (s < brackets[at + HIGH + k])
        brackets[at + E_LOW + k] = e if up else brackets[at + E_LOW + k]
        brackets[at + E_HIGH + k] = e if down else brackets[at + E_HIGH + k]


@compiled()
def _isolate(diagonal: np.ndarray, w: np.ndarray, brackets: np.ndarray, levels: int, block: int) -> None:
    """Bisect until the bracket LOW … HIGH of each level holds that eigenvalue alone, or is a point.

    Every lane bisects its own first bracket not yet done, and every shift narrows its other brackets too.
    A lane that is done repeats its last shift, so that a result never depends on the other lanes.
    """
    while True:
        for k in range(WIDTH):
            w[COUNT + k] = 0.0
        for j in range(levels - 1, -1, -1):
            at = j * BRACKET
            for k in range(WIDTH):
                low, high = brackets[at + LOW + k], brackets[at + HIGH + k]
                alone = (brackets[at + BELOW_LOW + k] == j) & (brackets[at + BELOW_HIGH + k] == j + 1)
                wanted = (not alone) & (high - low > w[TOLERANCE + k])
                w[SHIFT + k] = 0.5 * (low + high) if wanted else w[SHIFT + k]
                w[COUNT + k] = 1.0 if wanted else w[COUNT + k]
        busy = 0.0
        for k in range(WIDTH):
            busy += w[COUNT + k]
        if busy == 0.0:
            return
        _minor_and_count(diagonal, w, block)
        for j in range(levels):
            at = j * BRACKET
            if block < diagonal.shape[0]:
                _keep_exponents(w, brackets, j)
            for k in range(WIDTH):  # selects instead of branches, so that the loop is vectorised
                s, c, f = w[SHIFT + k], w[COUNT + k], w[P + k]
                up = (c <= j) & (s > brackets[at + LOW + k])
                down = (c > j) & (s < brackets[at + HIGH + k])
                brackets[at + LOW + k] = s if up else brackets[at + LOW + k]
                brackets[at + F_LOW + k] = f if up else brackets[at + F_LOW + k]
                brackets[at + BELOW_LOW + k] = c if up else brackets[at + BELOW_LOW + k]
                brackets[at + HIGH + k] = s if down else brackets[at + HIGH + k]
                brackets[at + F_HIGH + k] = f if down else brackets[at + F_HIGH + k]
                brackets[at + BELOW_HIGH + k] = c if down else brackets[at + BELOW_HIGH + k]


@compiled()
def _in_units(f: float, e: float, unit: float) -> float:
    """f · LARGE^e in units of LARGE^unit; far from it, something far too large or small of the same sign."""
    away = min(max(e - unit, -2.0), 2.0)
    by = 1.0 if away == 0.0 else (LARGE if away > 0.0 else SMALL)
    again = by if abs(away) == 2.0 else 1.0
    found = f * by * again
    return math.copysign(LEAST, f) if found == 0.0 and f != 0.0 else found


@compiled()
def _open(w: np.ndarray, brackets: np.ndarray, level: np.ndarray, roots: np.ndarray) -> int:
    """Keep the root of each lane that is done with a level, and open its next; how many lanes are busy."""
    levels, busy = roots.shape[0], 0
    for k in range(WIDTH):
        while w[STEP + k] == 0.0 and level[k] < levels:
            j = level[k]
            if j >= 0:
                roots[j, k] = w[A + k] if abs(w[FA + k]) <= abs(w[FB + k]) else w[B + k]
            j += 1
            level[k] = j
            if j < levels:
                at = j * BRACKET
                w[A + k], w[B + k] = brackets[at + HIGH + k], brackets[at + LOW + k]
                unit = max(brackets[at + E_HIGH + k], brackets[at + E_LOW + k])
                w[FA + k] = _in_units(brackets[at + F_HIGH + k], brackets[at + E_HIGH + k], unit)
                w[FB + k] = _in_units(brackets[at + F_LOW + k], brackets[at + E_LOW + k], unit)
                w[UNIT + k] = unit
                wide = w[A + k] - w[B + k] > w[TOLERANCE + k]
                # a bracket that isolation closed to a point stays as it is
                w[STEP + k] = 0.5 if wide and w[FA + k] != 0.0 and w[FB + k] != 0.0 else 0.0
        busy += 1 if level[k] < levels else 0
    return busy


@compiled()
def _refine(
    diagonal: np.ndarray,
    w: np.ndarray,
    brackets: np.ndarray,
    level: np.ndarray,
    roots: np.ndarray,
    block: int,
) -> None:
    """Chandrupatla's method in every lane, one level after the other, each at the lane's own pace.

    roots[j, lane] ← the eigenvalue in the bracket of level j. A lane with all levels done idles.
    """
    for k in range(WIDTH):
        level[k] = -1
        w[STEP + k] = 0.0
    while True:
        if _open(w, brackets, level, roots) == 0:
            return
        for k in range(WIDTH):
            w[SHIFT + k] = w[A + k] + w[STEP + k] * (w[B + k] - w[A + k])
        _minor(diagonal, w, block)
        if block < diagonal.shape[0]:
            for k in range(WIDTH):
                w[P + k] = _in_units(w[P + k], w[E + k], w[UNIT + k])
        for k in range(WIDTH):
            x, f, live = w[SHIFT + k], w[P + k], w[STEP + k] > 0.0
            a, b, fa, fb = w[A + k], w[B + k], w[FA + k], w[FB + k]
            same = (f < 0) == (fa < 0)
            c, fc = (a, fa) if same else (b, fb)
            b, fb = (b, fb) if same else (a, fa)
            # inverse quadratic interpolation through (f, x), (fb, b), (fc, c), written with few divisions
            to_b, to_fb, to_fc = 1.0 / (b - x), 1.0 / fb, 1.0 / fc
            r, u, v = f * to_fb, f * to_fc, fb * to_fc
            numerator = r * (1.0 - u) - (c - x) * to_b * u * v * (1.0 - r)
            inverse = numerator / ((v - 1.0) * (1.0 - r) * (1.0 - u))
            span, slope = c - b, (1.0 - v) * (1.0 - v)
            safe = ((u - v) * (u - v) * span * span < (x - b) * span * slope) & (
                (1.0 - u) * (1.0 - u) * span * span < (c - x) * span * slope
            )
            least = w[TOLERANCE + k] * abs(to_b)
            t = min(max(inverse if safe else 0.5, least), 1.0 - least)
            t = t if (least < 0.5) & (f != 0.0) else 0.0
            w[A + k], w[FA + k] = (x, f) if live else (a, fa)
            w[B + k], w[FB + k] = (b, fb) if live else (w[B + k], w[FB + k])
            w[STEP + k] = t if live else 0.0


@compiled()
def _solve(
    potential: np.ndarray, scale: float, empty_box: np.ndarray, energies: np.ndarray, block: int
) -> None:
    """Fill `energies` (n, levels) for `potential` (n, points), WIDTH rows at a time.

    Minors are looked at every `block` points; never, if that is more than all.
    """
    n, points = potential.shape
    levels = energies.shape[1]
    diagonal = np.empty((points, WIDTH))
    w = np.zeros(ROWS * WIDTH)
    brackets = np.empty(levels * BRACKET)
    roots, level = np.empty((levels, WIDTH)), np.empty(WIDTH, dtype=np.int64)
    for start in range(0, n, WIDTH):
        for k in range(WIDTH):
            row = min(start + k, n - 1)  # the last group repeats its last potential
            least, most = potential[row, 0], potential[row, 0]
            for i in range(points):
                v = potential[row, i]
                least, most = min(least, v), max(most, v)
                diagonal[i, k] = 2.0 + scale * v
            size = 4.0 + scale * max(abs(least), abs(most))
            w[TOLERANCE + k] = ROUNDING * size
            for j in range(levels):  # Weyl: min v ≤ E_j − E_j(box) ≤ max v
                at = j * BRACKET
                margin = 1e-12 * size
                brackets[at + LOW + k] = scale * least + empty_box[j] - margin
                brackets[at + HIGH + k] = scale * most + empty_box[j] + margin
                brackets[at + BELOW_LOW + k] = brackets[at + BELOW_HIGH + k] = -1.0
                brackets[at + F_LOW + k] = brackets[at + F_HIGH + k] = 1.0
                brackets[at + E_LOW + k] = brackets[at + E_HIGH + k] = 0.0
        _isolate(diagonal, w, brackets, levels, block)
        _refine(diagonal, w, brackets, level, roots, block)
        for k in range(min(WIDTH, n - start)):
            for j in range(levels):
                energies[start + k, j] = roots[j, k] / scale


def eigenvalues(
    potential: Float[np.ndarray, "n points"], grid: Grid, levels: int
) -> Float[np.ndarray, "n {levels}"]:
    """The lowest energies of each potential, as `spectrum.eigenvalues` describes, at about 2 µs each.

    Arguments:
        potential: (n, M+1) float, energy units, finite, and `tractable`.
        grid: the mesh.
        levels: how many.

    Returns: (n, levels) float64, ascending. The energies of a potential depend on it alone.
    """
    scale = 2.0 * grid.dx**2
    inner = np.ascontiguousarray(potential[:, 1:-1], dtype=np.float64)
    energies, box = np.empty((len(inner), levels)), scale * grid.box_energies(levels)
    small = grid.mesh * _log_growth(inner, scale) < LOG_LARGEST  # these cannot overflow at all
    if small.all():
        _solve(inner, scale, box, energies, grid.mesh)
        return energies
    for rows, block in ((small, grid.mesh), (~small, BLOCK)):
        found = np.empty((int(rows.sum()), levels))
        _solve(inner[rows], scale, box, found, block)
        energies[rows] = found
    return energies


def tractable(potential: Float[np.ndarray, "n points"], grid: Grid) -> Bool[np.ndarray, "n"]:
    """(n,) bool: potentials whose minors grow by less than LARGE from one look at their size to the next."""
    growth = _log_growth(potential[:, 1:-1], 2.0 * grid.dx**2)
    fits: np.ndarray = BLOCK * growth < np.log(LARGE)
    return fits


def _log_growth(inner: Float[np.ndarray, "n inner"], scale: float) -> Float[np.ndarray, "n"]:
    """log of what a step multiplies a minor by at most, for any shift within the Weyl bounds.

    That is 2dx²(max v − min v) + 6.
    """
    span = inner.max(axis=1).astype(np.float64) - inner.min(axis=1)
    growth: np.ndarray = np.log(scale * span + 6.0)
    return growth
