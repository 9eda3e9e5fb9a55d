// An anywidget module: `render` fills a cell of a notebook, and what it returns empties it.
import { mount, unmount } from "svelte";
import "../tokens.css";
import "../controls.css";
import Cell from "./Cell.svelte";
import type { Data } from "./data";

interface Model {
  get(name: "data"): Data;
}

/** JupyterLab says which theme it has; elsewhere the system's holds. */
function theme(): string | undefined {
  const light = document.body.dataset.jpThemeLight;
  return light === undefined ? undefined : light === "false" ? "dark" : "light";
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const ground = document.createElement("div");
  ground.className = "seewhy";
  const own = theme();
  if (own) ground.dataset.theme = own;
  el.append(ground);
  const cell = mount(Cell, { target: ground, props: { data: model.get("data") } });
  return () => {
    void unmount(cell);
    ground.remove();
  };
}

export default { render };
