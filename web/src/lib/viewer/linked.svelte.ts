// What viewers side by side share: the place under the crosshair and the sight.
import { type Sight, within, zoomed } from "./geometry";

export class Linked {
  /** the place under the crosshair, as fractions of the photo */
  cross = $state.raw<{ x: number; y: number } | null>(null);
  sight = $state.raw<Sight>({ zoom: 1, x: 0.5, y: 0.5 });

  point(x: number, y: number): void {
    this.cross = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  }

  zoom(factor: number, x = this.cross?.x ?? this.sight.x, y = this.cross?.y ?? this.sight.y): void {
    this.sight = zoomed(this.sight, factor, x, y);
  }

  pan(x: number, y: number): void {
    if (this.sight.zoom > 1) this.sight = within({ ...this.sight, x: this.sight.x + x, y: this.sight.y + y });
  }

  reset(): void {
    this.sight = { zoom: 1, x: 0.5, y: 0.5 };
  }
}
