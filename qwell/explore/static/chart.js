// Axes and lines in SVG. A Chart knows its ranges and turns values into places and back.

const NS = "http://www.w3.org/2000/svg";
const LEFT = 62, RIGHT = 20, TOP = 24, BOTTOM = 38;

export function element(name, attributes = {}, text = undefined) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export function ticks(low, high, about) {
  const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found.length > 1 || about > 20 ? found : ticks(low, high, 2 * about); // one alone gives no scale
}

function decades(low, high) {
  const found = [], every = Math.max(1, Math.ceil((Math.log10(high) - Math.log10(low)) / 7));
  for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e += every) found.push(10 ** e);
  if (found.length > 1) return found;
  const between = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) for (const m of [1, 2, 3, 5, 7]) between.push(m * 10 ** e);
  return between.filter((value) => value >= low && value <= high);
}

export const signed = (text) => text.replace("-", "−"); // a minus, and no hyphen

export function short(value) {
  if (value === 0 || value === null || value === undefined) return value === 0 ? "0" : "–";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(size >= 1e5 && Number.isInteger(value / 1e5) ? 0 : 1).replace("e+", "e");
  return signed(String(Number(value.toPrecision(4))));
}

export class Chart {
  // settings: xlabel, ylabel, x: [low, high], y: [low, high], log: whether y is logarithmic
  constructor(svg, settings) {
    this.svg = svg;
    this.settings = settings;
    this.frame = element("g");
    this.clip = element("clipPath", {id: `${svg.id}-clip`});
    this.area = element("rect");
    this.clip.append(this.area);
    this.inside = element("g", {"clip-path": `url(#${svg.id}-clip)`});
    svg.replaceChildren(this.clip, this.frame, this.inside);
    this.redraw = () => {};
    new ResizeObserver(() => this.size() && (this.axes(), this.redraw())).observe(svg);
    this.size();
    this.axes();
  }

  size() {
    const width = this.svg.clientWidth || 640, height = this.svg.clientHeight || 300;
    if (width === this.width && height === this.height) return false;
    [this.width, this.height] = [width, height];
    return true;
  }

  set(changes) {
    const before = JSON.stringify(this.settings);
    Object.assign(this.settings, changes);
    if (JSON.stringify(this.settings) !== before) this.axes();
  }

  get inner() { return {left: LEFT, right: this.width - RIGHT, top: TOP, bottom: this.height - BOTTOM}; }

  px(x) {
    const [low, high] = this.settings.x, {left, right} = this.inner;
    return left + ((x - low) / (high - low)) * (right - left);
  }

  py(y) {
    const {top, bottom} = this.inner;
    let [low, high] = this.settings.y;
    if (this.settings.log) [low, high, y] = [Math.log10(low), Math.log10(high), Math.log10(y)];
    return bottom - ((y - low) / (high - low)) * (bottom - top);
  }

  // Values at a place of the window, e.g. of a pointer.
  at(event) {
    const box = this.svg.getBoundingClientRect(), {left, right, top, bottom} = this.inner;
    const [x0, x1] = this.settings.x, [y0, y1] = this.settings.y;
    const across = (event.clientX - box.left - left) / (right - left), up = (bottom - event.clientY + box.top) / (bottom - top);
    return [x0 + across * (x1 - x0), y0 + up * (y1 - y0)];
  }

  axes() {
    const {left, right, top, bottom} = this.inner, s = this.settings, made = [];
    for (const [name, value] of [["x", left], ["y", top], ["width", Math.max(1, right - left)], ["height", Math.max(1, bottom - top)]]) this.area.setAttribute(name, value);
    for (const x of ticks(...s.x, Math.max(3, (right - left) / 110))) {
      made.push(element("line", {class: "grid", x1: this.px(x), x2: this.px(x), y1: top, y2: bottom}));
      made.push(element("text", {x: this.px(x), y: bottom + 16, "text-anchor": "middle"}, short(x)));
    }
    for (const y of s.log ? decades(...s.y) : ticks(...s.y, Math.max(3, (bottom - top) / 60))) {
      made.push(element("line", {class: "grid", x1: left, x2: right, y1: this.py(y), y2: this.py(y)}));
      made.push(element("text", {x: left - 7, y: this.py(y) + 4, "text-anchor": "end"}, s.log ? y.toExponential(0).replace("e+", "e") : short(y)));
    }
    made.push(element("line", {class: "axis", x1: left, x2: left, y1: top, y2: bottom}));
    made.push(element("line", {class: "axis", x1: left, x2: right, y1: bottom, y2: bottom}));
    made.push(element("text", {x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle"}, s.xlabel));
    made.push(element("text", {x: 4, y: 13}, s.ylabel));
    this.frame.replaceChildren(...made);
  }

  // The path of a line; values that are not finite, or not positive on a logarithmic axis, interrupt it.
  path(xs, ys, stairs = false) {
    let text = "", on = false;
    for (let i = 0; i < ys.length; i++) {
      const y = ys[i];
      if (!Number.isFinite(y) || (this.settings.log && y <= 0)) { on = false; continue; }
      const px = this.px(xs[i]).toFixed(1), py = this.py(y).toFixed(1);
      text += on ? (stairs ? `V${py}H${px}` : `L${px},${py}`) : `M${px},${py}`;
      on = true;
    }
    return text;
  }
}

// A picture of an SVG that stands alone: what the style sheet says becomes attributes.
export function standalone(svg) {
  const copy = svg.cloneNode(true), from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  const kept = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"];
  from.forEach((one, i) => {
    const style = getComputedStyle(one);
    for (const name of kept) to[i].setAttribute(name, style.getPropertyValue(name));
    to[i].removeAttribute("class");
  });
  copy.setAttribute("xmlns", NS);
  copy.setAttribute("width", svg.clientWidth);
  copy.setAttribute("height", svg.clientHeight);
  for (const name of ["role", "tabindex", "aria-label"]) copy.removeAttribute(name);
  return new XMLSerializer().serializeToString(copy);
}
