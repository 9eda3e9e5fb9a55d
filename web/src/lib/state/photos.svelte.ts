// The photos of the session: pages of the list, what is known of the one that is looked at, uploads.
import { ask, drop, get, query, words } from "../api";
import { count } from "../format";
import type { Answer, Answers, Photo } from "../types";
import { server } from "./server.svelte";
import { view } from "./view.svelte";

const PAGE = 200;

class Photos {
  list = $state.raw<Photo[]>([]);
  count = $state(0);
  /** the photo that is looked at, with its window */
  current = $state.raw<Photo | null>(null);
  top = $state.raw<Answer[]>([]);
  /** what is wrong with the photo that is looked at, and with those that were sent last */
  fault = $state("");
  refused = $state("");
  busy = $state("");
  #loading = false;

  async more(): Promise<void> {
    if (this.#loading || (this.list.length && this.list.length >= this.count)) return;
    this.#loading = true;
    try {
      const said = await get<{ photos: Photo[]; count: number }>(`/photos${query({ offset: this.list.length, limit: PAGE })}`);
      // what was sent meanwhile, by whomever, comes first and moves the others on
      const known = new Set(this.list.map((one) => one.id));
      const fresh = said.photos.filter((one) => !known.has(one.id));
      this.list = [...this.list, ...fresh];
      this.count = fresh.length ? said.count : this.list.length;
      if (!view.photo && this.list[0]) view.photo = this.list[0].id;
    } catch (fault) {
      this.fault = words(fault);
    } finally {
      this.#loading = false;
    }
  }

  /** Reads the photo of that name, and what the model says of it; of several calls the last one counts. */
  async look(id: string): Promise<void> {
    if (this.current?.id !== id) [this.current, this.top] = [null, []];
    if (!id) return;
    this.fault = "";
    try {
      const photo = await get<Photo>(`/photos/${encodeURIComponent(id)}`);
      if (view.photo !== id) return;
      this.current = photo;
      if (!server.session?.model) return;
      const said = await get<Answers>(`/photos/${encodeURIComponent(id)}/answers${query({ limit: 10 })}`);
      if (view.photo === id) this.top = said.top;
    } catch (fault) {
      if (view.photo === id) this.fault = words(fault);
    }
  }

  async add(files: Iterable<File>): Promise<void> {
    const faults: string[] = [];
    let last = "";
    for (const file of files) {
      this.busy = `Reading ${file.name}`;
      const most = server.session?.limits.bytes ?? Infinity;
      if (file.size > most) {
        faults.push(`${file.name}: ${count(Math.ceil(file.size / 1e6))} MB are more than the ${count(Math.floor(most / 1e6))} MB that are taken.`);
        continue;
      }
      try {
        const headers = { "Content-Type": file.type || "application/octet-stream", "X-Seewhy-Name": encodeURIComponent(file.name) };
        const photo = (await (await ask("/photos", { method: "POST", body: file, headers })).json()) as Photo;
        const here = this.list.some((one) => one.id === photo.id);
        this.list = [photo, ...this.list.filter((one) => one.id !== photo.id)];
        this.count = Math.max(this.count + (here ? 0 : 1), this.list.length);
        last = photo.id;
      } catch (fault) {
        faults.push(`${file.name}: ${words(fault)}`);
      }
    }
    this.busy = "";
    if (last) view.photo = last;
    this.refused = faults.join("\n");
  }

  async remove(id: string): Promise<void> {
    try {
      await drop(`/photos/${encodeURIComponent(id)}`);
      this.list = this.list.filter((photo) => photo.id !== id);
      this.count -= 1;
      if (view.photo === id) view.photo = this.list[0]?.id ?? "";
    } catch (fault) {
      this.fault = words(fault);
    }
  }
}

export const photos = new Photos();
