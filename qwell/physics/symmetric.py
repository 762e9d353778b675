"""The lowest eigenvalues and eigenvectors of many small symmetric matrices at once, matrices in SIMD lanes.

    A = Q T Qᵀ by Householder's reflections,  T = Z Λ Zᵀ by the implicit QL method,  u_i = Q z_i

QL needs no care where levels are close or equal: its eigenvectors are products of rotations and so
orthonormal to rounding. What is saved against a library is twofold. `WIDTH` matrices are worked on side by
side, each lane at its own pace. And rotations are kept and applied, the last one first, to those columns of
the unit matrix that become the wanted eigenvectors, instead of forming all.

Sources: Wilkinson and Reinsch, Handbook for Automatic Computation II (1971), contributions II/2 (tred2) and
II/4 (imtql2).
Error: of eigenvalues some 1e-15 of the norm of A in float64, 5e-7 in float32, as LAPACK's own. In a matrix
divided by its largest entry everything below ε² counts as zero, so that no square underflows.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from qwell.physics.compiled import compiled

WIDTH = 64  # matrices side by side; fewer, and LLVM unrolls the loops over lanes before it vectorises them
SWEEPS = 8  # of QL, at most, for every row of a matrix; two are usual
TURNS = 3  # rotations kept, at most, in units of n²
# Rows of the scratch array `w`, as offsets: what belongs to a lane. LLVM sees that these do not overlap.
SCALE, SUM, FACTOR, ROW = (WIDTH * row for row in range(4))
LOW, TOP, D_TOP, SHIFT, SLIP, SINE, COSINE = (WIDTH * row for row in range(4, 11))
D, D_NEXT, D_NEW, E, E_NEXT, E_NEW, NEW_SINE, NEW_COSINE = (WIDTH * row for row in range(11, 19))
ROWS = 19


@compiled()
def _load(matrices: np.ndarray, start: int, a: np.ndarray, w: np.ndarray) -> None:
    """a (n, n, WIDTH) ← lower triangles of a group, each divided by its largest entry w[SCALE]."""
    n = len(a)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for k in range(WIDTH):
        matrix = matrices[min(start + k, len(matrices) - 1)]  # the last group repeats its last matrix
        largest = zero
        for i in range(n):
            for j in range(i + 1):
                a[i, j, k] = matrix[i, j]
                largest = max(largest, abs(matrix[i, j]))
        w[SCALE + k] = largest if largest > zero else one
    for i in range(n):
        for j in range(i + 1):
            for k in range(WIDTH):
                a[i, j, k] /= w[SCALE + k]


@compiled()
def _reflector(row: np.ndarray, i: int, u: np.ndarray, eps: float, w: np.ndarray) -> None:
    """u and 2/uᵀu = w[FACTOR] of the reflection that leaves of a row's first i entries the last, w[E_NEW]."""
    zero, one = u.dtype.type(0), u.dtype.type(1)
    for k in range(WIDTH):
        w[SUM + k] = zero
    for j in range(i):
        for k in range(WIDTH):
            u[j, k] = row[j, k]
            w[SUM + k] += row[j, k] * row[j, k]
    for k in range(WIDTH):
        x, norm = row[i - 1, k], np.sqrt(w[SUM + k])
        left = -norm if x >= zero else norm
        half = w[SUM + k] - x * left
        w[E_NEW + k] = left
        w[FACTOR + k] = one / half if half > eps * eps * eps * eps else zero
    for k in range(WIDTH):
        u[i - 1, k] -= w[E_NEW + k]


