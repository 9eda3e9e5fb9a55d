// Layers by their dotted paths. A path with a single way on is one node: `features.0` rather than two clicks.
import type { Layer } from "../../lib/types";

export interface Node {
  path: string;
  words: string;
  layer: Layer | null;
  children: Node[];
}

export function tree(layers: readonly Layer[]): Node[] {
  const root: Node = { path: "", words: "", layer: null, children: [] };
  for (const layer of layers) {
    let node = root;
    for (const words of layer.name.split(".")) {
      const path = node.path ? `${node.path}.${words}` : words;
      let next = node.children.find((child) => child.path === path);
      if (!next) node.children.push((next = { path, words, layer: null, children: [] }));
      node = next;
    }
    node.layer = layer;
  }
  return root.children.map(shortened);
}

function shortened(node: Node): Node {
  const children = node.children.map(shortened);
  const only = children[0];
  if (children.length === 1 && only && !node.layer) return { ...only, words: `${node.words}.${only.words}` };
  return { ...node, children };
}
