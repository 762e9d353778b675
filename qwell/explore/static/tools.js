// Small things that the views share.

export const $ = (id) => document.getElementById(id);

export function options(select, names, chosen = undefined) {
  select.replaceChildren(...names.map((one) => {
    const [value, label] = Array.isArray(one) ? one : [one, one];
    return Object.assign(document.createElement("option"), {value, textContent: label});
  }));
  if (chosen !== undefined) select.value = chosen;
}

export function rows(table, head, lines, caption = "") {
  const cells = (kind, values) => {
    const tr = document.createElement("tr");
    tr.append(...values.map((value) => {
      const cell = document.createElement(kind);
      if (kind === "th") cell.scope = "col";
      value instanceof Node ? cell.append(value) : (cell.textContent = value);
      return cell;
    }));
    return tr;
  };
  const thead = document.createElement("thead"), tbody = document.createElement("tbody");
  thead.append(cells("th", head));
  tbody.append(...lines.map((line) => cells("td", line)));
  table.replaceChildren(thead, tbody);
  if (caption) table.setAttribute("aria-label", caption);
  return [...tbody.children];
}

export function trouble(error) {
  const place = $("trouble");
  if (error && error.name === "AbortError") return;
  place.hidden = !error;
  place.textContent = error ? error.message ?? String(error) : "";
}

// Runs the newest call, one at a time: while one is on its way, only the last of those that follow is kept.
export function newest(work) {
  let busy = false, next = null;
  return async function call(...given) {
    if (busy) { next = given; return; }
    busy = true;
    try {
      await work(...given);
    } catch (error) {
      trouble(error);
    } finally {
      busy = false;
      if (next) { const later = next; next = null; call(...later); }
    }
  };
}

export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A .npy of version 1.0: float64, C order.
export function npy(values, shape) {
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const padded = text + " ".repeat(63 - ((10 + text.length) % 64)) + "\n";
  const bytes = new Uint8Array(10 + padded.length + 8 * values.length), view = new DataView(bytes.buffer);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  view.setUint16(8, padded.length, true);
  bytes.set(new TextEncoder().encode(padded), 10);
  values.forEach((value, i) => view.setFloat64(10 + padded.length + 8 * i, value, true));
  return bytes;
}

export function word(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
