// Numbers as people read them.

/** Three significant digits, with a true minus sign; nothing for what a document does not have. */
export function number(value: number | null | undefined): string {
  if (value === undefined) return "";
  if (value === null) return "none";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "infinity" : "\u2212infinity";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 100_000) ? size.toExponential(2) : String(Number(size.toPrecision(3)));
  return (value < 0 ? "\u2212" : "") + text;
}

export const signed = (value: number): string => (value > 0 ? "+" : "") + number(value);

export function percent(share: number | null | undefined): string {
  if (share === undefined) return "";
  if (share === null) return "none";
  const points = 100 * share;
  return `${points !== 0 && Math.abs(points) < 9.95 ? number(Number(points.toFixed(1))) : number(Math.round(points))}%`;
}

export const count = (value: number): string => value.toLocaleString("en");

export function duration(seconds: number): string {
  return seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${number(seconds)} s`;
}
