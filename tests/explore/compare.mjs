// Levels, densities and predictions of potentials by the page's own modules: node compare.mjs FOLDER < potentials.json
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const at = (name) => pathToFileURL(`${process.argv[2]}/${name}`).href;
const {eigenstates, HamiltonianNetwork} = await import(at("physics.js"));
const {COVERAGES, Calibration, UNLIKE} = await import(at("calibration.js"));
const {formula} = await import(at("formula.js"));
const file = JSON.parse(readFileSync(`${process.argv[2]}/networks.json`));
const {potentials, network, formulas, few} = JSON.parse(readFileSync(0));
const net = new HamiltonianNetwork(file[network]);
const calibration = new Calibration(file[network].calibration);
const clock = performance.now();
const answers = potentials.map((v) => [eigenstates(v, 10), net.answer(v)]);
const milliseconds = (performance.now() - clock) / potentials.length;
const x = potentials[0].map((_, i) => -1 + (2 * i) / (potentials[0].length - 1));
const values = formulas.map((text) => {
  try { const parsed = formula(text, ["x", "sigma", "pi"]); return x.map((one) => parsed({x: one, sigma: 100, pi: Math.PI})); } catch (error) { return error.message; }
});
console.log(JSON.stringify({
  milliseconds,
  energy: answers.map(([exact]) => exact.energy),
  predicted: answers.map(([, said]) => said.energy),
  wave: answers.slice(0, few).map(([exact]) => [...exact.wave]),
  density: answers.slice(0, few).map(([, said]) => [...said.density]),
  coverages: COVERAGES,
  unlike: UNLIKE,
  p_value: potentials.map((v) => calibration.pValue(v)),
  half_width: COVERAGES.map((coverage) => potentials.map((v, k) => calibration.halfWidths(v, answers[k][1].energy, coverage))),
  values,
}));
