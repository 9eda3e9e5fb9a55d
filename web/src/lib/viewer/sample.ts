// The value of a map at a place of the photo.
import type { Quad } from "../types";
import type { Values } from "../values";

/** The number at the place, or null outside what the model sees. */
export function sample(values: Values, window: Quad, x: number, y: number): number | null {
  const column = Math.floor(((x - window[0]) / (window[2] - window[0])) * values.width);
  const row = Math.floor(((y - window[1]) / (window[3] - window[1])) * values.height);
  if (column < 0 || row < 0 || column >= values.width || row >= values.height) return null;
  return values.data[row * values.width + column] ?? null;
}
