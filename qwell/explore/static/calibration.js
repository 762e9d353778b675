// Intervals of predicted levels, and how unusual a potential is: as qwell/train/calibration.py, which says why.

export const COVERAGES = [0.5, 0.8, 0.9, 0.95, 0.99];
export const UNLIKE = 0.01; // p-value below which a potential is not like those of the training
const GROUPS = 6, TINY = 1e-12;
const ARRAYS = ["mean", "modes", "spread", "bounds", "weights", "least", "quantiles", "distances", "ranks"];

function unpacked({shape, float32}) {
  const bytes = Uint8Array.from(atob(float32), (one) => one.charCodeAt(0));
  return Object.assign(Float64Array.from(new Float32Array(bytes.buffer)), {shape});
}

// How many of the ascending values from `start`, `count` of them, are below a score, or at most that.
function place(values, start, count, score, with_equal) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1, value = values[start + middle];
    if (value < score || (with_equal && value === score)) low = middle + 1; else high = middle;
  }
  return low;
}

export class Calibration {
  constructor(stored) {
    this.count = stored.count;
    for (const name of ARRAYS) this[name] = unpacked(stored[name]);
  }

  // Along the modes in standard deviations, and the mean square of what lies outside them.
  coordinates(v) {
    const {mean, modes, spread} = this, n = v.length, rest = Float64Array.from(v, (value, m) => value - mean[m]);
    const along = new Float64Array(spread.length);
    for (let i = 0; i < along.length; i++) for (let m = 0; m < n; m++) along[i] += modes[i * n + m] * rest[m];
    for (let i = 0; i < along.length; i++) for (let m = 0; m < n; m++) rest[m] -= modes[i * n + m] * along[i];
    return {along: along.map((value, i) => value / spread[i]), outside: rest.reduce((sum, value) => sum + value * value, 0) / n};
  }

  // q_i s_i(v) of each level.
  halfWidths(v, energy, coverage) {
    const {along, outside} = this.coordinates(v), features = [], {bounds, weights, least, quantiles} = this;
    const size = Math.floor(along.length / GROUPS), longer = along.length % GROUPS;
    for (let g = 0, at = 0; g < GROUPS; g++) {
      const part = along.subarray(at, (at += size + (g < longer ? 1 : 0)));
      if (part.length) features.push(part.reduce((sum, value) => sum + value * value, 0) / part.length);
    }
    features.push(outside);
    for (let i = 1; i < energy.length; i++) features.push(Math.abs(energy[i] - energy[i - 1]) + TINY);
    const n = features.length, levels = energy.length, row = COVERAGES.indexOf(coverage);
    const seen = features.map((value, k) => Math.min(Math.max(Math.log(value + TINY), bounds[k]), bounds[n + k]));
    return energy.map((_, i) => {
      const log = seen.reduce((sum, value, k) => sum + value * weights[k * levels + i], weights[n * levels + i]);
      return quantiles[row * levels + i] * Math.max(Math.exp(log), least[i]);
    });
  }

  // How rare potentials at least as unusual as this one are.
  pValue(v) {
    const {along, outside} = this.coordinates(v), {count, distances, ranks} = this, n = ranks.length, each = [];
    [along.reduce((sum, value) => sum + value * value, 0), outside].forEach((score, k) => {
      const above = place(distances, k * n, n, score, false), below = place(distances, k * n, n, score, true);
      each.push(above ? ranks[above - 1] - 1 : count, below < n ? count - ranks[below] : count);
    });
    return Math.min(1, (each.length * (1 + Math.min(...each))) / (1 + count));
  }
}
