// Draw: a potential by mouse, finger, keyboard, formula or kernel; levels and wave functions follow at once.

import {Chart, element, signed, standalone} from "./chart.js";
import {$, newest, npy, options, rows, save, trouble, word} from "./tools.js";

const UNIT = "ħ²/(m·length²)";
const KEPT = "qwell-draw";
const MEASURED = "stroke to levels", SEEN = "stroke to picture"; // in the browser's own timing, for whoever measures
const PAUSE = 8; // milliseconds from one answer to the next: mice tell of up to 1,000 moves a second

export function draw(engine, hello) {
  const served = engine.where === "server";
  const state = {v: new Float64Array(101), sigma: 100, source: {formula: "200*x**2"}, answer: null, known: null, cursor: null};
  const svg = $("draw-plot");
  const chart = new Chart(svg, {xlabel: "x  [half the box]", ylabel: `energy  [${UNIT}]`, x: [-1, 1], y: [-20, 240]});
  const potential = element("path", {class: "potential"}), cursor = element("line", {class: "cursor", visibility: "hidden"});
  const under = element("g"), over = element("g");
  chart.inside.append(under, potential, over, cursor);
  chart.redraw = paint;
  let stroke = null, seed = 0;

  const x = (i) => -1 + (2 * i) / (state.v.length - 1);
  const shownLevels = () => Number($("draw-levels").value);
  const shown = () => document.querySelector("#draw-form input[name=shown]:checked").value;

  // What is asked of the engine, and what comes back.
  const solve = newest(async (since) => {
    const clock = performance.now();
    const question = {potential: Array.from(state.v), levels: 10, network: $("draw-network").value};
    if (question.network) {
      question.coverage = Number($("draw-coverage").value);
      if (served && $("draw-prove").checked) question.certify = Number($("draw-delta").value);
    }
    state.answer = await engine.solve(question);
    state.answer.of = question.potential;
    trouble(null);
    if (!stroke) fit();
    paint();
    if (since !== undefined) measured(since, clock);
    if (!stroke) settle();
  });

  function measured(since, clock) {
    const end = performance.now();
    performance.measure(MEASURED, {start: since, end, detail: {work: end - clock}});
    requestAnimationFrame(() => { // the picture with these levels is made after this, and then comes the message
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => { performance.measure(SEEN, {start: since, end: performance.now()}); port1.close(); };
      port2.postMessage(null);
    });
    if (performance.getEntriesByName(MEASURED).length > 5000) performance.clearMeasures();
  }

  let told = 0, waiting = null;
  function soon(since) {
    if (waiting !== null) return;
    const answer = () => { waiting = null; told = performance.now(); solve(since); };
    const pause = told + PAUSE - performance.now();
    if (pause > 0) waiting = setTimeout(answer, pause); else answer();
  }

  function fit() {
    const last = state.answer.energy[Math.min(shownLevels(), state.answer.energy.length) - 1];
    const low = Math.min(...state.v, state.answer.energy[0]), span = Math.max(last - low, 10);
    chart.set({y: [low - 0.12 * span, last + 0.3 * span]});
  }

  function paint() {
    const {answer} = state, xs = Array.from(state.v, (_, i) => x(i));
    potential.setAttribute("d", chart.path(xs, state.v));
    if (answer) { paintStates(answer); }
    cursor.setAttribute("visibility", state.cursor === null ? "hidden" : "visible");
    if (state.cursor !== null) {
      const at = chart.px(x(state.cursor)), {top, bottom} = chart.inner;
      for (const [name, value] of [["x1", at], ["x2", at], ["y1", top], ["y2", bottom]]) cursor.setAttribute(name, value);
    }
  }

  function paintStates(answer) {
    const count = Math.min(shownLevels(), answer.energy.length), points = answer.wave.shape[1];
    const square = shown() === "density", made = [], above = [], said = answer.network;
    const gap = count > 1 ? (answer.energy[count - 1] - answer.energy[0]) / (count - 1) : 20;
    const high = chart.settings.y[1] - chart.settings.y[0], size = Math.max(gap, 0.02 * high);
    const xs = Array.from({length: points}, (_, i) => -1 + (2 * i) / (points - 1));
    const values = (i) => Array.from(answer.wave.subarray(i * points, (i + 1) * points), (w) => (square ? w * w : w));
    let most = 0;
    for (let i = 0; i < count; i++) for (const w of values(i)) most = Math.max(most, Math.abs(w));
    const scale = ((square ? 0.85 : 0.5) * size) / (most || 1);
    const {left, right} = chart.inner;
    for (let i = 0; i < count; i++) {
      const e = answer.energy[i], y = chart.py(e);
      made.push(element("path", {class: "wave", d: `${chart.path(xs, values(i).map((w) => e + scale * w))}`}));
      made.push(element("line", {class: "level", x1: left, x2: right, y1: y, y2: y}));
      if (said && i < said.energy.length) {
        const f = chart.py(said.energy[i]), width = said.half_width?.[i];
        if (width) {
          const top = chart.py(said.energy[i] + width), bottom = chart.py(said.energy[i] - width);
          above.push(element("rect", {class: "interval", x: left, width: right - left, y: top, height: Math.max(bottom - top, 0.5)}));
        }
        above.push(element("line", {class: "predicted", x1: left, x2: right, y1: f, y2: f}));
        if (square) {
          const n = answer.density.shape[1], mine = answer.density.subarray(i * n, (i + 1) * n);
          const ratio = (points - 1) / (n - 1); // densities are per point: finer meshes have smaller ones
          above.push(element("path", {class: "predicted", d: chart.path(answer.density_x, Array.from(mine, (w) => e + (scale * w) / ratio))}));
        }
      }
    }
    under.replaceChildren(...made);
    over.replaceChildren(...above);
  }

  // Words and numbers, when a stroke has ended.
  function settle() {
    const {answer} = state, said = answer.network, digits = (value, n = 4) => (value ?? null) === null ? "–" : signed(value.toFixed(n));
    const head = ["level", `exact E  [${UNIT}]`];
    if (said) head.push("network f", "error f − E", "interval", ...(served ? ["proven within"] : []));
    const lines = answer.energy.map((e, i) => {
      const line = [String(i), digits(e)];
      if (said) {
        line.push(digits(said.energy[i]), said.error[i] === undefined ? "–" : `${said.error[i] < 0 ? "−" : "+"}${Math.abs(said.error[i]).toPrecision(2)}`);
        line.push(said.half_width ? `± ${said.half_width[i].toPrecision(2)}` : "–");
        if (served) line.push(said.within ? `${said.within[i]?.toPrecision(2) ?? "–"} ${said.certified[i] ? "✓ yes" : "✗ no"}` : "–");
      }
      return line;
    });
    rows($("draw-table"), head, lines, "Levels, exact and predicted");
    $("draw-status").textContent = `${place()}${answer.energy.length} levels on ${state.v.length} points, solved in ${(1000 * answer.solved_in).toFixed(2)} ms` + (said ? `; network ${(1000 * answer.predicted_in).toFixed(1)} ms` : "") + `. E₀ = ${digits(answer.energy[0])} ${UNIT}.`;
    $("draw-trust").textContent = said ? trust(said) : "";
    $("draw-network-key").hidden = !said;
    $("draw-what").textContent = shown() === "density" ? "density ψ²" : "wave function ψ";
    $("draw-network-what").textContent = shown() === "density" ? "levels, densities ∂E/∂V" : "levels";
    $("draw-command").value = command();
    const {sigma, source} = state;
    sessionStorage.setItem(KEPT, JSON.stringify({v: Array.from(state.v), sigma, source, network: $("draw-network").value}));
  }

  function trust(said) {
    const words = [];
    if (said.resampled) words.push("The network takes another mesh: it was asked about the potential between its points, and errors are those on its mesh.");
    if (said.beyond) words.push(`Beyond what it was taught: ${said.beyond}.`);
    if (said.p_value !== null && said.p_value !== undefined) {
      words.push(said.p_value < said.unlike
        ? `Unlike the training (p = ${said.p_value.toPrecision(1)}): it has no interval.`
        : `Like the training: of its potentials ${(100 * said.p_value).toPrecision(2)} % are at least so unusual (p); intervals cover ${100 * said.coverage} % of the levels of such.`);
    } else words.push("This network was not calibrated: it has no intervals.");
    if (!served) words.push("Proofs: with qdata explore.");
    if (said.why_not) words.push(said.why_not);
    return words.join(" ");
  }

  function command() {
    const network = $("draw-network").value, points = state.known?.points;
    if (!network) return "# save .npy, then\nqdata import potential.npy --levels 10 --out drawn.zarr";
    const mesh = points && points !== state.v.length ? `# set the mesh to ${points - 1},\n` : "";
    const more = served && $("draw-prove").checked ? ` --certify ${$("draw-delta").value}` : state.known?.calibrated_by ? ` --coverage ${$("draw-coverage").value}` : "";
    return `${mesh}# save .npy, then\nqtrain predict ${word(network)} --potential potential.npy${more}`;
  }

  // The potential by hand.
  function begin(event) {
    if (event.button) return;
    svg.setPointerCapture(event.pointerId);
    stroke = chart.at(event);
    move(event);
  }

  function move(event) {
    if (!stroke) return;
    for (const one of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      const next = chart.at(one);
      line(stroke, next);
      stroke = next;
    }
    potential.setAttribute("d", chart.path(Array.from(state.v, (_, i) => x(i)), state.v));
    soon(event.timeStamp);
  }

  function line([x0, y0], [x1, y1]) {
    const n = state.v.length - 1, place = (value) => Math.min(n, Math.max(0, Math.round(((value + 1) / 2) * n)));
    const [a, b] = [place(x0), place(x1)], [low, high] = chart.settings.y;
    const held = (value) => Math.min(high + (high - low), Math.max(low - (high - low), value));
    for (let i = Math.min(a, b); i <= Math.max(a, b); i++) {
      const share = a === b ? 1 : (i - a) / (b - a);
      state.v[i] = held(y0 + share * (y1 - y0));
    }
  }

  function end() {
    if (!stroke) return;
    stroke = null;
    state.source = {};
    solve();
  }

  const place = () => (state.cursor === null ? "" : `V = ${signed(state.v[state.cursor].toFixed(1))} ${UNIT} at x = ${signed(x(state.cursor).toFixed(2))}. `);

  function keys(event) {
    const n = state.v.length, at = state.cursor ?? (n - 1) >> 1, by = event.shiftKey ? 5 : 1;
    const [low, high] = chart.settings.y, lift = {ArrowUp: 1, ArrowDown: -1}[event.key];
    const to = {ArrowLeft: at - by, ArrowRight: at + by, Home: 0, End: n - 1}[event.key];
    if (lift === undefined && to === undefined) return;
    event.preventDefault();
    state.cursor = Math.min(n - 1, Math.max(0, to ?? at));
    if (lift !== undefined) {
      for (let i = 0; i < n; i++) state.v[i] += (lift * by * (high - low) / 60) * Math.exp(-(((i - state.cursor) / (0.04 * n)) ** 2));
      state.source = {};
      solve(event.timeStamp);
    } else paint();
    $("draw-status").textContent = place();
  }

  // The potential by other means.
  const take = newest(async (source) => {
    const mesh = Number($("draw-mesh").value);
    const v = Float64Array.from(await engine.potential({...source, mesh, sigma: state.sigma}));
    state.v = v;
    state.source = source;
    $("draw-mesh").value = v.length - 1;
    labels();
    await solve();
  });

  function labels() {
    $("draw-length-out").textContent = `${$("draw-length").value} half boxes`;
    $("draw-sigma-out").textContent = `${state.sigma} ${UNIT}`;
    $("draw-mesh-out").textContent = `${$("draw-mesh").value} intervals`;
    $("draw-levels-out").textContent = $("draw-levels").value;
  }

  function changed(change) {
    state.v = change(state.v);
    state.source = {};
    solve();
  }

  function resampled(v, n) {
    return Float64Array.from({length: n}, (_, i) => {
      const at = (i / (n - 1)) * (v.length - 1), k = Math.min(v.length - 2, Math.floor(at));
      return v[k] + (at - k) * (v[k + 1] - v[k]);
    });
  }

  async function choose() {
    const name = $("draw-network").value;
    $("draw-asked").hidden = !name;
    $("draw-proofs").hidden = !served;
    state.known = null;
    $("draw-about").textContent = name ? "…" : "";
    if (name) {
      try {
        state.known = await engine.network(name);
        const k = state.known, say = (value) => (typeof value === "number" ? value.toLocaleString("en") : value);
        $("draw-about").textContent = `${k.model}, ${say(k.parameters)} numbers; learned from ${say(k.n ?? "an unknown number of")} potentials of ${k.kernel ?? k.data ?? "unknown origin"}` + (k.sigma ? `, σ = ${k.sigma}, L = ${k.length}` : "") + (k.updates ? `, in ${say(k.updates)} updates` : "") + `; it takes ${k.points} points.`;
      } catch (error) {
        trouble(error);
        $("draw-network").value = "";
        $("draw-about").textContent = "";
      }
    }
    await solve();
  }

  async function list() {
    const {spectra, missing} = await engine.networks(), before = $("draw-network").value || kept.network || "";
    options($("draw-network"), [["", "none"], ...spectra], spectra.includes(before) ? before : "");
    if (missing) $("draw-about").textContent = missing;
    kept.network = "";
    if ($("draw-network").value !== (state.known?.name ?? "")) await choose();
  }

  const enter = () => { list().catch(trouble); }; // networks take a moment, and the page is ready before

  svg.addEventListener("pointerdown", begin);
  // at once where browsers tell of moves at once, else with the next picture
  svg.addEventListener("onpointerrawupdate" in svg ? "pointerrawupdate" : "pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, end);
  svg.addEventListener("keydown", keys);
  svg.addEventListener("blur", () => { state.cursor = null; paint(); });
  $("draw-form").addEventListener("submit", (event) => { event.preventDefault(); take({formula: $("draw-formula").value}); });
  $("draw-sample").addEventListener("click", () => take({kernel: $("draw-kernel").value, length: Number($("draw-length").value), seed: seed++}));
  $("draw-kernel").addEventListener("change", () => state.source.kernel && take({...state.source, kernel: $("draw-kernel").value}));
  $("draw-length").addEventListener("input", () => { labels(); if (state.source.kernel) take({...state.source, length: Number($("draw-length").value)}); });
  $("draw-sigma").addEventListener("input", () => {
    const before = state.sigma;
    state.sigma = Number($("draw-sigma").value);
    labels();
    if (state.source.formula && /\bsigma\b/.test(state.source.formula)) return take(state.source);
    if (state.source.formula) state.source = {}; // scaled, it is that formula no more
    state.v = state.v.map((value) => (value * state.sigma) / before);
    return solve();
  });
  $("draw-mesh").addEventListener("input", () => {
    labels();
    if (state.source.formula) take(state.source);
    else { state.v = resampled(state.v, Number($("draw-mesh").value) + 1); solve(); }
  });
  $("draw-levels").addEventListener("input", () => { labels(); if (state.answer) { fit(); paint(); settle(); } });
  for (const one of document.querySelectorAll("#draw-form input[name=shown]")) one.addEventListener("change", () => { paint(); settle(); });
  $("draw-smooth").addEventListener("click", () => changed((v) => v.map((_, i) => (v[Math.max(i - 1, 0)] + 2 * v[i] + v[Math.min(i + 1, v.length - 1)]) / 4)));
  $("draw-flat").addEventListener("click", () => changed((v) => v.map(() => 0)));
  $("draw-mirror").addEventListener("click", () => changed((v) => v.toReversed()));
  $("draw-network").addEventListener("change", choose);
  for (const id of ["draw-coverage", "draw-prove", "draw-delta"]) $(id).addEventListener("change", () => solve());
  $("draw-npy").addEventListener("click", () => save("potential.npy", npy(state.v, [1, state.v.length]), "application/octet-stream"));
  $("draw-csv").addEventListener("click", () => save("potential.csv", `${Array.from(state.v).join(",")}\n`, "text/csv"));
  $("draw-svg").addEventListener("click", () => save("potential.svg", standalone(svg), "image/svg+xml"));
  options($("draw-kernel"), hello.kernels, hello.kernels.includes("m3") ? "m3" : undefined);
  options($("draw-coverage"), hello.coverages.map((c) => [c, `${100 * c} %`]), "0.9");
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  if (kept.v) {
    state.v = Float64Array.from(kept.v);
    state.source = kept.source;
    state.sigma = kept.sigma;
    $("draw-sigma").value = kept.sigma;
    $("draw-mesh").value = kept.v.length - 1;
    solve();
  } else take(state.source);
  labels();

  return {
    enter,
    potential: () => state.v,
    take: (v) => { state.v = Float64Array.from(v); state.source = {}; $("draw-mesh").value = v.length - 1; labels(); return solve(); },
  };
}
