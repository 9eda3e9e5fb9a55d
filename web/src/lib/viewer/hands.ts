// Mouse, fingers and keys of a viewer.
import { type Frame, place } from "./geometry";
import type { Linked } from "./linked.svelte";

export interface Hands {
  linked: Linked;
  /** the frame now, in CSS pixels */
  frame(): Frame;
  /** the size of one value, as fractions of the photo: a step of the arrow keys */
  step(): [number, number];
}

export function hands({ linked, frame, step }: Hands) {
  return (ground: HTMLElement): (() => void) => {
    const fingers = new Map<number, { x: number; y: number }>();
    let spread = 0;
    const stop = new AbortController();
    const on = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void): void =>
      ground.addEventListener(name, act, { signal: stop.signal, passive: false });
    const at = (event: MouseEvent): { x: number; y: number } => {
      const box = ground.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };

    on("pointerdown", (event) => {
      fingers.set(event.pointerId, at(event));
      ground.setPointerCapture(event.pointerId);
      spread = 0;
      const { x, y } = at(event);
      linked.point(...place(frame(), x, y));
    });
    on("pointermove", (event) => {
      const now = at(event);
      const before = fingers.get(event.pointerId);
      if (before) fingers.set(event.pointerId, now);
      const { width, height } = frame();
      if (fingers.size === 2) {
        const [one, other] = [...fingers.values()] as [{ x: number; y: number }, { x: number; y: number }];
        const apart = Math.hypot(one.x - other.x, one.y - other.y);
        const middle = place(frame(), (one.x + other.x) / 2, (one.y + other.y) / 2);
        if (spread) linked.zoom(apart / spread, ...middle);
        spread = apart;
        return;
      }
      // a finger that drags a zoomed photo moves the photo, not the crosshair; a mouse leaves the crosshair where it took hold
      if (before && linked.sight.zoom > 1) linked.pan((before.x - now.x) / width, (before.y - now.y) / height);
      else linked.point(...place(frame(), now.x, now.y));
    });
    const up = (event: PointerEvent): void => {
      fingers.delete(event.pointerId);
      spread = 0;
    };
    on("pointerup", up);
    on("pointercancel", up);
    on("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !fingers.size && document.activeElement !== ground) linked.cross = null;
    });
    on("wheel", (event) => {
      // all is in sight already: the wheel is the page's
      if (event.deltaY > 0 && linked.sight.zoom <= 1) return;
      event.preventDefault();
      const { x, y } = at(event);
      linked.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 300), ...place(frame(), x, y));
    });
    on("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const [wide, high] = step();
      const much = event.shiftKey ? 10 : 1;
      const moves: Record<string, [number, number]> = { ArrowLeft: [-wide, 0], ArrowRight: [wide, 0], ArrowUp: [0, -high], ArrowDown: [0, high] };
      const move = moves[event.key];
      const from = linked.cross ?? { x: linked.sight.x, y: linked.sight.y };
      if (move) linked.point(from.x + much * move[0], from.y + much * move[1]);
      else if (event.key === "+" || event.key === "=") linked.zoom(1.25);
      else if (event.key === "-") linked.zoom(0.8);
      else if (event.key === "0") linked.reset();
      else if (event.key === "Escape") linked.cross = null;
      else return;
      event.preventDefault();
    });
    return () => stop.abort();
  };
}
