"""Value, gradient and Laplacian of perceptrons at many points, and their derivatives by the parameters.

Points stand side by side in SIMD lanes, `WIDTH` at a time. Rows of every neuron are carried forward: value,
derivatives along the a inputs, Laplacian (Rodini's recursion),

    z = W s + b in all rows (b in the first alone),
    s₀ = σ(z₀),  s_r = σ' z_r,  s_Δ = σ' z_Δ + σ'' q,  q = Σ_r z_r²,

and its adjoint back, marked by a bar:

    z̄_Δ = σ' s̄_Δ,  z̄_r = σ' s̄_r + 2σ'' z_r s̄_Δ,
    z̄₀ = σ' s̄₀ + σ'' (Σ_r z_r s̄_r + z_Δ s̄_Δ) + σ''' q s̄_Δ,  W̄ = Σ z̄ sᵀ,  s̄ = Wᵀ z̄.

What lies between is never kept for all points: going back, a block is carried forward once more.

Source: S. Rodini, Analytical derivatives of neural networks, section 2; the forward Laplacian is Li et al.'s,
Nat. Mach. Intell. 6, 209 (2024), arXiv:2307.08214.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from qwell.physics.compiled import compiled

WIDTH = 64  # points side by side
CURVES = ("", "Tanh", "Sigmoid", "SiLU", "Sin")  # what may follow an affine map, by its number
HALVINGS = 7  # of the argument of expm1
FARTHEST = 20.0  # beyond it tanh is ±1


@compiled()
def _tanh(z: np.ndarray, y: np.ndarray, slope: np.ndarray, bend: np.ndarray, third: np.ndarray) -> None:
    """tanh |z| = −m/(2 + m), m = e^{−2|z|} − 1, by m(2u) = m(u)(m(u) + 2) from its series at a 128th."""
    for k in range(WIDTH):
        u = min(abs(z[0, k]), FARTHEST) * (-2.0 / 2**HALVINGS)
        m = 1.0 + u * (1.0 / 13.0)
        m = 1.0 + u * (1.0 / 12.0) * m
        m = 1.0 + u * (1.0 / 11.0) * m
        m = 1.0 + u * (1.0 / 10.0) * m
        m = 1.0 + u * (1.0 / 9.0) * m
        m = 1.0 + u * (1.0 / 8.0) * m
        m = 1.0 + u * (1.0 / 7.0) * m
        m = 1.0 + u * (1.0 / 6.0) * m
        m = 1.0 + u * (1.0 / 5.0) * m
        m = 1.0 + u * (1.0 / 4.0) * m
        m = 1.0 + u * (1.0 / 3.0) * m
        m = u * (1.0 + u * 0.5 * m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        m = m * m + (m + m)
        t = m / (2.0 + m)
        t = t if z[0, k] < 0.0 else -t
        s = 1.0 - t * t
        y[0, k], slope[k], bend[k], third[k] = t, s, -2.0 * t * s, s * (6.0 * t * t - 2.0)


@compiled()
def _others(
    kind: int, z: np.ndarray, y: np.ndarray, slope: np.ndarray, bend: np.ndarray, third: np.ndarray
) -> None:
    """σ and its first three derivatives of sigmoid, SiLU and sine."""
    for k in range(WIDTH):
        x = z[0, k]
        if kind == 4:
            y[0, k], slope[k] = math.sin(x), math.cos(x)
            bend[k], third[k] = -y[0, k], -slope[k]
            continue
        s = 1.0 / (1.0 + math.exp(-x))
        bell, skew = s * (1.0 - s), 1.0 - 2.0 * s
        if kind == 2:
            y[0, k], slope[k], bend[k] = s, bell, bell * skew
            third[k] = bell * (skew * skew - 2.0 * bell)
        else:
            y[0, k], slope[k], bend[k] = x * s, s + x * bell, bell * (2.0 + x * skew)
            third[k] = bell * (skew * (3.0 + x * skew) - 2.0 * x * bell)


@compiled()
def _combine(
    theta: np.ndarray, at: int, steps: tuple[int, int], source: np.ndarray, target: np.ndarray, length: int
) -> None:
    """target[i] ← Σ_j theta[at + i steps[0] + j steps[1]] source[j], of so many numbers of rows."""
    columns = len(source)
    for i in range(len(target)):
        row, w = target[i], at + i * steps[0]
        for c in range(length):
            row[c] = 0.0
        j = 0
        while j + 8 <= columns:  # so that a sum is read and written once for eight products
            w0, w1 = theta[w + j * steps[1]], theta[w + (j + 1) * steps[1]]
            w2, w3 = theta[w + (j + 2) * steps[1]], theta[w + (j + 3) * steps[1]]
            w4, w5 = theta[w + (j + 4) * steps[1]], theta[w + (j + 5) * steps[1]]
            w6, w7 = theta[w + (j + 6) * steps[1]], theta[w + (j + 7) * steps[1]]
            s0, s1, s2, s3 = source[j], source[j + 1], source[j + 2], source[j + 3]
            s4, s5, s6, s7 = source[j + 4], source[j + 5], source[j + 6], source[j + 7]
            for c in range(length):
                more = w0 * s0[c] + w1 * s1[c] + w2 * s2[c] + w3 * s3[c]
                row[c] += more + (w4 * s4[c] + w5 * s5[c] + w6 * s6[c] + w7 * s7[c])
            j += 8
        while j + 2 <= columns:
            w0, w1 = theta[w + j * steps[1]], theta[w + (j + 1) * steps[1]]
            s0, s1 = source[j], source[j + 1]
            for c in range(length):
                row[c] += w0 * s0[c] + w1 * s1[c]
            j += 2
        if j < columns:
            w0, s0 = theta[w + j * steps[1]], source[j]
            for c in range(length):
                row[c] += w0 * s0[c]


@compiled(fastmath={"contract", "nsz", "reassoc"})
def _outer(left: np.ndarray, right: np.ndarray, gradient: np.ndarray, at: int) -> None:
    """gradient[at + i n + j] += left[i] · right[j], n rows on the right; sums in any order."""
    m, n = len(left), len(right)
    for i in range(0, m, 2):
        other = min(i + 1, m - 1)
        p, q, here = left[i], left[other], 1.0 if other > i else 0.0
        j = 0
        while j + 4 <= n:
            s0, s1, s2, s3 = right[j], right[j + 1], right[j + 2], right[j + 3]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
            for c in range(len(p)):
                a0 += p[c] * s0[c]
                a1 += p[c] * s1[c]
                a2 += p[c] * s2[c]
                a3 += p[c] * s3[c]
                b0 += q[c] * s0[c]
                b1 += q[c] * s1[c]
                b2 += q[c] * s2[c]
                b3 += q[c] * s3[c]
            for k, (a, b) in enumerate(((a0, b0), (a1, b1), (a2, b2), (a3, b3))):
                gradient[at + i * n + j + k] += a
                gradient[at + other * n + j + k] += here * b
            j += 4
        while j < n:
            s0, a0, b0 = right[j], 0.0, 0.0
            for c in range(len(p)):
                a0 += p[c] * s0[c]
                b0 += q[c] * s0[c]
            gradient[at + i * n + j] += a0
            gradient[at + other * n + j] += here * b0
            j += 1


@compiled()
def _bend(
    kind: int,
    z: np.ndarray,
    s: np.ndarray,
    slope: np.ndarray,
    bend: np.ndarray,
    third: np.ndarray,
    q: np.ndarray,
) -> None:
    """s (n, a + 2, WIDTH) of z, and σ', σ'', σ''' (n, WIDTH)."""
    last = z.shape[1] - 1
    for i in range(len(z)):
        if kind == 1:
            _tanh(z[i], s[i], slope[i], bend[i], third[i])
        else:
            _others(kind, z[i], s[i], slope[i], bend[i], third[i])
        for k in range(WIDTH):
            q[k] = 0.0
        for r in range(1, last):
            for k in range(WIDTH):
                s[i, r, k] = slope[i, k] * z[i, r, k]
                q[k] += z[i, r, k] * z[i, r, k]
        for k in range(WIDTH):
            s[i, last, k] = slope[i, k] * z[i, last, k] + bend[i, k] * q[k]


@compiled()
def _bend_back(
    z: np.ndarray,
    slope: np.ndarray,
    bend: np.ndarray,
    third: np.ndarray,
    s_bar: np.ndarray,
    z_bar: np.ndarray,
    w: np.ndarray,
) -> None:
    """z̄ of s̄, both (n, a + 2, WIDTH)."""
    last = z.shape[1] - 1
    for i in range(len(z)):
        for k in range(WIDTH):
            w[k] = 0.0
            w[WIDTH + k] = z[i, last, k] * s_bar[i, last, k]
            w[2 * WIDTH + k] = 2.0 * bend[i, k] * s_bar[i, last, k]
            z_bar[i, last, k] = slope[i, k] * s_bar[i, last, k]
        for r in range(1, last):
            for k in range(WIDTH):
                w[k] += z[i, r, k] * z[i, r, k]
                w[WIDTH + k] += z[i, r, k] * s_bar[i, r, k]
                z_bar[i, r, k] = slope[i, k] * s_bar[i, r, k] + w[2 * WIDTH + k] * z[i, r, k]
        for k in range(WIDTH):
            curved = bend[i, k] * w[WIDTH + k] + third[i, k] * w[k] * s_bar[i, last, k]
            z_bar[i, 0, k] = slope[i, k] * s_bar[i, 0, k] + curved


@compiled()
def _carry(
    theta: np.ndarray,
    sizes: np.ndarray,
    kinds: np.ndarray,
    x: np.ndarray,
    s: np.ndarray,
    z: np.ndarray,
    curves: tuple[np.ndarray, np.ndarray, np.ndarray],
    q: np.ndarray,
) -> None:
    """Fill s (layers + 1, widest, a + 2, WIDTH), z and σ', σ'', σ''' of all layers for x (a, WIDTH)."""
    rows, last, at = s.shape[2] * WIDTH, s.shape[2] - 1, 0
    s_rows, z_rows = s.reshape(len(s), s.shape[1], rows), z.reshape(len(z), z.shape[1], rows)
    for layer in range(len(kinds)):
        m, n = sizes[layer], sizes[layer + 1]
        if layer:
            _combine(theta, at, (m, 1), s_rows[layer][:m], z_rows[layer][:n], rows)
        else:
            _combine(theta, at, (m, 1), x, z_rows[0][:n], WIDTH)
            for i in range(n):
                for r in range(1, last):
                    for k in range(WIDTH):
                        z[0, i, r, k] = theta[i * m + r - 1]
                for k in range(WIDTH):
                    z[0, i, last, k] = 0.0
        at += m * n
        for i in range(n):
            for k in range(WIDTH):
                z[layer, i, 0, k] += theta[at + i]
        at += n
        if kinds[layer]:
            slope, bend, third = curves[0][layer], curves[1][layer], curves[2][layer]
            _bend(kinds[layer], z[layer][:n], s[layer + 1][:n], slope, bend, third, q)
        else:
            s_rows[layer + 1][:n] = z_rows[layer][:n]


@compiled()
def _carry_back(
    theta: np.ndarray,
    sizes: np.ndarray,
    kinds: np.ndarray,
    x: np.ndarray,
    s: np.ndarray,
    z: np.ndarray,
    curves: tuple[np.ndarray, np.ndarray, np.ndarray],
    bars: tuple[np.ndarray, np.ndarray],
    w: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Add to the parameters' gradient what s̄ of the last layer, bars[0], asks; bars[1] ← z̄ of the first."""
    s_bar, z_bar = bars
    rows, last, at = s.shape[2] * WIDTH, s.shape[2] - 1, len(theta)
    s_rows, bar_rows = s.reshape(len(s), s.shape[1], rows), z_bar.reshape(len(z_bar), rows)
    for layer in range(len(kinds) - 1, -1, -1):
        m, n = sizes[layer], sizes[layer + 1]
        if kinds[layer]:
            slope, bend, third = curves[0][layer], curves[1][layer], curves[2][layer]
            _bend_back(z[layer][:n], slope, bend, third, s_bar, z_bar, w)
        else:
            z_bar[:n] = s_bar[:n]
        at -= n
        for i in range(n):
            for k in range(WIDTH):
                gradient[at + i] += z_bar[i, 0, k]
        at -= m * n
        if layer:
            _outer(bar_rows[:n], s_rows[layer][:m], gradient, at)
            _combine(theta, at, (1, m), bar_rows[:n], s_bar.reshape(len(s_bar), rows)[:m], rows)
        else:
            for i in range(n):
                for r in range(1, last):
                    for k in range(WIDTH):
                        gradient[i * m + r - 1] += z_bar[i, 0, k] * x[r - 1, k] + z_bar[i, r, k]


