// Shapes of the "Ask" view in an address: thousandths of the photo, `s40:120,300;130,310|b:0,0,500,500|es40:...` (e erases).
import type { Quad, Shape } from "../types";

const whole = (value: number): number => Math.round(1000 * value);

export function packed(shapes: readonly Shape[]): string {
  return shapes
    .map((shape) => {
      const erase = shape.erase ? "e" : "";
      if (shape.kind === "box") return `${erase}b:${shape.box.map(whole).join(",")}`;
      return `${erase}s${whole(shape.width)}:${shape.points.map((point) => point.map(whole).join(",")).join(";")}`;
    })
    .join("|");
}

export function unpacked(text: string): Shape[] {
  const found: Shape[] = [];
  for (const part of text.split("|")) {
    const said = /^(e?)(?:b|s(\d+)):([-\d,;]+)$/.exec(part);
    if (!said) continue;
    const points = (said[3] as string).split(";").map((point) => point.split(",").map((value) => Math.min(5, Math.max(-4, Number(value) / 1000))));
    const erase = said[1] ? { erase: true } : {};
    if (said[2] === undefined) {
      if (points[0]?.length === 4) found.push({ ...erase, kind: "box", box: points[0] as Quad });
    } else {
      const kept = points.filter((point): point is [number, number] => point.length === 2);
      if (kept.length) found.push({ ...erase, kind: "stroke", points: kept, width: Number(said[2]) / 1000 });
    }
  }
  return found;
}

/** A line with fewer points that lies within `off` of the one that was drawn (Douglas & Peucker 1973). */
export function simpler(points: [number, number][], off: number): [number, number][] {
  const first = points[0];
  const last = points.at(-1);
  if (points.length < 3 || !first || !last) return points;
  const [dx, dy] = [last[0] - first[0], last[1] - first[1]];
  const length = Math.hypot(dx, dy);
  let [farthest, at] = [0, 0];
  points.forEach(([x, y], number) => {
    const [px, py] = [x - first[0], y - first[1]];
    const far = length ? Math.abs(px * dy - py * dx) / length : Math.hypot(px, py);
    if (far > farthest) [farthest, at] = [far, number];
  });
  if (farthest <= off) return [first, last];
  return [...simpler(points.slice(0, at + 1), off).slice(0, -1), ...simpler(points.slice(at), off)];
}
