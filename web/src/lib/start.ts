// What the view starts with, where the address says nothing.
import { photos } from "./state/photos.svelte";
import { server } from "./state/server.svelte";
import { view } from "./state/view.svelte";

export async function start(): Promise<void> {
  await server.open();
  if (server.fault) return;
  await photos.more();
  complete();
}

/** Fills in the photo, the method and the fill that are missing. */
export function complete(): void {
  view.photo ||= photos.list[0]?.id ?? "";
  const allowed = server.methods.filter((method) => method.allowed);
  // names in an address may be those of another version
  view.methods = view.methods.filter((name) => server.method(name));
  const usual = allowed.find((method) => method.name === "grad-cam") ?? allowed[0];
  if (!view.methods.length && usual) view.methods = [usual.name];
  if (!server.session?.fills.includes(view.fill)) view.fill = server.session?.fills[0] ?? "";
  if (!server.session?.model && server.session?.run && !photos.count) view.tab = "data";
}
