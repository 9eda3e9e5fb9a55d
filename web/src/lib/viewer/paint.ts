// One picture of a viewer: photo, what the model does not see greyed, map, crosshair.
import type { Quad } from "../types";
import { type Frame, pixel } from "./geometry";

export interface Picture {
  photo: CanvasImageSource | null;
  /** what the model sees, if it is known */
  window: Quad | null;
  /** the coloured map, which lies in the window */
  map: HTMLCanvasElement | null;
  opacity: number;
  mode: "overlay" | "map" | "photo";
  /** no answer: the photo in grey */
  dull: boolean;
  cross: { x: number; y: number } | null;
  /** the ground that shows through, and the veil over what is not seen */
  ground: string;
}

export function paint(context: CanvasRenderingContext2D, frame: Frame, picture: Picture): void {
  const { width, height } = context.canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const alone = picture.mode === "map" && picture.map !== null;
  if (picture.photo && !alone) {
    // a little less colour where a map lies over it, so that what is colourful is evidence
    context.filter = picture.dull ? "grayscale(1) opacity(0.45)" : picture.map ? "saturate(0.7) brightness(0.95)" : "none";
    context.drawImage(picture.photo, frame.left, frame.top, frame.width, frame.height);
    context.filter = "none";
  }
  const inside = picture.window && box(frame, picture.window);
  if (inside && !alone) veil(context, frame, inside, picture.ground);
  if (inside && picture.map && picture.mode !== "photo") {
    context.globalAlpha = alone ? 1 : picture.opacity;
    context.drawImage(picture.map, ...inside);
    context.globalAlpha = 1;
  }
  if (picture.cross) crosshair(context, ...pixel(frame, picture.cross.x, picture.cross.y));
}

function box(frame: Frame, window: Quad): [number, number, number, number] {
  const [left, top] = pixel(frame, window[0], window[1]);
  const [right, bottom] = pixel(frame, window[2], window[3]);
  return [left, top, right - left, bottom - top];
}

/** Greys the photo outside of what the model sees. */
function veil(context: CanvasRenderingContext2D, frame: Frame, inside: [number, number, number, number], ground: string): void {
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.width, frame.height);
  context.rect(...inside);
  context.clip("evenodd");
  context.globalAlpha = 0.72;
  context.fillStyle = ground;
  context.fillRect(frame.left, frame.top, frame.width, frame.height);
  context.restore();
}

/** Dark with a light edge, so that it is seen on any colour; open in the middle, so that it hides nothing. */
function crosshair(context: CanvasRenderingContext2D, x: number, y: number): void {
  const { width, height } = context.canvas;
  const gap = 6 * devicePixelRatio;
  for (const [colour, thick] of [["rgb(255 255 255 / 0.8)", 3], ["rgb(0 0 0 / 0.85)", 1]] as const) {
    context.strokeStyle = colour;
    context.lineWidth = thick * devicePixelRatio;
    context.beginPath();
    for (const [fromX, fromY, toX, toY] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]] as const) {
      context.moveTo(fromX, fromY);
      context.lineTo(toX, toY);
    }
    context.stroke();
  }
}
