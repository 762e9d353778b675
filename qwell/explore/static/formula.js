// Formulas that people type, parsed and walked, never executed: names, numbers, + - * / **, brackets and the
// functions below, as in qwell/physics/formula.py.

const FUNCTIONS = {sin: Math.sin, cos: Math.cos, tan: Math.tan, sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh, exp: Math.exp, log: Math.log, sqrt: Math.sqrt, abs: Math.abs, sign: Math.sign};
const LONGEST = 300;
const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/()]))/y;

export function formula(text, names) {
  if (text.length > LONGEST) throw new Error(`A formula has at most ${LONGEST} characters.`);
  const tokens = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex, found = TOKEN.exec(text);
    if (!found) throw refused(text, `${JSON.stringify(text.slice(at).trim()[0])} is not allowed in it`);
    tokens.push(found[1] !== undefined ? {number: Number(found[1])} : found[2] !== undefined ? {name: found[2]} : {sign: found[3]});
  }
  let at = 0;
  const sign = (...signs) => (signs.includes(tokens[at]?.sign) ? tokens[at++].sign : null);

  function sum() {
    let left = product();
    for (let s; (s = sign("+", "-"));) { const a = left, b = product(); left = s === "+" ? (v) => a(v) + b(v) : (v) => a(v) - b(v); }
    return left;
  }
  function product() {
    let left = unary();
    for (let s; (s = sign("*", "/"));) { const a = left, b = unary(); left = s === "*" ? (v) => a(v) * b(v) : (v) => a(v) / b(v); }
    return left;
  }
  function unary() {
    const s = sign("+", "-");
    if (!s) return power();
    const inner = unary();
    return s === "-" ? (v) => -inner(v) : inner;
  }
  function power() {
    const base = atom();
    if (!sign("**")) return base;
    const exponent = unary();
    return (v) => base(v) ** exponent(v);
  }
  function atom() {
    const token = tokens[at++];
    if (token?.number !== undefined) return () => token.number;
    if (token?.sign === "(") return closed(sum());
    if (token?.name && Object.hasOwn(FUNCTIONS, token.name) && sign("(")) {
      const inner = closed(sum()), f = FUNCTIONS[token.name];
      return (v) => f(inner(v));
    }
    if (token?.name && names.includes(token.name)) return (v) => v[token.name];
    throw refused(text, token ? `${JSON.stringify(token.name ?? token.sign)} is not expected there` : "it ends too early", names);
  }
  function closed(inner) {
    if (!sign(")")) throw refused(text, "a bracket is not closed", names);
    return inner;
  }
  const whole = sum();
  if (at < tokens.length) throw refused(text, "it goes on where it should end", names);
  return whole;
}

function refused(text, reason, names = ["x", "sigma", "pi"]) {
  return new Error(`The potential ${JSON.stringify(text)}: ${reason}; write a formula of ${names.join(", ")}, numbers, + - * / ** and ${Object.keys(FUNCTIONS).join(", ")}.`);
}
