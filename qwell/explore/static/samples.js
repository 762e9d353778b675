// Samples: rows of data sets, one after the other; which are in a range; how the levels lie; the card.

import {Chart, element, signed} from "./chart.js";
import {Player, densities} from "./player.js";
import {$, newest, options, trouble, word} from "./tools.js";
import {ask} from "./wire.js";

export async function begin({hello, drawing, show}) {
  const good = hello.datasets.filter((one) => !one.problem), bad = hello.datasets.filter((one) => one.problem);
  $("samples-none").hidden = good.length > 0 && bad.length === 0;
  $("samples-none").textContent = bad.map((one) => `${one.path}: ${one.problem}`).join(" ") || "No data set was opened. Make one, e.g. qdata generate --kernel m3 --n 20000 --solver lanes, and start qdata explore store.";
  $("samples-body").hidden = !good.length;
  if (!good.length) return {};
  const chart = new Chart($("samples-plot"), {xlabel: "x", ylabel: "", x: [0, 1], y: [0, 1]});
  const levels = new Chart($("samples-levels"), {xlabel: "energy  [ħ²/(m·length²)]", ylabel: "rows", x: [0, 1], y: [0, 1]});
  let about, coordinates, row, found = null, series = null;
  const player = new Player($("samples-player"), {label: "A wave packet in time", onFrame: told});
  chart.redraw = paint;
  levels.redraw = mark;

  const question = () => ({data: $("samples-data").value, split: $("samples-split").value});
  const count = () => about.rows[$("samples-split").value];
  const whole = (on) => document.querySelectorAll("#samples .main, #samples-form > :not(:first-child)").forEach((one) => { one.hidden = !on; });

  const open = newest(async () => {
    player.pause();
    about = row = series = levels.counted = null; // those of the data set before
    let answer;
    try {
      answer = await ask("about", {data: $("samples-data").value});
    } finally {
      whole(answer !== undefined); // of a damaged one there is nothing to see
    }
    about = answer.head;
    coordinates = answer.arrays;
    const splits = Object.entries(about.rows).filter(([, n]) => n > 0);
    options($("samples-split"), splits.map(([name, n]) => [name, `${name}, ${n.toLocaleString("en")} rows`]));
    options($("samples-quantity"), about.quantities);
    const counts = splits.map(([name, n]) => `${n.toLocaleString("en")} rows of ${name}`).join(", ");
    $("samples-summary").textContent = `${about.name}: ${about.kind}; ${counts}; version ${about.digest.slice(0, 12)}.`;
    $("samples-card").textContent = about.card.replace(/^---[^]*?---\n+/, ""); // without the header for catalogs
    $("samples-draw").hidden = about.kind !== "spectra";
    for (const id of ["samples-plot"]) $(id).toggleAttribute("hidden", about.kind === "trajectories");
    $("samples-player").hidden = about.kind !== "trajectories";
    $("samples-histogram").hidden = about.kind !== "spectra";
    await turned();
  });

  async function turned() {
    found = null;
    $("samples-found").textContent = "";
    $("samples-row").value = 0;
    await look();
    if (about?.kind === "spectra") await histogram();
  }

  const look = newest(async () => {
    if (!about) return;
    const at = Math.max(0, Math.min(count() - 1, Math.round(Number($("samples-row").value)) || 0));
    $("samples-row").value = at;
    $("samples-row").max = count() - 1;
    $("samples-range").textContent = found ? `one of ${found.length} rows found` : `0 to ${(count() - 1).toLocaleString("en")}`;
    const asked = question(), answer = await ask("row", {...asked, row: at});
    if (asked.data !== question().data || asked.split !== question().split) return; // another was chosen meanwhile
    row = {...answer.head, ...answer.arrays};
    trouble(null);
    const split = $("samples-split").value;
    $("samples-command").value = about.kind === "trajectories"
      ? `qdata animate ${word(about.path)} --split ${split} --row ${at}`
      : `qdata plot ${word(about.path)} --split ${split} --rows ${at}:${at + 1}`;
    if (about.kind === "trajectories") play(); else paint(true);
    mark();
  });

  function play() {
    player.reset(Array.from(coordinates.x), Array.from(row.potential), "Eₕ");
    series = {norm: row.norm, energy: row.mean_energy};
    player.append(Array.from(row.time), {exact: densities(row.psi)});
  }

  function told(at) {
    if (!series) return;
    const numbers = ["x0", "s0", "e0", "height", "width"].filter((name) => row[name] !== undefined).map((name) => `${name} ${row[name].toPrecision(3)}`);
    $("samples-status").textContent = `norm ${series.norm[at].toFixed(6)}, mean energy ${series.energy[at].toFixed(4)} Eₕ. ${numbers.join(", ")} (bohr, Eₕ).`;
  }

  function paint(told = false) {
    if (!row || about?.kind === "trajectories") return;
    const made = [], v = row.potential;
    if (about.kind === "spectra") {
      const xs = coordinates.x, e = row.energy, low = Math.min(...v, e[0]), high = Math.max(e.at(-1) * 1.1, e.at(-1) + 20);
      chart.set({xlabel: "x  [half the box]", ylabel: "energy  [ħ²/(m·length²)]", x: [xs[0], xs.at(-1)], y: [low - 0.06 * (high - low), high]});
      const gap = e.length > 1 ? (e.at(-1) - e[0]) / (e.length - 1) : 20;
      const most = row.density ? row.density.reduce((m, w) => Math.max(m, w), 0) : 1;
      e.forEach((level, i) => {
        if (row.density) {
          const n = row.density.shape[1], curve = Array.from(row.density.subarray(i * n, (i + 1) * n), (w) => level + (0.85 * gap * w) / most);
          made.push(element("path", {class: "wave", d: chart.path(xs, curve)}));
        }
        made.push(element("line", {class: "level", x1: chart.inner.left, x2: chart.inner.right, y1: chart.py(level), y2: chart.py(level)}));
      });
      made.push(element("path", {class: "potential", d: chart.path(xs, v)}));
      if (told) $("samples-status").textContent = `E = ${e.slice(0, 4).map((one) => signed(one.toFixed(2))).join(", ")} … ${signed(e.at(-1).toFixed(2))} ħ²/(m·length²)`;
    } else {
      const xs = Array.from(v, (_, i) => coordinates.cell?.[i] ?? i), all = [...v, ...row.density];
      const low = Math.min(...all, 0), high = Math.max(...all);
      chart.set({xlabel: "x at the ends of the cells  [2m/ħ² = 1]", ylabel: "V as steps, ρ dashed", x: [xs[0], xs.at(-1)], y: [low - 0.05 * (high - low), high + 0.05 * (high - low)]});
      made.push(element("path", {class: "potential", d: chart.path(xs, v, true)}), element("path", {class: "predicted", d: chart.path(xs, row.density)}));
      if (told) $("samples-status").textContent = `V from ${signed(Math.min(...v).toFixed(2))} to ${signed(Math.max(...v).toFixed(2))}; density ρ = |ψ|² from ${Math.min(...row.density).toFixed(2)} to ${Math.max(...row.density).toFixed(2)}`;
    }
    chart.inside.replaceChildren(...made);
  }

  async function histogram() {
    const asked = question(), {head, arrays} = await ask("histogram", asked);
    if (asked.data !== question().data || asked.split !== question().split) return;
    levels.counted = arrays;
    $("samples-counted").textContent = `The first ${head.looked.toLocaleString("en")} of ${head.of.toLocaleString("en")} rows: outlines of E₀ to E${"₀₁₂₃₄₅₆₇₈₉"[arrays.counts.shape[0] - 1] ?? ""}; vertical lines are the levels of this row.`;
    mark();
  }

  function mark() {
    if (about?.kind !== "spectra" || !levels.counted || !row) return;
    const {counts, edges} = levels.counted, [n, bins] = counts.shape;
    levels.set({x: [edges[0], edges.at(-1)], y: [0, 1.05 * counts.reduce((m, c) => Math.max(m, c), 1)]});
    const made = [];
    for (let i = 0; i < n; i++) {
      let path = `M${levels.px(edges[0]).toFixed(1)},${levels.py(0).toFixed(1)}`;
      for (let b = 0; b < bins; b++) path += `V${levels.py(counts[i * bins + b]).toFixed(1)}H${levels.px(edges[b + 1]).toFixed(1)}`;
      made.push(element("path", {class: "bar", d: `${path}V${levels.py(0).toFixed(1)}Z`}));
    }
    for (const e of row.energy ?? []) made.push(element("line", {class: "cursor", x1: levels.px(e), x2: levels.px(e), y1: levels.inner.top, y2: levels.inner.bottom}));
    levels.inside.replaceChildren(...made);
  }

  function step(by) {
    const at = Number($("samples-row").value);
    if (found) {
      const next = by > 0 ? found.find((one) => one > at) : found.findLast((one) => one < at);
      if (next !== undefined) $("samples-row").value = next;
    } else $("samples-row").value = at + by;
    look();
  }

  async function filter() {
    const value = (id, other) => ($(id).value === "" ? other : Number($(id).value));
    const {head} = await ask("chosen", {...question(), quantity: $("samples-quantity").value, low: value("samples-low", -1e30), high: value("samples-high", 1e30)});
    found = head.rows.length ? head.rows : null;
    const range = head.least === undefined ? "" : ` It goes from ${head.least.toPrecision(4)} to ${head.most.toPrecision(4)}.`;
    $("samples-found").textContent = `${head.count.toLocaleString("en")} of the first ${head.looked.toLocaleString("en")} rows.${range}`;
    if (found) { $("samples-row").value = found[0]; look(); }
  }

  $("samples-form").addEventListener("submit", (event) => { event.preventDefault(); look(); });
  $("samples-data").addEventListener("change", () => open());
  $("samples-split").addEventListener("change", () => turned().catch(trouble));
  $("samples-row").addEventListener("change", () => look());
  $("samples-back").addEventListener("click", () => step(-1));
  $("samples-next").addEventListener("click", () => step(1));
  $("samples-any").addEventListener("click", () => { $("samples-row").value = found ? found[Math.floor(Math.random() * found.length)] : Math.floor(Math.random() * count()); look(); });
  $("samples-filter").addEventListener("click", () => filter().catch(trouble));
  $("samples-all").addEventListener("click", () => { found = null; $("samples-found").textContent = ""; look(); });
  $("samples-draw").addEventListener("click", async () => {
    try { // the row whose number is seen, which may still be on its way
      const {arrays} = await ask("row", {...question(), row: Number($("samples-row").value)});
      await drawing.take(arrays.potential);
      show("draw");
    } catch (error) {
      trouble(error);
    }
  });
  $("samples").addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea, canvas, pre")) return;
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  const order = ["spectra", "densities", "trajectories"];
  good.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  options($("samples-data"), good.map((one) => [one.path, `${one.path} (${one.kind})`]));
  await open();
  return {leave: () => player.pause()};
}
