// What is on the screen, as one thing that the address holds: `#/look?photo=...`. Whoever opens the address sees the same.
import type { Shape } from "../types";
import { Drawing, OPACITY } from "../viewer/drawing.svelte";
import { packed, unpacked } from "./shapes";

export const TABS = ["look", "ask", "trust", "data", "hand"] as const;
export type Tab = (typeof TABS)[number];
export const SUBS = ["rows", "audit", "repair"] as const;
export type Sub = (typeof SUBS)[number];

const share = (text: string | null, otherwise: number): number => {
  const value = text === null ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : otherwise;
};
const index = (text: string | null): number | null => (text !== null && /^\d+$/.test(text) ? Number(text) : null);
const list = (text: string | null): string[] => (text ? text.split(",").filter(Boolean) : []);

class View extends Drawing {
  tab = $state<Tab>("look");
  photo = $state("");
  methods = $state<string[]>([]);
  target = $state<number | null>(null);
  against = $state<number | null>(null);
  layer = $state<string | null>(null);
  /** layers whose feature maps are shown */
  sheets = $state<string[]>([]);
  parameters = $state<Record<string, Record<string, unknown>>>({});
  fill = $state("");
  // many points, always replaced as a whole
  shapes = $state.raw<Shape[]>([]);
  patch = $state<{ photo: string; x: number; y: number } | null>(null);
  /** the method of the trust card */
  judged = $state("");
  sub = $state<Sub>("rows");
  /** filters and order of the rows of a run, by the server's names */
  rows = $state<Record<string, string>>({});
  /** the row that is open */
  row = $state<number | null>(null);

  /** the view as the part of the address after the # */
  get hash(): string {
    const said = new URLSearchParams();
    const put = (name: string, value: string, otherwise = ""): void => {
      if (value !== otherwise) said.set(name, value);
    };
    if (this.tab === "data") {
      put("part", this.sub, "rows");
      put("row", String(this.row ?? ""));
      for (const [name, value] of Object.entries(this.rows)) put(`rows.${name}`, value);
    }
    put("photo", this.photo);
    put("methods", this.methods.join(","));
    put("target", String(this.target ?? ""));
    put("against", String(this.against ?? ""));
    put("layer", this.layer ?? "");
    put("features", this.sheets.join(","));
    put("set", Object.keys(this.parameters).length ? JSON.stringify(this.parameters) : "");
    put("opacity", String(this.opacity), String(OPACITY));
    put("threshold", String(this.threshold), "0");
    put("scale", this.scaling, "own");
    put("show", this.mode, "overlay");
    const sight = this.linked.sight;
    if (sight.zoom > 1) put("zoom", [sight.zoom.toFixed(2), sight.x.toFixed(3), sight.y.toFixed(3)].join(","));
    if (this.tab === "ask") {
      put("fill", this.fill);
      put("shapes", packed(this.shapes));
      if (this.fill === "patch" && this.patch) put("patch", [this.patch.x.toFixed(3), this.patch.y.toFixed(3), this.patch.photo].join(","));
    }
    if (this.tab === "trust") put("judged", this.judged);
    const fields = said.toString().replaceAll("%2C", ",");
    return `#/${this.tab}${fields ? `?${fields}` : ""}`;
  }

  /** Takes over what an address says; what it does not say is as at the start. */
  read(hash: string): void {
    const [path = "", fields = ""] = hash.replace(/^#\/?/, "").split("?");
    const said = new URLSearchParams(fields);
    this.tab = TABS.find((tab) => tab === path) ?? "look";
    this.sub = SUBS.find((sub) => sub === said.get("part")) ?? "rows";
    this.row = index(said.get("row"));
    this.rows = Object.fromEntries([...said].filter(([name, value]) => name.startsWith("rows.") && value).map(([name, value]) => [name.slice(5), value]));
    this.photo = said.get("photo") ?? "";
    this.methods = list(said.get("methods"));
    this.target = index(said.get("target"));
    this.against = index(said.get("against"));
    this.layer = said.get("layer") || null;
    this.sheets = list(said.get("features"));
    this.parameters = settings(said.get("set"));
    this.opacity = share(said.get("opacity"), OPACITY);
    this.threshold = share(said.get("threshold"), 0);
    this.scaling = said.get("scale") === "shared" ? "shared" : "own";
    const mode = said.get("show");
    this.mode = mode === "map" || mode === "photo" ? mode : "overlay";
    const [zoom, x, y] = list(said.get("zoom")).map(Number);
    this.linked.sight = { zoom: zoom && zoom > 1 ? Math.min(zoom, 32) : 1, x: share(String(x), 0.5), y: share(String(y), 0.5) };
    this.fill = said.get("fill") ?? "";
    this.shapes = unpacked(said.get("shapes") ?? "");
    const [left, top, ...photo] = (said.get("patch") ?? "").split(",");
    this.patch = photo.length ? { photo: photo.join(","), x: share(left ?? "", 0), y: share(top ?? "", 0) } : null;
    this.judged = said.get("judged") ?? "";
  }
}

function settings(text: string | null): Record<string, Record<string, unknown>> {
  try {
    const said: unknown = JSON.parse(text ?? "{}");
    return said && typeof said === "object" && !Array.isArray(said) ? (said as Record<string, Record<string, unknown>>) : {};
  } catch {
    return {}; // an address that somebody has shortened
  }
}

export const view = new View();
