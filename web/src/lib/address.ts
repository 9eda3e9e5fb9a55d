// The address bar: the token leaves it, the view comes and goes.
import { view } from "./state/view.svelte";

/** Takes the token out of the address, so that it is in no screenshot and no history. */
export function forgetToken(): void {
  const here = new URL(location.href);
  if (!here.searchParams.has("token")) return;
  here.searchParams.delete("token");
  history.replaceState(null, "", here);
}

/** A change of the tab is a step of the history; sliders are not. */
export function write(): void {
  const hash = view.hash;
  if (hash === location.hash) return;
  const tab = (text: string): string => text.split("?")[0] ?? "";
  history[tab(hash) === tab(location.hash || hash) ? "replaceState" : "pushState"](null, "", hash);
}

export const permalink = (): string => `${location.origin}${location.pathname}${view.hash}`;