@compiled()
def _tridiagonal(
    a: np.ndarray,
    reflectors: np.ndarray,
    factors: np.ndarray,
    d: np.ndarray,
    e: np.ndarray,
    eps: float,
    w: np.ndarray,
) -> None:
    """Diagonal d and off-diagonal e (n, WIDTH) of T; u of reflection i in reflectors[i], 2/uᵀu in factors[i].

    With p = A u (2/uᵀu) and q = p − u (uᵀp/uᵀu), the reflected matrix is A − u qᵀ − q uᵀ.
    """
    n = len(a)
    zero, half = a.dtype.type(0), a.dtype.type(0.5)
    p = np.empty_like(d)
    for i in range(n - 1, 1, -1):
        u = reflectors[i]
        _reflector(a[i], i, u, eps, w)
        for k in range(WIDTH):
            e[i - 1, k], factors[i, k] = w[E_NEW + k], w[FACTOR + k]
        for j in range(i):
            for k in range(WIDTH):
                w[ROW + k] = u[j, k]
                w[SUM + k] = a[j, j, k] * u[j, k]
            for m in range(j):
                for k in range(WIDTH):
                    w[SUM + k] += a[j, m, k] * u[m, k]
                    p[m, k] += a[j, m, k] * w[ROW + k]
            for k in range(WIDTH):
                p[j, k] = w[SUM + k]
        for k in range(WIDTH):
            w[SUM + k] = zero
        for j in range(i):
            for k in range(WIDTH):
                p[j, k] *= w[FACTOR + k]
                w[SUM + k] += p[j, k] * u[j, k]
        for j in range(i):
            for k in range(WIDTH):
                p[j, k] -= half * w[FACTOR + k] * w[SUM + k] * u[j, k]
        for j in range(i):
            for m in range(j + 1):
                for k in range(WIDTH):
                    a[j, m, k] -= u[j, k] * p[m, k] + p[j, k] * u[m, k]
    for k in range(WIDTH):
        e[0, k] = a[1, 0, k] if n > 1 else zero
        e[n - 1, k] = zero
    for i in range(n):
        for k in range(WIDTH):
            d[i, k] = a[i, i, k]


@compiled()
def _blocks(d: np.ndarray, e: np.ndarray, low: int, eps: float, w: np.ndarray) -> tuple[int, int]:
    """Each lane's next block, rows w[LOW] to w[TOP] between negligible e, and Wilkinson's shift of it.

    Returns: the least LOW and the largest TOP of all lanes; rows below `low` are known to be done.
    """
    n = len(d)
    zero, one, end = d.dtype.type(0), d.dtype.type(1), d.dtype.type(n - 1)
    for i in range(low, n - 1):
        at, after = d.dtype.type(i), d.dtype.type(i + 1)
        for k in range(WIDTH):
            small = abs(e[i, k]) <= eps * (abs(d[i, k]) + abs(d[i + 1, k]) + eps)
            here = w[LOW + k] == at
            w[LOW + k] = after if here & small else w[LOW + k]
            w[D + k] = d[i, k] if here else w[D + k]
            w[D_NEXT + k] = d[i + 1, k] if here else w[D_NEXT + k]
            w[E + k] = e[i, k] if here else w[E + k]
    for k in range(WIDTH):
        w[TOP + k], w[D_TOP + k] = end, d[n - 1, k]
    for i in range(n - 2, low, -1):
        at = d.dtype.type(i)
        for k in range(WIDTH):
            small = abs(e[i, k]) <= eps * (abs(d[i, k]) + abs(d[i + 1, k]) + eps)
            w[TOP + k] = at if small & (w[LOW + k] < at) else w[TOP + k]
            w[D_TOP + k] = d[i, k] if small & (w[LOW + k] < at) else w[D_TOP + k]
    for k in range(WIDTH):
        off = w[E + k] if w[LOW + k] < end else one
        g = (w[D_NEXT + k] - w[D + k]) / (off + off)
        r = np.sqrt(g * g + one)
        w[SHIFT + k] = w[D_TOP + k] - w[D + k] + off / (g + (r if g >= zero else -r))
        w[SINE + k], w[COSINE + k], w[SLIP + k] = one, one, zero
    least, largest = end, zero
    for k in range(WIDTH):
        least = min(least, w[LOW + k])
        largest = max(largest, w[TOP + k] if w[LOW + k] < end else zero)
    return int(least), int(largest)


