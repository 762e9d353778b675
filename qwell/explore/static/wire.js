// How the page asks the server: questions are JSON, answers a head of JSON and arrays of float32 (see wire.py).

export class Refused extends Error {}

function message(buffer, offset) {
  const view = new DataView(buffer, offset);
  const length = view.getUint32(0, true), size = view.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, offset + 8, size)));
  const arrays = {};
  let start = offset + 8 + size;
  for (const [name, shape] of head.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = Object.assign(new Float32Array(buffer.slice(start, start + 4 * count)), {shape});
    start += 4 * count;
  }
  if (head.error) throw new Refused(head.error);
  return {head, arrays, next: offset + 4 + length};
}

async function post(name, question, signal) {
  let answer;
  try {
    answer = await fetch(`api/${name}`, {method: "POST", body: JSON.stringify(question), signal});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer: start it again, and open the address that it prints.");
  }
  if (!answer.ok) throw new Refused(`The server refused: ${(await answer.text()).slice(0, 200)}`);
  return answer;
}

export async function ask(name, question = {}, signal = undefined) {
  return message(await (await post(name, question, signal)).arrayBuffer(), 0);
}

export async function picture(name, question) {
  return URL.createObjectURL(await (await post(name, question)).blob());
}

// Messages one after the other, as they arrive.
export async function* stream(name, question, signal) {
  const reader = (await post(name, question, signal)).body.getReader();
  let kept = new Uint8Array(0);
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const joined = new Uint8Array(kept.length + value.length);
    joined.set(kept);
    joined.set(value, kept.length);
    kept = joined;
    while (kept.length >= 4) {
      const length = 4 + new DataView(kept.buffer, kept.byteOffset).getUint32(0, true);
      if (kept.length < length) break;
      yield message(kept.slice(0, length).buffer, 0);
      kept = kept.slice(length);
    }
  }
}
