// The documents of `seewhy audit` and `seewhy repair`. Fields may be missing: documents of other versions are shown as far as they go.

export interface Effect {
  flips: number;
  interval: [number, number];
  odds: number;
  p: number;
  against: string;
  pictures: number;
}

export interface AuditFinding {
  class: number;
  label: string;
  kind?: string;
  tag: string;
  verdict?: string;
  q?: number | null;
  outside?: string;
  effects?: Record<string, Effect>;
  /** the same trials on the other model */
  against?: Record<string, Effect>;
  picture?: string;
  same_as?: number | null;
  measured?: Record<string, unknown>;
}

export interface Cluster {
  by: string;
  pictures: number;
  stability: number;
  elsewhere?: Record<string, number>;
  picture?: string;
}

export interface Group {
  class: number;
  label: string;
  group: string;
  pictures: number;
  accuracy: number | null;
  interval?: [number, number];
  behind?: number | null;
  p?: number | null;
}

export interface AuditDocument {
  model?: string;
  source?: string;
  findings?: AuditFinding[];
  accuracy?: Record<string, number>;
  evidence?: Record<string, { pictures: number; shares?: Record<string, Record<string, unknown>> }>;
  clusters?: Record<string, Cluster[]>;
  groups?: Group[];
  against?: { model?: string; accuracy?: Record<string, number> } | null;
  checked?: Record<string, number>;
  power?: Record<string, number | null>;
  skipped?: Record<string, string>;
  settings?: Record<string, unknown>;
  passes?: number;
  failed?: unknown[];
  notes?: string[];
  pictures?: Record<string, unknown>;
}

export interface RepairDocument {
  how?: string;
  model?: string;
  cues?: { label: string; kind: string; where?: string; pictures?: number; "have it"?: number; removed?: number; pasted?: number; untestable?: string }[];
  "worst group"?: { before: number | null; after: number | null };
  groups?: { label: string; cues?: number[]; pictures: number; before: number | null; after: number | null }[];
  details?: Record<string, unknown>;
  audit?: AuditDocument | null;
  failed?: unknown[];
  notes?: string[];
  pictures?: Record<string, unknown>;
}

/** The address of a picture that a document names. */
export function picture(document: { pictures?: Record<string, unknown> }, name: string | undefined): string | null {
  const found = name ? document.pictures?.[name] : undefined;
  return typeof found === "string" ? found : null;
}
