// The same physics as Python's, for a page without a server: H = −½ d²/dx² + V by second-order differences
// between walls at x = ±1 (qwell/physics/spectrum.py), and the network `hamiltonian` (qwell/models/hamiltonian.py).

// How many eigenvalues of a symmetric tridiagonal matrix lie below e: Sturm's count.
function below(e, diagonal, square) {
  let count = 0, q = 1;
  for (let i = 0; i < diagonal.length; i++) {
    q = diagonal[i] - e - (i ? square / q : 0);
    if (q === 0) q = 1e-300;
    if (q < 0) count++;
  }
  return count;
}

// The lowest eigenvalues by bisection, to rounding.
export function eigenvalues(diagonal, off, levels) {
  let low = Infinity, high = -Infinity;
  for (const d of diagonal) { low = Math.min(low, d); high = Math.max(high, d); }
  low -= 2 * Math.abs(off);
  high += 2 * Math.abs(off);
  const found = [];
  for (let k = 0; k < levels; k++) {
    let a = k ? found[k - 1] : low, b = high;
    for (let i = 0; i < 80; i++) {
      const middle = (a + b) / 2;
      if (middle <= a || middle >= b) break;
      if (below(middle, diagonal, off * off) > k) b = middle; else a = middle;
    }
    found.push((a + b) / 2);
  }
  return found;
}

// One eigenvector by inverse iteration, orthogonal to those before it that have nearly its eigenvalue.
function eigenvector(e, diagonal, off, near) {
  const n = diagonal.length, pivot = new Float64Array(n), first = new Float64Array(n), second = new Float64Array(n);
  const lower = new Float64Array(n), swapped = new Uint8Array(n), tiny = 1e-14 * Math.abs(off);
  let p = diagonal[0] - e, u = n > 1 ? off : 0;
  for (let i = 0; i < n - 1; i++) { // Gaussian elimination with partial pivoting
    const next = i + 2 < n ? off : 0;
    if (Math.abs(p) >= Math.abs(off)) {
      if (p === 0) p = tiny;
      lower[i] = off / p;
      [pivot[i], first[i], second[i]] = [p, u, 0];
      [p, u] = [diagonal[i + 1] - e - lower[i] * u, next];
    } else {
      swapped[i] = 1;
      lower[i] = p / off;
      [pivot[i], first[i], second[i]] = [off, diagonal[i + 1] - e, next];
      [p, u] = [u - lower[i] * first[i], -lower[i] * next];
    }
  }
  pivot[n - 1] = Math.abs(p) < tiny ? tiny : p;
  const y = Float64Array.from({length: n}, (_, i) => 1 + 0.3 * Math.sin(1.7 * i + 0.3));
  for (let round = 0; round < 3; round++) {
    if (round) for (let i = 0; i < n - 1; i++) {
      if (swapped[i]) [y[i], y[i + 1]] = [y[i + 1], y[i]];
      y[i + 1] -= lower[i] * y[i];
    }
    for (let i = n - 1; i >= 0; i--) y[i] = (y[i] - (i + 1 < n ? first[i] * y[i + 1] : 0) - (i + 2 < n ? second[i] * y[i + 2] : 0)) / pivot[i];
    for (const other of near) {
      const share = y.reduce((sum, value, i) => sum + value * other[i], 0);
      for (let i = 0; i < n; i++) y[i] -= share * other[i];
    }
    const norm = Math.hypot(...y);
    for (let i = 0; i < n; i++) y[i] /= norm;
  }
  return y;
}

// Energies, and wave functions (levels, points) with Σ_m ψ² = 1, signs as Python's: the first value of at least
// half the largest is positive.
export function eigenstates(potential, levels, waves = true) {
  const points = potential.length, dx = 2 / (points - 1), off = -0.5 / dx ** 2;
  const diagonal = Float64Array.from({length: points - 2}, (_, i) => potential[i + 1] + 1 / dx ** 2);
  const energy = eigenvalues(diagonal, off, Math.min(levels, points - 2));
  if (!waves) return {energy};
  const wave = new Float32Array(energy.length * points), vectors = [];
  energy.forEach((e, k) => {
    const near = vectors.filter((_, j) => e - energy[j] < 1e-3 * Math.abs(off));
    const y = eigenvector(e, diagonal, off, near);
    vectors.push(y);
    const most = y.reduce((m, value) => Math.max(m, Math.abs(value)), 0);
    const sign = Math.sign(y.find((value) => Math.abs(value) >= 0.5 * most));
    y.forEach((value, i) => { wave[k * points + i + 1] = sign * value; });
  });
  return {energy, wave: Object.assign(wave, {shape: [energy.length, points]})};
}

