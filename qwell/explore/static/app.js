// Which view is seen, and what the page starts with.

import {draw} from "./draw.js";
import {$, trouble} from "./tools.js";

const server = document.documentElement.dataset.server === "yes";
const names = ["draw", "samples", "packet", "runs"];
const begun = {}, views = {};
let seen = "draw";

async function show(name, focus = false) {
  for (const one of names) {
    const tab = $(`tab-${one}`), on = one === name;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    $(one).hidden = !on;
    if (on && focus) tab.focus();
  }
  if (seen !== name) views[seen]?.leave?.();
  seen = name;
  history.replaceState(null, "", `#${name}`);
  trouble(null);
  try {
    begun[name] ??= begin(name); // a promise: a tab that is chosen twice meanwhile begins once
    const view = (views[name] = await begun[name]);
    if (seen === name) await view.enter?.();
  } catch (error) {
    if (seen === name) trouble(error);
  }
}

async function begin(name) {
  if (name === "draw") return drawing;
  const module = await import(`./${name}.js`);
  return module.begin({hello, drawing, show});
}

function keys(event) {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key], end = {Home: 0, End: names.length - 1}[event.key];
  if (step === undefined && end === undefined) return;
  event.preventDefault();
  const shown = names.filter((one) => !$(`tab-${one}`).hidden);
  const at = end ?? (shown.indexOf(seen) + step + shown.length) % shown.length;
  show(shown[Math.min(at, shown.length - 1)], true);
}

let hello = {datasets: [], runs: 0, first: "draw", kernels: ["rbf", "m5", "m3", "exp"], coverages: []};
let engine;
if (server) {
  engine = await import("./served.js");
  try {
    hello = (await engine.ask("hello")).head;
  } catch (error) {
    trouble(error);
  }
  $("about").textContent = `qwell ${hello.version ?? ""}. Served by this machine for this machine alone.`;
} else {
  engine = await import("./local.js");
  hello.coverages = engine.coverages;
  for (const one of names.slice(1)) $(`tab-${one}`).hidden = true;
  $("about").textContent = "All of this is computed in your browser. Data sets, wave packets, proofs and runs: pip install \"qwell[explore]\", then qdata explore.";
}
const drawing = draw(engine, hello);
begun.draw = drawing;
$("tabs").addEventListener("click", (event) => event.target.role === "tab" && show(event.target.id.slice(4)));
$("tabs").addEventListener("keydown", keys);
const wanted = location.hash.slice(1);
await show(server && names.includes(wanted) ? wanted : server ? hello.first : "draw");
document.documentElement.dataset.ready = "yes";
