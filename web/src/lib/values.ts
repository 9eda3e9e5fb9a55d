// Maps as numbers: float32, little endian, row by row.
import { ask } from "./api";

export interface Values {
  data: Float32Array;
  width: number;
  height: number;
}

// Kept while the page is open, the latest sixty: moving between views asks for nothing twice.
const kept = new Map<string, Promise<Values>>();
const MOST = 60;

export function decoded(bytes: ArrayBuffer, width: number, height: number): Values {
  if (bytes.byteLength !== 4 * width * height) throw new Error(`The map holds ${bytes.byteLength} bytes, not ${4 * width * height}.`);
  const view = new DataView(bytes);
  const data = new Float32Array(width * height);
  for (let at = 0; at < data.length; at++) data[at] = view.getFloat32(4 * at, true);
  return { data, width, height };
}

export function load(url: string, width: number, height: number): Promise<Values> {
  const known = kept.get(url);
  if (known) return known;
  const made = ask(url)
    .then((reply) => reply.arrayBuffer())
    .then((bytes) => decoded(bytes, width, height));
  made.catch(() => kept.delete(url));
  kept.set(url, made);
  if (kept.size > MOST) kept.delete(kept.keys().next().value as string);
  return made;
}