// All eigenvalues and eigenvectors of a symmetric matrix (n, n) by Jacobi's rotations; vectors are columns.
export function jacobi(a, n) {
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let rest = 0, all = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) { const s = a[i * n + j] ** 2; all += s; if (i !== j) rest += s; }
    if (rest <= 1e-30 * all) break;
    for (let p = 0; p < n - 1; p++) for (let q = p + 1; q < n; q++) {
      const g = a[p * n + q];
      if (Math.abs(g) < 1e-300) continue;
      const theta = (a[q * n + q] - a[p * n + p]) / (2 * g);
      const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1)), c = 1 / Math.sqrt(t * t + 1), s = t * c;
      for (let k = 0; k < n; k++) {
        const x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
      }
      for (let k = 0; k < n; k++) {
        const x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
      }
      for (let k = 0; k < n; k++) {
        const x = v[k * n + p], y = v[k * n + q];
        v[k * n + p] = c * x - s * y;
        v[k * n + q] = s * x + c * y;
      }
    }
  }
  const order = Array.from({length: n}, (_, i) => i).sort((i, j) => a[i * n + i] - a[j * n + j]);
  return {values: order.map((i) => a[i * n + i]), vectors: order.map((i) => Float64Array.from({length: n}, (_, k) => v[k * n + i]))};
}

// A network `hamiltonian`: energies λ_i(T + Φ diag(v) Φᵀ − G Gᵀ), G = Φ diag(v) Χᵀ, and densities ∂f_i/∂v_m =
// a_m² − 2 a_m (Χᵀw)_m with a = Φᵀu and w = Χ(v∘a), all with v in units of the energy scale.
export class HamiltonianNetwork {
  constructor({states, fold, points, levels, energy_scale, kinetic, kept, folded}) {
    Object.assign(this, {states, fold, points, levels, scale: energy_scale});
    [this.kinetic, this.kept, this.folded] = [kinetic, kept, folded].map((one) => Float64Array.from(Float32Array.from(one))); // they were float32
  }

  matrix(v) {
    const {states: n, fold, points, kept, folded} = this, h = new Float64Array(n * n), g = new Float64Array(n * fold);
    const row = new Float64Array(points);
    for (let i = 0; i < n; i++) {
      for (let m = 0; m < points; m++) row[m] = kept[i * points + m] * v[m];
      for (let j = 0; j <= i; j++) {
        let sum = (this.kinetic[i * n + j] + this.kinetic[j * n + i]) / 2;
        for (let m = 0; m < points; m++) sum += row[m] * kept[j * points + m];
        h[i * n + j] = sum;
      }
      for (let f = 0; f < fold; f++) {
        let sum = 0;
        for (let m = 0; m < points; m++) sum += row[m] * folded[f * points + m];
        g[i * fold + f] = sum;
      }
    }
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let f = 0; f < fold; f++) sum += g[i * fold + f] * g[j * fold + f];
      h[j * n + i] = h[i * n + j] -= sum;
    }
    return h;
  }

  // Energies and densities (levels, points) of a potential.
  answer(potential) {
    const {states: n, fold, points, levels, kept, folded, scale} = this;
    const v = Float64Array.from(potential, (value) => value / scale), {values, vectors} = jacobi(this.matrix(v), n);
    const density = new Float32Array(levels * points), a = new Float64Array(points);
    for (let k = 0; k < levels; k++) {
      a.fill(0);
      for (let i = 0; i < n; i++) for (let m = 0; m < points; m++) a[m] += vectors[k][i] * kept[i * points + m];
      const back = new Float64Array(points);
      for (let f = 0; f < fold; f++) {
        let w = 0;
        for (let m = 0; m < points; m++) w += folded[f * points + m] * v[m] * a[m];
        for (let m = 0; m < points; m++) back[m] += w * folded[f * points + m];
      }
      for (let m = 0; m < points; m++) density[k * points + m] = a[m] ** 2 - 2 * a[m] * back[m];
    }
    return {energy: values.slice(0, levels).map((e) => e * scale), density: Object.assign(density, {shape: [levels, points]})};
  }
}
