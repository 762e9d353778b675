// Runs: learning curves of all runs, asked for again every second while one is running.

import {Chart, element, short} from "./chart.js";
import {$, options, rows, trouble} from "./tools.js";
import {ask, picture} from "./wire.js";

const EVERY = 1000; // ms
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
const MARKS = "●■▲◆";

export async function begin() {
  const chart = new Chart($("runs-plot"), {xlabel: "updates", ylabel: "", x: [0, 1], y: [1e-3, 1], log: true});
  let listed = [], timer = null, chosen = null, hidden = new Set(), seen = false;
  chart.redraw = paint;

  async function look() {
    clearTimeout(timer);
    try {
      listed = (await ask("runs")).head.runs;
      trouble(null);
      fill();
    } catch (error) {
      trouble(error);
    }
    if (seen) timer = setTimeout(look, document.hidden ? 5 * EVERY : EVERY);
  }

  function fill() {
    $("runs-none").hidden = listed.length > 0;
    $("runs-none").textContent = "No run yet. Train one, e.g. qtrain eigen --data store/m3.zarr --model mlp --updates 5000; it appears here while it runs.";
    $("runs-body").hidden = !listed.length;
    const measures = [...new Set(listed.flatMap((one) => Object.keys(one.curves)))], before = $("runs-measure").value;
    if (measures.join() !== [...$("runs-measure").options].map((one) => one.value).join()) options($("runs-measure"), measures, measures.includes(before) ? before : measures[0]);
    table();
    paint();
    const running = listed.filter((one) => one.state === "running").length;
    $("runs-status").textContent = `${listed.length} run${listed.length === 1 ? "" : "s"}, ${running} running; asked again every second.`;
  }

  function table() {
    const held = document.activeElement?.dataset?.run && [document.activeElement.dataset.run, document.activeElement.type];
    const made = rows($("runs-table"), ["run", "shown", "command", "model", "data", "updates", "seed", "measure", "last", "best", "seconds", "state"], listed.map((one, i) => {
      const name = Object.assign(document.createElement("button"), {type: "button", textContent: `${MARKS[i % 4]} ${one.run}`});
      name.addEventListener("click", () => choose(one.run));
      const shown = Object.assign(document.createElement("input"), {type: "checkbox", checked: !hidden.has(one.run)});
      shown.setAttribute("aria-label", `Show the curve of ${one.run}`);
      shown.addEventListener("change", () => { shown.checked ? hidden.delete(one.run) : hidden.add(one.run); paint(); });
      name.dataset.run = shown.dataset.run = one.run;
      const of = one.of === null ? "" : ` of ${one.of.toLocaleString("en")}`;
      return [name, shown, one.command, one.model ?? "–", one.data ?? "–", one.updates.toLocaleString("en") + of, String(one.seed ?? "–"), one.measure ?? "–", short(one.last), short(one.best), one.seconds === null ? "–" : one.seconds.toFixed(1), one.state];
    }), "Runs");
    made.forEach((line, i) => line.setAttribute("aria-selected", listed[i].run === chosen));
    if (held) [...document.querySelectorAll("#runs-table [data-run]")].find((one) => one.dataset.run === held[0] && one.type === held[1])?.focus();
  }

  function paint() {
    const measure = $("runs-measure").value;
    const curves = listed.map((one, i) => [one, i, one.curves[measure] ?? []]).filter(([one, , pairs]) => pairs.length && !hidden.has(one.run));
    if (!curves.length) { chart.inside.replaceChildren(); return; }
    const all = curves.flatMap(([, , pairs]) => pairs), good = all.map((p) => p[1]).filter((v) => v > 0);
    const most = Math.max(...all.map((p) => p[0]), 1), low = Math.min(...good), high = Math.max(...good);
    chart.set({x: [0, most], y: good.length ? [low / 1.6, high * 1.6] : [0.1, 1], ylabel: measure});
    const made = [];
    for (const [one, i, pairs] of curves) {
      const style = ["line", "line other", "line third"][i % 3];
      made.push(element("path", {class: style, "stroke-dasharray": DASHES[i % 4], d: chart.path(pairs.map((p) => p[0]), pairs.map((p) => p[1]))}));
      const [x, y] = pairs.at(-1);
      if (y > 0) made.push(element("text", {class: "label", x: Math.min(chart.px(x), chart.inner.right - 4), y: chart.py(y) - 6, "text-anchor": "end"}, `${MARKS[i % 4]} ${one.run}`));
    }
    chart.inside.replaceChildren(...made);
  }

  async function choose(name) {
    chosen = name;
    table();
    try {
      const {head} = await ask("run", {run: name});
      $("runs-one").hidden = false;
      $("runs-name").textContent = name;
      $("runs-report").textContent = head.report || "There is no report yet.";
      $("runs-config").textContent = JSON.stringify(head.config, null, 1);
      const made = await Promise.all(head.figures.map(async (figure) => Object.assign(new Image(), {alt: `${name}: ${figure}`, src: await picture("figure", {run: name, figure})})));
      for (const before of $("runs-figures").children) URL.revokeObjectURL(before.src);
      $("runs-figures").replaceChildren(...made);
    } catch (error) {
      trouble(error);
    }
  }

  $("runs-measure").addEventListener("change", paint);
  return {
    enter: async () => { seen = true; await look(); if (!chosen && listed.length) await choose(listed[0].run); },
    leave: () => { seen = false; clearTimeout(timer); },
  };
}
