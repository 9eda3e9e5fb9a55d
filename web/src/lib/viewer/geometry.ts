// Where on the canvas a place of the photo is. Places are fractions of the photo's width and height; what the model sees may reach beyond it.
import type { Quad } from "../types";

/** What is looked at: how far in (1 shows all), and which place is in the middle. */
export interface Sight {
  zoom: number;
  x: number;
  y: number;
}

export interface Frame {
  /** pixels of the canvas for the photo's whole width and height */
  width: number;
  height: number;
  /** where the photo's upper left corner is */
  left: number;
  top: number;
}

/** The photo and what the model sees of it, together. */
export function extent(window: Quad | null): Quad {
  if (!window) return [0, 0, 1, 1];
  return [Math.min(0, window[0]), Math.min(0, window[1]), Math.max(1, window[2]), Math.max(1, window[3])];
}

export function frame(canvas: { width: number; height: number }, photo: { width: number; height: number }, sight: Sight, all: Quad): Frame {
  const [wide, high] = [(all[2] - all[0]) * photo.width, (all[3] - all[1]) * photo.height];
  const scale = Math.min(canvas.width / wide, canvas.height / high) * sight.zoom;
  const [width, height] = [photo.width * scale, photo.height * scale];
  // at zoom 1 the middle is that of everything, wherever the sight was
  const [x, y] = sight.zoom <= 1 ? [(all[0] + all[2]) / 2, (all[1] + all[3]) / 2] : [sight.x, sight.y];
  return { width, height, left: canvas.width / 2 - x * width, top: canvas.height / 2 - y * height };
}

export const place = (frame: Frame, x: number, y: number): [number, number] => [(x - frame.left) / frame.width, (y - frame.top) / frame.height];

export const pixel = (frame: Frame, x: number, y: number): [number, number] => [frame.left + x * frame.width, frame.top + y * frame.height];

/** As much zoom as `factor` says, the place (x, y) staying where it is. */
export function zoomed(sight: Sight, factor: number, x: number, y: number): Sight {
  const zoom = Math.min(32, Math.max(1, sight.zoom * factor));
  const kept = sight.zoom / zoom;
  if (zoom === 1) return { zoom, x: 0.5, y: 0.5 };
  return within({ zoom, x: x + (sight.x - x) * kept, y: y + (sight.y - y) * kept });
}

/** The middle never leaves the photo. */
export function within(sight: Sight): Sight {
  const hold = (value: number): number => Math.min(1, Math.max(0, value));
  return { zoom: sight.zoom, x: hold(sight.x), y: hold(sight.y) };
}
