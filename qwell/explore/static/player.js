// Plays waves frame by frame on a canvas: |ψ|² over the potential, with a scrubber; keys space, ← and →.

const NAMES = {left: 50, right: 12, top: 14, bottom: 34};

export class Player {
  // place: an element; settings: label, xs (positions), draws: whether the pointer may draw, told by onStroke
  constructor(place, {label, onFrame = () => {}, onStroke = null}) {
    place.classList.add("player");
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${label}. Space plays and pauses, arrow keys go frame by frame.`);
    this.button = Object.assign(document.createElement("button"), {type: "button", textContent: "Play"});
    this.slider = Object.assign(document.createElement("input"), {type: "range", min: 0, max: 0, value: 0});
    this.slider.setAttribute("aria-label", "Frame");
    this.output = document.createElement("output");
    const bar = document.createElement("div");
    bar.className = "pair";
    bar.append(this.button, this.slider, this.output);
    place.append(this.canvas, bar);
    Object.assign(this, {onFrame, onStroke, waves: {}, times: [], potential: null, xs: [], at: 0, playing: false, top: 1});
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => { this.pause(); this.show(Number(this.slider.value)); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    if (onStroke) this.strokes();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // Begin anew with positions and a potential (values at these, and its unit).
  reset(xs, potential, units) {
    this.pause();
    Object.assign(this, {xs, potential, units, waves: {}, times: [], at: 0, top: 0});
    this.slider.max = 0;
    this.paint();
  }

  // Append frames: densities (frames of arrays) by name, "exact" and "emulated".
  append(times, waves) {
    const first = this.times.length === 0;
    this.times.push(...times);
    for (const [name, frames] of Object.entries(waves)) (this.waves[name] ??= []).push(...frames);
    if (first) this.top = 1.15 * Math.max(...this.waves.exact[0]);
    this.slider.max = this.times.length - 1;
    if (first) this.show(0);
  }

  key(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (event.key === " ") { event.preventDefault(); this.toggle(); }
    if (step) { event.preventDefault(); this.pause(); this.show(this.at + step * (event.shiftKey ? 10 : 1)); }
  }

  toggle() { this.playing ? this.pause() : this.play(); }

  play() {
    if (this.at >= this.times.length - 1) this.at = 0;
    this.playing = true;
    this.button.textContent = "Pause";
    let before = performance.now(), owed = 0;
    const next = (now) => {
      if (!this.playing) return;
      owed += (now - before) * 0.06; // 60 frames of the data a second
      before = now;
      const step = Math.floor(owed);
      owed -= step;
      if (step) this.show(Math.min(this.at + step, this.times.length - 1));
      if (this.at >= this.times.length - 1 && !this.growing) this.pause(); else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  pause() { this.playing = false; this.button.textContent = "Play"; }

  show(at) {
    this.at = Math.max(0, Math.min(at, this.times.length - 1));
    this.slider.value = this.at;
    const time = this.times[this.at];
    this.output.textContent = time === undefined ? "" : `t = ${time.toFixed(1)} ħ/Eₕ`;
    this.slider.setAttribute("aria-valuetext", this.output.textContent);
    this.paint();
    this.onFrame(this.at);
  }

  get range() { // of the potential's axis: symmetric about zero, so that both have one base line
    const most = this.potential?.reduce((m, v) => Math.max(m, Math.abs(v)), 0) || 1;
    return this.held ?? Math.max(1, 1.15 * most);
  }

  paint() {
    const canvas = this.canvas, ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !this.xs.length) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(`--${name}`);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const {left, top} = NAMES, right = width - NAMES.right, bottom = height - NAMES.bottom, middle = (top + bottom) / 2;
    const lowest = this.potential?.some((v) => v < 0), base = lowest ? middle : bottom;
    const px = (x) => left + ((x - this.xs[0]) / (this.xs.at(-1) - this.xs[0])) * (right - left), py = (v) => base - (v / this.range) * (base - top);
    this.map = {left, right, base, top};
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("muted");
    pen.strokeStyle = colour("grid");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    for (let i = 0; i <= 5; i++) {
      const x = this.xs[0] + (i / 5) * (this.xs.at(-1) - this.xs[0]);
      pen.beginPath(); pen.moveTo(px(x), top); pen.lineTo(px(x), bottom); pen.stroke();
      pen.fillText(x.toFixed(0), px(x), bottom + 15);
    }
    pen.fillText("x  [bohr]", (left + right) / 2, bottom + 30);
    pen.textAlign = "right";
    for (const v of lowest ? [-this.range, 0, this.range] : [0, this.range]) pen.fillText(v.toPrecision(2), left - 6, Math.min(bottom, Math.max(top + 4, py(v) + 4)));
    pen.textAlign = "left";
    pen.fillText(`V  [${this.units}]`, left + 6, top + 10);
    pen.strokeStyle = colour("muted");
    pen.beginPath(); pen.moveTo(left, base); pen.lineTo(right, base); pen.stroke();
    const line = (values, y, dash, name, wide, fill) => {
      pen.beginPath();
      values.forEach((v, i) => pen.lineTo(px(this.xs[i]), y(v)));
      pen.setLineDash(dash);
      pen.strokeStyle = colour(name);
      pen.lineWidth = wide;
      pen.stroke();
      pen.setLineDash([]);
      if (fill) { pen.lineTo(right, base); pen.lineTo(left, base); pen.closePath(); pen.fillStyle = colour("wave"); pen.fill(); }
    };
    if (this.potential) line(this.potential, py, [], "potential", 2.2, false);
    const wave = (v) => base - Math.min(v / (this.top || 1), 1.3) * 0.85 * (base - top);
    if (this.waves.exact?.[this.at]) line(this.waves.exact[this.at], wave, [], "exact", 1.8, true);
    if (this.waves.emulated?.[this.at]) line(this.waves.emulated[this.at], wave, [7, 4], "network", 1.8, false);
  }

  strokes() {
    let before = null;
    const value = (event) => {
      const box = this.canvas.getBoundingClientRect(), {left, right, base, top} = this.map;
      return [(event.clientX - box.left - left) / (right - left), ((base - (event.clientY - box.top)) / (base - top)) * this.range];
    };
    const draw = (event) => {
      const next = value(event), n = this.xs.length - 1, place = (x) => Math.max(0, Math.min(n, Math.round(x * n)));
      const [a, b] = [place(before[0]), place(next[0])];
      for (let i = Math.min(a, b); i <= Math.max(a, b); i++) this.potential[i] = before[1] + (a === b ? 1 : (i - a) / (b - a)) * (next[1] - before[1]);
      before = next;
      this.paint();
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button || !this.map) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.held = this.range;
      before = value(event);
      draw(event);
    });
    this.canvas.addEventListener("pointermove", (event) => before && draw(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => {
      if (!before) return;
      before = this.held = null;
      this.onStroke(this.potential);
    });
  }
}

// |ψ|² of frames of pairs (frames, points, 2), as an array a frame.
export function densities(parts) {
  const [frames, points] = parts.shape, made = [];
  for (let f = 0; f < frames; f++) {
    const row = new Float32Array(points), start = 2 * f * points;
    for (let i = 0; i < points; i++) row[i] = parts[start + 2 * i] ** 2 + parts[start + 2 * i + 1] ** 2;
    made.push(row);
  }
  return made;
}
