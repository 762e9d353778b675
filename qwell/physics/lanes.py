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
Potentials so rough that the minors could overflow are not `tractable`; `spectrum` gives them to scipy.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from qwell.physics.compiled import compiled
from qwell.physics.grid import Grid

WIDTH = 64
UNROLL = 7  # mesh points advanced while the minors stay in registers
LOG_LARGEST = 690.0  # log of the largest minor that float64 holds, with a margin
ROUNDING = 4.5e-16  # two units in the last place: no bracket can be made narrower
# Rows of the scratch array `w` and of a level's bracket, as offsets. One flat array each: LLVM then sees
# that rows do not overlap, and vectorises the loops over lanes.
SHIFT, P, Q, COUNT, TOLERANCE, STEP, A, B, FA, FB = (WIDTH * row for row in range(10))
ROWS = 10
LOW, HIGH, F_LOW, F_HIGH, BELOW_LOW, BELOW_HIGH = (WIDTH * row for row in range(6))
BRACKET = 6 * WIDTH


@compiled()
def _minor(diagonal: np.ndarray, w: np.ndarray) -> None:
    """w[P] ← p_{M−1}(w[SHIFT]) in every lane."""
    for k in range(WIDTH):
        w[Q + k] = 1.0
        w[P + k] = diagonal[0, k] - w[SHIFT + k]
    points = diagonal.shape[0]
    i = 1
    while i + UNROLL <= points:
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
    while i < points:
        for k in range(WIDTH):
            a = (diagonal[i, k] - w[SHIFT + k]) * w[P + k] - w[Q + k]
            w[Q + k] = w[P + k]
            w[P + k] = a
        i += 1


@compiled()
def _minor_and_count(diagonal: np.ndarray, w: np.ndarray) -> None:
    """As `_minor`, and w[COUNT] ← the number of eigenvalues below w[SHIFT]."""
    for k in range(WIDTH):
        w[Q + k] = 1.0
        w[P + k] = diagonal[0, k] - w[SHIFT + k]
        w[COUNT + k] = 1.0 if w[P + k] < 0 else 0.0
    points = diagonal.shape[0]
    i = 1
    while i + 4 <= points:
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
    while i < points:
        for k in range(WIDTH):
            a = (diagonal[i, k] - w[SHIFT + k]) * w[P + k] - w[Q + k]
            w[COUNT + k] += 1.0 if (a < 0) != (w[P + k] < 0) else 0.0
            w[Q + k] = w[P + k]
            w[P + k] = a
        i += 1


@compiled()
def _isolate(diagonal: np.ndarray, w: np.ndarray, brackets: np.ndarray, levels: int) -> None:
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
        _minor_and_count(diagonal, w)
        for j in range(levels):
            at = j * BRACKET
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
def _refine(
    diagonal: np.ndarray, w: np.ndarray, brackets: np.ndarray, level: np.ndarray, roots: np.ndarray
) -> None:
    """Chandrupatla's method in every lane, one level after the other, each at the lane's own pace.

    roots[j, lane] ← the eigenvalue in the bracket of level j. A lane with all levels done idles.
    """
    levels = roots.shape[0]
    for k in range(WIDTH):
        level[k] = -1
        w[STEP + k] = 0.0
    while True:
        busy = 0
        for k in range(WIDTH):
            while w[STEP + k] == 0.0 and level[k] < levels:  # done with a level: keep its root, open the next
                j = level[k]
                if j >= 0:
                    roots[j, k] = w[A + k] if abs(w[FA + k]) <= abs(w[FB + k]) else w[B + k]
                j += 1
                level[k] = j
                if j < levels:
                    at = j * BRACKET
                    w[A + k], w[FA + k] = brackets[at + HIGH + k], brackets[at + F_HIGH + k]
                    w[B + k], w[FB + k] = brackets[at + LOW + k], brackets[at + F_LOW + k]
                    wide = w[A + k] - w[B + k] > w[TOLERANCE + k]
                    # a bracket that isolation closed to a point stays as it is
                    w[STEP + k] = 0.5 if wide and w[FA + k] != 0.0 and w[FB + k] != 0.0 else 0.0
            busy += 1 if level[k] < levels else 0
        if busy == 0:
            return
        for k in range(WIDTH):
            w[SHIFT + k] = w[A + k] + w[STEP + k] * (w[B + k] - w[A + k])
        _minor(diagonal, w)
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
def _solve(potential: np.ndarray, scale: float, empty_box: np.ndarray, energies: np.ndarray) -> None:
    """Fill `energies` (n, levels) for `potential` (n, points), WIDTH rows at a time."""
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
        _isolate(diagonal, w, brackets, levels)
        _refine(diagonal, w, brackets, level, roots)
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
    energies = np.empty((len(inner), levels))
    _solve(inner, scale, scale * grid.box_energies(levels), energies)
    return energies


def tractable(potential: Float[np.ndarray, "n points"], grid: Grid) -> Bool[np.ndarray, "n"]:
    """(n,) bool: potentials whose minors stay within float64.

    A step multiplies a minor by at most 2dx²(max v − min v) + 6 for any shift within the Weyl bounds.
    """
    inner = potential[:, 1:-1].astype(np.float64)
    growth = 2.0 * grid.dx**2 * (inner.max(axis=1) - inner.min(axis=1)) + 6.0
    fits: np.ndarray = grid.mesh * np.log(growth) < LOG_LARGEST
    return fits
