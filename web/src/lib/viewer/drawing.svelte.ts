// How maps are drawn; nothing of it is computed anew.
import { Linked } from "./linked.svelte";

export type Mode = "overlay" | "map" | "photo";
export type Scaling = "own" | "shared";

/** of the strongest evidence, as in the pictures that seewhy writes */
export const OPACITY = 0.88;

export class Drawing {
  opacity = $state(OPACITY);
  /** the share of the scale under which values are not drawn */
  threshold = $state(0);
  scaling = $state<Scaling>("own");
  mode = $state<Mode>("overlay");
  /** crosshair and sight of all viewers side by side */
  readonly linked = new Linked();
}

/** Magnitudes are comparable where units are the same: one scale for each unit. */
export function shared(results: readonly { map?: { scale: number } | null; map_unit?: string }[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const { map, map_unit = "" } of results) if (map) most.set(map_unit, Math.max(most.get(map_unit) ?? 0, map.scale));
  return most;
}
