// What the server says: /api/v1, as JSON.

export type Quad = [number, number, number, number];
export type Table = [number, number, number][];

export interface Model {
  name: string;
  spec: string;
  weights: string;
  classes: number | null;
  size: [number, number] | null;
  notes: string[];
}

export interface Colormaps {
  sequential: { name: string; table: Table };
  diverging: { name: string; table: Table };
}

export interface Session {
  version: string;
  model: Model | null;
  photos: { folder: boolean; count: number };
  run: boolean;
  audit: boolean;
  repair: boolean;
  limits: { bytes: number; pixels: number; photos: number };
  colormaps: Colormaps;
  fills: string[];
}

export interface Method {
  name: string;
  family: string;
  summary: string;
  use: string;
  caveats: string[];
  paper: string;
  formula: string;
  cost: string;
  at: string;
  positive: boolean;
  discriminative: boolean;
  allowed: boolean;
  why: string;
  parameters: Record<string, unknown>;
  excepts: Record<string, string>;
}

export interface Layer {
  name: string;
  kind: string;
  shape: number[];
  grid: [number, number] | null;
  channels: number | null;
  parameters: number;
  chosen: boolean;
}

export interface Photo {
  id: string;
  name: string;
  /** of a list these are null: they are known once the photo is read */
  width: number | null;
  height: number | null;
  window: Quad | null;
  seen: [number, number] | null;
  notes: string[];
  uploaded: boolean;
  image: string;
  thumb: string;
}

export interface ClassName {
  index: number;
  label: string;
}

export interface Answer extends ClassName {
  probability: number | null;
  score: number;
}

export interface Answers {
  top: Answer[];
  found: Answer[];
  count: number;
}

export interface Control {
  n?: number;
  least: number;
  median: number;
  most: number;
}

export interface Measure {
  value: number | null;
  unit?: string;
  rank?: number | null;
  level?: string | null;
  thresholds?: unknown;
  says?: string;
  controls?: Record<string, number | Control>;
}

export interface Trust {
  level: string;
  sentence: string;
  measures: Record<string, Measure>;
}

export interface MapOf {
  url: string;
  width: number;
  height: number;
  min: number | null;
  max: number | null;
  scale: number;
  signed: boolean;
  own?: [number, number];
}

export interface Result {
  id: string;
  photo: string;
  method: string;
  target: string | null;
  target_index: number | null;
  contrast: string | null;
  layer: string | null;
  score: number | null;
  unit: string;
  map_unit: string;
  status: { code: string; cause: string };
  positive: boolean;
  notes: string[];
  window: Quad | null;
  map: MapOf | null;
  figure: string | null;
  cost: { forwards: number; backwards: number; seconds: number } | null;
  trust: Trust | null;
  code: { python: string; shell: string } | null;
}

export interface Job {
  id: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  place: number;
  reason: string;
  results: Result[];
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
  hint?: string;
}

export type Shape = { erase?: boolean } & (
  | { kind: "stroke"; points: [number, number][]; width: number }
  | { kind: "box"; box: Quad }
);

export interface Ask {
  photo: string;
  shapes: Shape[];
  fill: string;
  patch?: { photo: string; x: number; y: number };
  classes: number[];
  picture: boolean;
  top: number;
}

export interface Said {
  score: number;
  probability: number | null;
}

export interface Change extends ClassName {
  before: Said;
  after: Said;
  drop: number;
}

export interface Intervention {
  hidden: number;
  classes: Change[];
  top_before: Answer[];
  top_after: Answer[];
  picture: string | null;
  seconds: number;
  code: { python: string } | null;
}

export interface Finding {
  id: string;
  title: string;
  note: string;
  view: string;
  made: string;
  result: Intervention | null;
}

export interface Run {
  place: string;
  source: string;
  pictures: number;
  rows: number;
  complete: boolean;
  methods: string[];
  layers: string[];
  classes: ClassName[];
  statuses: Record<string, number>;
  groups: string[];
  trusts: string[];
  sorts: string[];
  note?: string;
}

export interface Row {
  number: number;
  picture: number;
  path: string;
  truth: number | null;
  truth_label: string | null;
  prediction: number | null;
  prediction_label: string | null;
  probability: number | null;
  method: string;
  layer: string | null;
  target: string | null;
  score: number | null;
  status: string;
  reason: string;
  wrong: boolean | null;
  trust: string | null;
}

/** A row with its map, as GET /run/rows/{number} gives it. */
export type RowDetail = Row & Partial<Pick<Result, "map" | "window" | "map_unit" | "unit" | "positive" | "notes" | "figure">> & {
  /** a small picture of its photo, and the photo's id where the session has it */
  image?: string | null;
  photo?: string | null;
};
