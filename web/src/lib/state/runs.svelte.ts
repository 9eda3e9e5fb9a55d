// Explanations that were asked for: by what was asked, so that nothing is computed twice while the page is open.
import { drop, post, words } from "../api";
import { follow } from "../jobs";
import type { Job, Result } from "../types";
import { server } from "./server.svelte";
import { view } from "./view.svelte";

/** methods in one job at most */
const MOST = 24;

export interface Slot {
  state: "waiting" | "done" | "refused" | "failed" | "cancelled";
  why: string;
  results: Result[];
}

export interface Running {
  id: string;
  methods: string[];
  keys: string[];
  place: number;
  what: string;
  done: number;
  total: number;
}

interface Wish {
  photo: string;
  method: string;
  trust: boolean;
}

/** the name of everything that makes a difference to a result */
export function key({ photo, method, trust }: Wish): string {
  // what looks at the input is the same whichever layer is chosen
  const layer = server.method(method)?.at === "input" ? null : view.layer;
  return JSON.stringify([photo, method, view.target, view.against, layer, view.parameters[method] ?? null, trust]);
}

export const sheetKey = (photo: string, layer: string): string => JSON.stringify(["sheet", photo, layer]);

class Runs {
  slots = $state<Record<string, Slot>>({});
  jobs = $state<Running[]>([]);
  /** said to screen readers */
  news = $state("");
  /** whether a change of the question is asked at once */
  auto = $state(true);

  /** Asks for what is not there yet; `again` also for what has failed. */
  async explain(photo: string, methods: string[], trust: boolean, again = false): Promise<void> {
    const every = methods.filter((method) => this.#open(key({ photo, method, trust }), again));
    const wanted = every.slice(0, MOST);
    if (!photo || !wanted.length) return;
    if (every.length > MOST) void this.explain(photo, every.slice(MOST), trust, again);
    const keys = new Map(wanted.map((method) => [method, key({ photo, method, trust })]));
    const set = Object.fromEntries(wanted.filter((method) => view.parameters[method]).map((method) => [method, view.parameters[method]]));
    const body = { photo, methods: wanted, target: view.target, against: view.against, layer: view.layer, trust, parameters: set };
    await this.#start("/explanations", body, keys);
  }

  async sheet(photo: string, layer: string, again = false): Promise<void> {
    const name = sheetKey(photo, layer);
    if (photo && this.#open(name, again)) await this.#start("/activations", { photo, layer, count: 16 }, new Map([["feature maps", name]]));
  }

  async cancel(): Promise<void> {
    await Promise.all(this.jobs.map((job) => drop(`/jobs/${encodeURIComponent(job.id)}`).catch((fault: unknown) => (this.news = words(fault)))));
  }

  /** Stops jobs of which nothing is wanted any more, as if they had not been asked for. */
  leave(wanted: Set<string>): void {
    for (const job of this.jobs.filter((one) => !one.keys.some((name) => wanted.has(name)))) {
      for (const name of job.keys) if (this.slots[name]?.state === "waiting") delete this.slots[name];
      void drop(`/jobs/${encodeURIComponent(job.id)}`).catch(() => undefined); // it may have ended meanwhile
    }
  }

  #open(name: string, again: boolean): boolean {
    const slot = this.slots[name];
    return !slot || (again && slot.state !== "waiting" && slot.state !== "done");
  }

  #end(keys: Map<string, string>, state: Slot["state"], why: string): void {
    for (const name of keys.values()) {
      const slot = this.slots[name];
      if (slot?.state === "waiting") this.slots[name] = { ...slot, state: slot.results.length ? "done" : state, why };
    }
  }

  async #start(path: string, body: unknown, keys: Map<string, string>): Promise<void> {
    for (const name of keys.values()) this.slots[name] = { state: "waiting", why: "", results: [] };
    let made: Job;
    try {
      made = await post<Job>(path, body);
    } catch (fault) {
      this.#end(keys, "failed", words(fault));
      this.news = words(fault);
      return;
    }
    const { id } = made;
    this.jobs.push({ id, methods: [...keys.keys()], keys: [...keys.values()], place: made.place, what: "", done: 0, total: 0 });
    const change = (fields: Partial<Running>): void => {
      this.jobs = this.jobs.map((job) => (job.id === id ? { ...job, ...fields } : job));
    };
    follow(id, {
      queued: (place) => change({ place }),
      started: () => change({ place: 0 }),
      progress: (what, done, total) => change({ place: 0, what, done, total }),
      result: (result) => {
        const name = keys.get(result.method) ?? (keys.size === 1 ? [...keys.values()][0] : undefined);
        const slot = name && this.slots[name];
        // a stream that was lost and found says all of its results again
        if (!slot || slot.results.some((one) => one.id === result.id)) return;
        this.slots[name] = { state: "done", why: "", results: [...slot.results, result] };
        this.news = `${result.method} is there.`;
      },
      refused: (method, why) => {
        const name = keys.get(method);
        if (name) this.slots[name] = { state: "refused", why, results: [] };
        this.news = `${method}: ${why}`;
      },
      ended: (state, why) => {
        this.jobs = this.jobs.filter((job) => job.id !== id);
        this.#end(keys, state === "cancelled" ? "cancelled" : "failed", why || (state === "done" ? "The server gave no result." : state));
        if (state === "failed") this.news = why || state;
      },
    });
  }
}

export const runs = new Runs();

/** The results of the current question, in the order of its methods. */
export function current(): Result[] {
  return view.methods.flatMap((method) => runs.slots[key({ photo: view.photo, method, trust: false })]?.results ?? []);
}

