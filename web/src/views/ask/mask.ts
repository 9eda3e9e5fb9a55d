// The region that is hidden, drawn over the photo.
import type { Quad, Shape } from "../../lib/types";
import { type Frame, pixel } from "../../lib/viewer/geometry";

/** The shapes as one mask of the canvas's size, in one colour. */
export function mask(frame: Frame, width: number, height: number, shapes: readonly Shape[], colour: string): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.fillStyle = context.strokeStyle = colour;
  context.lineCap = context.lineJoin = "round";
  for (const shape of shapes) {
    context.globalCompositeOperation = shape.erase ? "destination-out" : "source-over";
    if (shape.kind === "box") {
      const [left, top] = pixel(frame, shape.box[0], shape.box[1]);
      const [right, bottom] = pixel(frame, shape.box[2], shape.box[3]);
      context.fillRect(left, top, right - left, bottom - top);
      continue;
    }
    context.lineWidth = Math.max(1, shape.width * frame.width);
    context.beginPath();
    shape.points.forEach(([x, y], at) => {
      const [across, down] = pixel(frame, x, y);
      if (at === 0) context.moveTo(across, down);
      // a line of no length has round ends: a dot
      context.lineTo(across, down);
    });
    context.stroke();
  }
  return canvas;
}

/** The box around all that is hidden, as fractions of the photo; `shape` is the photo's height for a width of 1. */
export function bounds(shapes: readonly Shape[], shape: number): Quad | null {
  let box: Quad | null = null;
  for (const one of shapes) {
    if (one.erase) continue;
    const around: Quad[] =
      one.kind === "box" ? [one.box] : one.points.map(([x, y]) => [x - one.width / 2, y - one.width / 2 / shape, x + one.width / 2, y + one.width / 2 / shape]);
    for (const [left, top, right, bottom] of around) {
      box = box ? [Math.min(box[0], left), Math.min(box[1], top), Math.max(box[2], right), Math.max(box[3], bottom)] : [left, top, right, bottom];
    }
  }
  return box && [Math.max(0, box[0]), Math.max(0, box[1]), Math.min(1, box[2]), Math.min(1, box[3])];
}