@compiled()
def _workspace(sizes: np.ndarray) -> tuple:  # type: ignore[type-arg]
    """s, z and σ', σ'', σ''' of one block, and scratch."""
    layers, widest, rows = len(sizes) - 1, sizes[1:].max(), sizes[0] + 2
    s, z = np.empty((layers + 1, widest, rows, WIDTH)), np.empty((layers, widest, rows, WIDTH))
    shape = (layers, widest, WIDTH)
    return s, z, (np.empty(shape), np.empty(shape), np.empty(shape)), np.empty(3 * WIDTH)


@compiled()
def _forward(
    theta: np.ndarray,
    sizes: np.ndarray,
    kinds: np.ndarray,
    points: np.ndarray,
    value: np.ndarray,
    first: np.ndarray,
    laplacian: np.ndarray,
) -> None:
    """Fill value (b, k), first (b, k, a) and laplacian (b, k)."""
    s, z, curves, w = _workspace(sizes)
    b, a = points.shape
    x = np.empty((a, WIDTH))
    for start in range(0, b, WIDTH):
        for k in range(WIDTH):
            for r in range(a):
                x[r, k] = points[min(start + k, b - 1), r]  # the last block repeats its last point
        _carry(theta, sizes, kinds, x, s, z, curves, w)
        for k in range(min(WIDTH, b - start)):
            for i in range(value.shape[1]):
                value[start + k, i], laplacian[start + k, i] = s[-1, i, 0, k], s[-1, i, a + 1, k]
                for r in range(a):
                    first[start + k, i, r] = s[-1, i, r + 1, k]


