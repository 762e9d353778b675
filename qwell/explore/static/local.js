// Potentials, levels and networks without a server: computed here, weights from networks.json.

import {COVERAGES, Calibration, UNLIKE} from "./calibration.js";
import {formula} from "./formula.js";
import {HamiltonianNetwork, eigenstates} from "./physics.js";

export const where = "page";
export const coverages = COVERAGES;
const FINEST = 400; // intervals on which random potentials are drawn: their kernel's matrix is decomposed
let file;
const loaded = {};

const all = async () => (file ??= await (await fetch("networks.json")).json());

export async function networks() {
  return {spectra: Object.keys(await all()), dynamics: [], missing: ""};
}

export async function network(name) {
  const one = (await all())[name];
  loaded[name] ??= Object.assign(new HamiltonianNetwork(one), {calibration: new Calibration(one.calibration)});
  return {name, ...one.about, points: one.points, levels: one.levels, calibrated_by: one.calibration.count, parameters: one.kinetic.length + one.kept.length + one.folded.length};
}

export async function potential({formula: text, kernel, length, seed, mesh, sigma}) {
  if (kernel) mesh = Math.min(mesh, FINEST);
  const x = Float64Array.from({length: mesh + 1}, (_, l) => (2 * l - mesh) / mesh);
  if (kernel) return sample(kernel, x, length, seed).map((value) => value * sigma);
  const parsed = formula(text, ["x", "sigma", "pi"]), v = x.map((one) => parsed({x: one, sigma, pi: Math.PI}));
  const bad = v.findIndex((value) => !(Math.abs(value) <= 1e9));
  if (bad >= 0) throw new Error(`The potential is not finite, or beyond 1e9, at x = ${x[bad].toFixed(3)}.`);
  return v;
}

export async function solve({potential: v, levels, network: name, coverage}) {
  let clock = performance.now();
  const answer = eigenstates(v, levels);
  answer.solved_in = (performance.now() - clock) / 1000;
  if (name) {
    const net = loaded[name];
    clock = performance.now();
    const seen = v.length === net.points ? v : between(v, net.points), said = net.answer(seen);
    const exact = v.length === net.points ? answer.energy : eigenstates(seen, net.levels, false).energy;
    const p_value = net.calibration.pValue(seen), half_width = p_value < UNLIKE ? null : net.calibration.halfWidths(seen, said.energy, coverage);
    const error = said.energy.map((e, i) => e - exact[i]), resampled = v.length !== net.points;
    answer.network = {energy: said.energy, error, resampled, p_value, half_width, coverage, unlike: UNLIKE};
    answer.density = said.density;
    answer.density_x = Float64Array.from({length: net.points}, (_, i) => -1 + (2 * i) / (net.points - 1));
    answer.predicted_in = (performance.now() - clock) / 1000;
  }
  return answer;
}

function between(v, n) {
  return Float64Array.from({length: n}, (_, i) => {
    const at = (i / (n - 1)) * (v.length - 1), k = Math.min(v.length - 2, Math.floor(at));
    return v[k] + (at - k) * (v[k + 1] - v[k]);
  });
}

// Of the same kernels as Python's; the random numbers are others.
const KERNELS = {
  rbf: (u) => Math.exp(-0.5 * u * u),
  m5: (u) => (1 + Math.sqrt(5) * u + (5 * u * u) / 3) * Math.exp(-Math.sqrt(5) * u),
  m3: (u) => (1 + Math.sqrt(3) * u) * Math.exp(-Math.sqrt(3) * u),
  exp: (u) => Math.exp(-u),
};

function sample(kernel, x, length, seed) {
  const n = x.length, k = KERNELS[kernel], l = new Float64Array(n * n), z = normals(n, seed);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) { // Cholesky's factor
    let sum = k(Math.abs(x[i] - x[j]) / length) + (i === j ? 1e-9 : 0);
    for (let m = 0; m < j; m++) sum -= l[i * n + m] * l[j * n + m];
    l[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / l[j * n + j];
  }
  return x.map((_, i) => { let sum = 0; for (let j = 0; j <= i; j++) sum += l[i * n + j] * z[j]; return sum; });
}

function normals(n, seed) {
  let state = (seed + 1) * 0x9e3779b9;
  const uniform = () => { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float64Array.from({length: n}, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}
