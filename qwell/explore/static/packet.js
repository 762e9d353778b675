// Wave packet: exact and emulated evolution of a packet in a potential, played while it is computed.

import {Chart, element, signed} from "./chart.js";
import {Player, densities} from "./player.js";
import {$, newest, options, trouble, word} from "./tools.js";
import {ask, stream} from "./wire.js";

const SIDES = ["left", "inside", "right"];
const PLACES = {left: 0.08, inside: 0.45, right: 0.9}; // of their names along the curves

export async function begin({drawing}) {
  const player = new Player($("packet-player"), {label: "Wave packet, exact and emulated, over the potential", onFrame: told, onStroke: drawn});
  const chart = new Chart($("packet-sides"), {xlabel: "t  [ħ/Eₕ]", ylabel: "probability", x: [0, 40], y: [0, 1.02]});
  const frames = 400;
  let potential = null, xs = [], numbers = null, going = null, shape = null;
  chart.redraw = sides;

  const take = newest(async (question) => {
    const {head, arrays} = await ask("barrier", question);
    if (!$("packet-packet").options.length) options($("packet-packet"), head.packets);
    shape = question;
    set(Array.from(arrays.potential), Array.from(arrays.x));
    labels();
  });

  function set(v, positions = xs) {
    stop();
    [potential, xs, numbers] = [v, positions, null];
    player.reset(xs, potential, "Eₕ");
    chart.inside.replaceChildren();
    $("packet-status").textContent = "Choose a packet, then compute and play.";
    $("packet-numbers").textContent = "";
    trouble(null);
    told();
  }

  function drawn(v) { shape = null; set(v); labels(); }

  function shaped() {
    labels();
    const name = $("packet-shape").value, height = value("height"), width = value("width");
    const given = {rectangle: {height, width}, quadratic: {height, width}, triangle: {height, width}, random: {height, width, length: width / 6, seed: 1}, free: {}}[name];
    take({shape: name, numbers: given});
  }

  const value = (name) => Number($(`packet-${name}`).value);

  function labels() {
    for (const [name, unit] of [["height", "Eₕ"], ["width", "bohr"], ["x0", "bohr"], ["s0", "bohr"], ["e0", "Eₕ"]]) $(`packet-${name}-out`).textContent = `${$(`packet-${name}`).value} ${unit}`;
    const emulator = $("packet-emulator").value, form = $("packet-packet").value || "gaussian";
    const p = shape?.shape ? "" : "# without the potential seen here; a shape has a command\n";
    const given = shape?.numbers ? Object.entries(shape.numbers).map(([k, v]) => `:${k}=${v}`).join("") : "";
    const v = shape?.shape ? ` --potential ${word(shape.shape + given)}` : "";
    $("packet-command").value = `${p}qdata simulate --x0 ${value("x0")} --s0 ${value("s0")} --e0 ${value("e0")} --packet ${form}${v} --hamiltonian lattice --frames ${frames} --split test --out packet.zarr` + (emulator ? `\nqtrain rollout ${word(emulator)} --data packet.zarr --frames ${frames} --row 0` : "");
  }

  function stop() { going?.abort(); going = null; player.growing = false; }

  async function play() {
    stop();
    const mine = (going = new AbortController()), clock = performance.now();
    $("packet-status").textContent = "Computing …";
    const question = {potential, x0: value("x0"), s0: value("s0"), e0: value("e0"), packet: $("packet-packet").value, emulator: $("packet-emulator").value, frames};
    let head = null;
    try {
      for await (const one of stream("play", question, mine.signal)) {
        if (going !== mine) return;
        if (!head) {
          head = one.head;
          player.reset(xs, potential, "Eₕ");
          numbers = {exact: {}, emulated: {}, time: [], overlap: []};
          $("packet-emulated-key").hidden = head.history === null;
          chart.set({x: [0, (head.frames - 1) * head.dt]});
          continue;
        }
        gather(one.head);
        const waves = {exact: densities(one.arrays.exact)};
        if (one.arrays.emulated) waves.emulated = densities(one.arrays.emulated);
        player.growing = true;
        player.append(one.head.time, waves);
        if (!player.playing && one.head.first === 0) player.play();
        sides();
      }
      player.growing = false;
      trouble(null);
      $("packet-status").dataset.done = "yes";
      $("packet-status").textContent = `${player.times.length} frames computed in ${((performance.now() - clock) / 1000).toFixed(2)} s; energy ${head.energy.toFixed(4)} Eₕ` + (head.history > 1 ? `; the emulator begins with ${head.history} true frames.` : ".");
    } catch (error) {
      player.growing = false;
      if (error.name !== "AbortError") { $("packet-status").textContent = ""; trouble(error); }
    }
  }

  function gather(head) {
    numbers.time.push(...head.time);
    numbers.overlap.push(...(head.overlap ?? []));
    for (const which of ["exact", "emulated"]) for (const [name, values] of Object.entries(head[which] ?? {})) (numbers[which][name] ??= []).push(...values);
  }

  function sides() {
    if (!numbers) return;
    const made = [];
    for (const name of SIDES) {
      for (const [which, style] of [["exact", "line"], ["emulated", "line other"]]) {
        const values = numbers[which][name];
        if (values) made.push(element("path", {class: style, d: chart.path(numbers.time, values)}));
      }
      const at = Math.round(PLACES[name] * (numbers.time.length - 1)), value = numbers.exact[name]?.[at];
      if (value !== undefined) made.push(element("text", {class: "label", x: chart.px(numbers.time[at]), y: chart.py(value) + (value > 0.85 ? 15 : -6), "text-anchor": "middle"}, name));
    }
    const t = numbers.time[player.at];
    if (t !== undefined) made.push(element("line", {class: "cursor", x1: chart.px(t), x2: chart.px(t), y1: chart.inner.top, y2: chart.inner.bottom}));
    chart.inside.replaceChildren(...made);
  }

  function told() {
    if (!numbers) return;
    const at = player.at, say = (which) => {
      const one = numbers[which];
      if (!one.norm) return "";
      const sided = one.right ? `, left ${one.left[at].toFixed(4)}, inside ${one.inside[at].toFixed(4)}, right ${one.right[at].toFixed(4)}` : "";
      return `${which}: norm ${one.norm[at].toFixed(5)}, momentum ${signed(one.momentum[at].toFixed(3))} ħ/bohr${sided}`;
    };
    const overlap = numbers.overlap[at];
    $("packet-numbers").textContent = [say("exact"), say("emulated"), overlap === undefined ? "" : `overlap |⟨ψ̂, ψ⟩| ${overlap.toFixed(5)}`].filter(Boolean).join("; ");
    sides();
  }

  function fromDrawing() { // −1 … 1 becomes the width in the middle of the ring, the largest |V| the height
    const v = drawing.potential(), width = value("width"), height = Math.abs(value("height")) || 1, box = xs.at(-1) + xs[1];
    const most = v.reduce((m, one) => Math.max(m, Math.abs(one)), 0) || 1;
    shape = null;
    set(xs.map((x) => {
      const u = (2 * (x - box / 2)) / width;
      if (Math.abs(u) > 1) return 0;
      const at = ((u + 1) / 2) * (v.length - 1), k = Math.min(v.length - 2, Math.floor(at));
      return ((v[k] + (at - k) * (v[k + 1] - v[k])) * height) / most;
    }));
    labels();
  }

  async function emulators() {
    const {dynamics, missing} = (await ask("networks")).head;
    options($("packet-emulator"), [["", "none"], ...dynamics], dynamics.includes("emulator-unitary") ? "emulator-unitary" : "");
    if (missing) $("packet-status").textContent = missing;
    labels();
  }

  for (const name of ["height", "width"]) $(`packet-${name}`).addEventListener("input", shaped);
  $("packet-shape").addEventListener("change", shaped);
  for (const name of ["x0", "s0", "e0", "packet", "emulator"]) $(`packet-${name}`).addEventListener("input", labels);
  $("packet-use").addEventListener("click", () => take({formula: $("packet-formula").value}));
  $("packet-drawn").addEventListener("click", fromDrawing);
  $("packet-form").addEventListener("submit", (event) => { event.preventDefault(); play(); });
  await emulators();
  shaped();
  return {leave: () => player.pause()};
}