@compiled()
def _backward(
    theta: np.ndarray,
    sizes: np.ndarray,
    kinds: np.ndarray,
    points: np.ndarray,
    value: np.ndarray,
    first: np.ndarray,
    laplacian: np.ndarray,
    gradient: np.ndarray,
    pull: np.ndarray,
) -> None:
    """gradient (p,) and pull (b, a): what the adjoints ask of parameters and points."""
    s, z, curves, w = _workspace(sizes)
    bars = np.empty_like(z[0]), np.empty_like(z[0])
    b, a = points.shape
    x = np.empty((a, WIDTH))
    for start in range(0, b, WIDTH):
        for k in range(WIDTH):
            there, at = 1.0 if start + k < b else 0.0, min(start + k, b - 1)
            for r in range(a):
                x[r, k] = points[at, r]
            for i in range(value.shape[1]):
                bars[0][i, 0, k], bars[0][i, a + 1, k] = there * value[at, i], there * laplacian[at, i]
                for r in range(a):
                    bars[0][i, r + 1, k] = there * first[at, i, r]
        _carry(theta, sizes, kinds, x, s, z, curves, w)
        _carry_back(theta, sizes, kinds, x, s, z, curves, bars, w, gradient)
        for k in range(min(WIDTH, b - start)):
            for r in range(a):
                for i in range(sizes[1]):
                    pull[start + k, r] += theta[i * a + r] * bars[1][i, 0, k]