@compiled()
def _turn(i: int, eps: float, w: np.ndarray) -> None:
    """One rotation of a sweep, of rows i and i + 1, in the lanes whose block has both; none in the others."""
    zero, one = w.dtype.type(0), w.dtype.type(1)
    at, after = w.dtype.type(i), w.dtype.type(i + 1)
    for k in range(WIDTH):
        live = (at < w[TOP + k]) & (at >= w[LOW + k])
        first, last = w[TOP + k] == after, live & (w[LOW + k] == at)
        f, b, g = w[SINE + k] * w[E + k], w[COSINE + k] * w[E + k], w[SHIFT + k]
        r = np.sqrt(f * f + g * g)
        some = r > eps * eps
        inverse = one / (r if some else one)
        s, c = f * inverse if some else zero, g * inverse if some else one
        g = w[D_NEXT + k] - w[SLIP + k]
        t = (w[D + k] - g) * s + (c + c) * b
        slip, shift = s * t, c * t - b
        w[NEW_SINE + k], w[NEW_COSINE + k] = s if live else zero, c if live else one
        w[D_NEW + k] = g + slip if live else w[D_NEXT + k]
        w[E_NEW + k] = (zero if first else r) if live else w[E_NEXT + k]
        w[D_NEXT + k] = w[D + k] - slip if last else w[D + k]
        w[E_NEXT + k] = shift if last else w[E + k]
        w[SHIFT + k], w[SLIP + k] = shift if live else w[SHIFT + k], slip if live else w[SLIP + k]
        w[SINE + k], w[COSINE + k] = s if live else w[SINE + k], c if live else w[COSINE + k]


@compiled()
def _diagonalise(
    d: np.ndarray, e: np.ndarray, turns: np.ndarray, sweeps: np.ndarray, eps: float, w: np.ndarray
) -> int:
    """d ← the eigenvalues of T, unordered; how many sweeps that took, or −1: something did not converge.

    A sweep goes from row sweeps[·, 1] down to sweeps[·, 0]; its rotations begin at turns[sweeps[·, 2]].
    Rotations are not kept if `turns` has no room at all.
    """
    n, low, count = len(d), 0, 0
    for k in range(WIDTH):
        w[LOW + k] = d.dtype.type(0)
    for sweep in range(len(sweeps)):
        low, top = _blocks(d, e, low, eps, w)
        if low == n - 1:
            return sweep
        if len(turns) and count + top - low > len(turns):
            return -1
        sweeps[sweep, 0], sweeps[sweep, 1], sweeps[sweep, 2] = low, top, count
        for k in range(WIDTH):
            w[D_NEXT + k], w[E_NEXT + k] = d[top, k], e[top, k]
        for i in range(top - 1, low - 1, -1):
            for k in range(WIDTH):
                w[D + k], w[E + k] = d[i, k], e[i, k]
            _turn(i, eps, w)
            for k in range(WIDTH):
                d[i + 1, k], e[i + 1, k] = w[D_NEW + k], w[E_NEW + k]
            if len(turns):
                for k in range(WIDTH):
                    turns[count, 0, k], turns[count, 1, k] = w[NEW_COSINE + k], w[NEW_SINE + k]
                count += 1
        for k in range(WIDTH):
            d[low, k], e[low, k] = w[D_NEXT + k], w[E_NEXT + k]
    return -1


@compiled()
def _turn_back(
    count: int, turns: np.ndarray, sweeps: np.ndarray, x: np.ndarray, place: np.ndarray, w: np.ndarray
) -> None:
    """x (levels, n, WIDTH) ← all rotations times x, the last one first. Row i ends at x[:, place[i]].

    A rotated row is written where the next one was read, so that reading and writing never overlap.
    """
    for i in range(len(place)):
        place[i] = i
    for sweep in range(count - 1, -1, -1):
        low, top, start = sweeps[sweep]
        first = place[low]
        for q in range(len(x)):
            for k in range(WIDTH):
                w[ROW + k] = x[q, first, k]
            for i in range(low, top):
                at, turn = place[i + 1], start + top - 1 - i
                for k in range(WIDTH):
                    f, g, c, s = w[ROW + k], x[q, at, k], turns[turn, 0, k], turns[turn, 1, k]
                    x[q, at, k] = c * f + s * g
                    w[ROW + k] = c * g - s * f
            for k in range(WIDTH):
                x[q, first, k] = w[ROW + k]
        for i in range(low, top):
            place[i] = place[i + 1]
        place[top] = first


