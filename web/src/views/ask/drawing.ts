// Pointer and keys of the painter: from movements to shapes.
import { simpler } from "../../lib/state/shapes";
import { view } from "../../lib/state/view.svelte";
import type { Quad, Shape } from "../../lib/types";
import { type Frame, place } from "../../lib/viewer/geometry";
import { tools } from "./tools.svelte";

const hold = (value: number): number => Math.min(1, Math.max(0, value));

export interface Where {
  frame(): Frame;
  at(): { x: number; y: number };
  move(x: number, y: number): void;
  leave(): void;
}

/** A square of the lens's side around a place. */
export function square(x: number, y: number, side: number, frame: Frame): Quad {
  const high = (side * frame.width) / frame.height;
  return [hold(x - side / 2), hold(y - high / 2), hold(x + side / 2), hold(y + high / 2)];
}

export function drawing(where: Where) {
  return (ground: HTMLElement): (() => void) => {
    const stop = new AbortController();
    let from: [number, number] | null = null;
    const on = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void): void =>
      ground.addEventListener(name, act, { signal: stop.signal });
    const at = (event: PointerEvent): [number, number] => {
      const box = ground.getBoundingClientRect();
      const [x, y] = place(where.frame(), event.clientX - box.left, event.clientY - box.top);
      return [hold(x), hold(y)];
    };
    const dot = (x: number, y: number): Shape => ({ kind: "stroke", points: [[x, y]], width: tools.brush, ...(tools.tool === "erase" ? { erase: true } : {}) });
    const lens = (x: number, y: number): void => void (tools.drawing = { kind: "box", box: square(x, y, tools.lens, where.frame()) });

    function keep(): void {
      const shape = tools.drawing;
      tools.drawing = null;
      from = null;
      if (!shape || (shape.kind === "box" && (shape.box[2] - shape.box[0] < 0.004 || shape.box[3] - shape.box[1] < 0.004))) return;
      tools.change([...view.shapes, shape.kind === "stroke" ? { ...shape, points: simpler(shape.points, 0.002) } : shape]);
    }

    on("pointerdown", (event) => {
      if (event.button !== 0) return;
      ground.setPointerCapture(event.pointerId);
      const [x, y] = (from = at(event));
      where.move(x, y);
      if (tools.tool === "lens") lens(x, y);
      else if (tools.tool === "box") tools.drawing = { kind: "box", box: [x, y, x, y] };
      else tools.drawing = dot(x, y);
    });
    on("pointermove", (event) => {
      const [x, y] = at(event);
      where.move(x, y);
      if (tools.tool === "lens") return lens(x, y);
      const now = tools.drawing;
      if (!from || !now) return;
      if (now.kind === "box") tools.drawing = { ...now, box: [Math.min(x, from[0]), Math.min(y, from[1]), Math.max(x, from[0]), Math.max(y, from[1])] };
      else tools.drawing = { ...now, points: [...now.points, [x, y]] };
    });
    on("pointerup", () => {
      if (tools.tool === "lens") from = null;
      else keep();
    });
    on("pointercancel", () => [tools.drawing, from] = [null, null]);
    on("pointerleave", () => {
      where.leave();
      if (tools.tool === "lens" && document.activeElement !== ground) tools.drawing = null;
    });
    on("keydown", (event) => {
      const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const move = moves[event.key];
      const { x, y } = where.at();
      if (move && !event.ctrlKey && !event.metaKey && !event.altKey) {
        const step = event.shiftKey ? 0.1 : 0.02;
        const [across, down] = [hold(x + step * move[0]), hold(y + step * move[1])];
        where.move(across, down);
        if (tools.tool === "lens") lens(across, down);
      } else if (event.key === "Enter" || event.key === " ") {
        if (tools.tool === "lens" || tools.tool === "box") tools.drawing = { kind: "box", box: square(x, y, tools.lens, where.frame()) };
        else tools.drawing = dot(x, y);
        keep();
      } else return;
      event.preventDefault();
    });
    return () => stop.abort();
  };
}
