// From values to colours. A signed map takes the diverging table with 0 in its middle, any other the sequential one from 0.
import type { Colormaps, Table } from "./types";
import type { Values } from "./values";

export function table(colormaps: Colormaps, signed: boolean): Table {
  return (signed ? colormaps.diverging : colormaps.sequential).table;
}

/** The entry of the table for a value; colours end at the scale. */
export function entry(value: number, scale: number, signed: boolean, size: number): number {
  const share = scale > 0 ? value / scale : 0;
  const place = signed ? (share + 1) / 2 : share;
  return Math.round(Math.min(1, Math.max(0, place)) * (size - 1));
}

/** How far a value is on the way to the end of its colours, 0 to 1. */
function strength(value: number, scale: number, signed: boolean): number {
  return scale > 0 ? Math.min(1, Math.max(0, signed ? Math.abs(value) : value) / scale) : 0;
}

/** The map as an image of its own size; values under the threshold, and those that are no numbers, are clear. Where it
 * `grows`, colours are the denser the larger the value is, as in the pictures that seewhy writes. */
export function coloured(values: Values, colours: Table, signed: boolean, scale: number, threshold: number, grows: boolean): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = values.width;
  canvas.height = values.height;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = context.createImageData(values.width, values.height);
  const least = threshold * scale;
  for (let at = 0; at < values.data.length; at++) {
    const value = values.data[at] as number;
    if (!Number.isFinite(value) || (threshold > 0 && Math.abs(value) < least)) continue;
    image.data.set(colours[entry(value, scale, signed, colours.length)] as [number, number, number], 4 * at);
    image.data[4 * at + 3] = grows ? 255 * strength(value, scale, signed) : 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