@compiled()
def _reflect_back(
    reflectors: np.ndarray, factors: np.ndarray, x: np.ndarray, place: np.ndarray, w: np.ndarray
) -> None:
    """x ← Q x, row i at x[:, place[i]]."""
    for i in range(2, len(place)):
        u = reflectors[i]
        for q in range(len(x)):
            for k in range(WIDTH):
                w[SUM + k] = x.dtype.type(0)
            for j in range(i):
                at = place[j]
                for k in range(WIDTH):
                    w[SUM + k] += u[j, k] * x[q, at, k]
            for k in range(WIDTH):
                w[SUM + k] *= factors[i, k]
            for j in range(i):
                at = place[j]
                for k in range(WIDTH):
                    x[q, at, k] -= w[SUM + k] * u[j, k]


@compiled()
def _choose(d: np.ndarray, w: np.ndarray, values: np.ndarray, x: np.ndarray) -> None:
    """The lowest of each lane, ascending, into values (lanes, levels); x ← their columns of 1."""
    x[:] = 0
    for k in range(len(values)):
        for q in range(values.shape[1]):
            best = 0
            for i in range(len(d)):
                best = i if d[i, k] < d[best, k] else best
            values[k, q] = d[best, k] * w[SCALE + k]
            d[best, k] = np.inf
            if len(x):
                x[q, best, k] = 1


@compiled()
def _solve(matrices: np.ndarray, eps: float, values: np.ndarray, vectors: np.ndarray) -> bool:
    """Fill values (b, levels) and vectors (b, n, levels), unless these have no room; False: not converged."""
    n, wanted = matrices.shape[1], len(vectors) > 0
    a = np.empty((n, n, WIDTH), matrices.dtype)
    reflectors, w = np.empty_like(a), np.zeros(ROWS * WIDTH, matrices.dtype)
    factors, d, e = np.empty_like(a[0]), np.empty_like(a[0]), np.empty_like(a[0])
    turns = np.empty((TURNS * n * n + n if wanted else 0, 2, WIDTH), matrices.dtype)
    x = np.empty((vectors.shape[2] if wanted else 0, n, WIDTH), matrices.dtype)
    sweeps, place = np.empty((SWEEPS * n, 3), np.int64), np.empty(n, np.int64)
    for start in range(0, len(matrices), WIDTH):
        _load(matrices, start, a, w)
        _tridiagonal(a, reflectors, factors, d, e, eps, w)
        count = _diagonalise(d, e, turns, sweeps, eps, w)
        if count < 0:
            return False
        _choose(d, w, values[start : start + WIDTH], x)
        if wanted:
            _turn_back(count, turns, sweeps, x, place, w)
            _reflect_back(reflectors, factors, x, place, w)
            for k in range(min(WIDTH, len(matrices) - start)):
                for i in range(n):
                    for q in range(len(x)):
                        vectors[start + k, i, q] = x[q, place[i], k]
    return True


def lowest(
    matrices: Float[np.ndarray, "b n n"], levels: int, vectors: bool = True
) -> tuple[Float[np.ndarray, "b {levels}"], Float[np.ndarray, "b2 n {levels}"]] | None:
    """λ_i and u_i of A u_i = λ_i u_i, |u_i| = 1, for the lowest levels of each of many symmetric matrices.

    Arguments:
        matrices: A, (b, n, n) float32 or float64; only the lower triangles are read. One matrix alone takes
            as long as `WIDTH` of them.
        levels: how many, at most n.
        vectors: whether eigenvectors are wanted.

    Returns: energies (b, levels), ascending, and eigenvectors (b, n, levels) in columns, without rows if they
        are not wanted; both of the type of A. Those of a matrix depend on it alone. None if something did not
        converge, as happens where A is not finite.
    """
    b, n = len(matrices), matrices.shape[1]
    values = np.empty((b, levels), matrices.dtype)
    states = np.empty((b if vectors else 0, n, levels), matrices.dtype)
    eps = matrices.dtype.type(np.finfo(matrices.dtype).eps)
    return (values, states) if _solve(matrices, eps, values, states) else None
