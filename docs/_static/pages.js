// Formulas by KaTeX, from this site alone; and what scrolls can be reached by keyboard.

const MARKS = /^\s*\\[([]|\\[)\]]\s*$/g; // \( … \) and \[ … \], as Sphinx writes them

function formulas() {
  for (const one of document.querySelectorAll(".math.notranslate")) {
    katex.render(one.textContent.replace(MARKS, ""), one, {displayMode: one.tagName === "DIV", strict: "ignore"});
  }
}

function reachable() {
  for (const one of document.querySelectorAll(".highlight pre, .table-wrapper, .katex-display, .math .katex")) {
    const scrolls = one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX === "auto";
    one.toggleAttribute("tabindex", scrolls);
    if (scrolls) one.tabIndex = 0;
  }
}

addEventListener("DOMContentLoaded", () => {
  if (window.katex) formulas();
  new ResizeObserver(reachable).observe(document.body);
});