def jet(
    theta: Float[np.ndarray, "p"],
    sizes: Int[np.ndarray, "layers1"],
    kinds: Int[np.ndarray, "layers"],
    points: Float[np.ndarray, "b a"],
) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b k a"], Float[np.ndarray, "b k"]]:
    """Value (b, k), gradient (b, k, a) and Laplacian (b, k) of a perceptron.

    Arguments:
        theta: weights (row by row) and biases of layer after layer, float64.
        sizes: numbers of inputs and of every layer's neurons.
        kinds: of each layer, the number in `CURVES` of what follows it.
        points: (b, a) float64.
    """
    b, a, k = len(points), sizes[0], sizes[-1]
    parts = np.empty((b, k)), np.empty((b, k, a)), np.empty((b, k))
    _forward(theta, sizes, kinds, points, *parts)
    return parts


def jet_back(
    theta: Float[np.ndarray, "p"],
    sizes: Int[np.ndarray, "layers1"],
    kinds: Int[np.ndarray, "layers"],
    points: Float[np.ndarray, "b a"],
    value: Float[np.ndarray, "b k"],
    first: Float[np.ndarray, "b k a"],
    laplacian: Float[np.ndarray, "b k"],
) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "b a"]]:
    """Gradients by theta and by the points of a sum over what `jet` gives, with these coefficients."""
    gradient, pull = np.zeros_like(theta), np.zeros_like(points)
    _backward(theta, sizes, kinds, points, value, first, laplacian, gradient, pull)
    return gradient, pull


def shape_of(
    sizes: tuple[int, ...], curves: tuple[str, ...]
) -> tuple[Int[np.ndarray, "layers1"], Int[np.ndarray, "layers"]]:
    """`sizes` and `kinds` of a perceptron as `jet` takes them, of numbers and names in `CURVES`."""
    return np.array(sizes), np.array([CURVES.index(curve) for curve in curves])
