// The tools of the "Ask" view, and what has been undone.
import { view } from "../../lib/state/view.svelte";
import type { Shape } from "../../lib/types";

export type Tool = "brush" | "erase" | "box" | "lens";

class Tools {
  tool = $state<Tool>("brush");
  /** width of the brush and side of the lens, as fractions of the photo's width */
  brush = $state(0.08);
  lens = $state(0.2);
  /** the shape that is being drawn, or the lens where it is */
  drawing = $state.raw<Shape | null>(null);
  seen = $state<"beside" | "place" | "off">("beside");
  past = $state.raw<Shape[][]>([]);
  future = $state.raw<Shape[][]>([]);

  change(shapes: Shape[]): void {
    this.past = [...this.past, view.shapes];
    this.future = [];
    view.shapes = shapes;
  }

  undo(): void {
    const before = this.past.at(-1);
    if (!before) return;
    this.future = [...this.future, view.shapes];
    this.past = this.past.slice(0, -1);
    view.shapes = before;
  }

  redo(): void {
    const after = this.future.at(-1);
    if (!after) return;
    this.past = [...this.past, view.shapes];
    this.future = this.future.slice(0, -1);
    view.shapes = after;
  }

  /** Another photo: what was drawn on this one is not undone there. */
  forget(): void {
    [this.past, this.future, this.drawing] = [[], [], null];
  }
}

export const tools = new Tools();
