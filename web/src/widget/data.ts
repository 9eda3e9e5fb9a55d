// What a notebook gives a widget: results with their numbers and photos in them.
import type { Colormaps, Result } from "../lib/types";
import { decoded, type Values } from "../lib/values";

export type Held = Omit<Result, "photo"> & {
  /** float32, little endian, base64 */
  values?: string | null;
  /** data: address */
  photo?: string | null;
};

export interface Data {
  photo?: string | null;
  results: Held[];
  colormaps: Colormaps;
}

export async function values(held: Held): Promise<Values> {
  if (!held.map || !held.values) throw new Error("This result holds no map.");
  const bytes = Uint8Array.from(atob(held.values), (letter) => letter.charCodeAt(0));
  return decoded(bytes.buffer, held.map.width, held.map.height);
}
