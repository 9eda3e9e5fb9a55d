// Rows of a run, page by page: a page is asked for when a row of it comes into sight, and kept as long as there is room.
import { aborted, get, query, words } from "../../lib/api";
import type { Row } from "../../lib/types";

export const PAGE = 100;
/** pages that are kept: 8,000 rows */
const MOST = 80;

export class Rows {
  count = $state(0);
  fault = $state("");
  loading = $state(true);
  /** goes up with every page that arrives, for what is drawn from `at` */
  version = $state(0);
  #pages = new Map<number, Row[]>();
  #asked = new Map<number, AbortController>();

  constructor(readonly filter: Record<string, string>) {}

  at(number: number): Row | undefined {
    void this.version;
    return this.#pages.get(Math.floor(number / PAGE))?.[number % PAGE];
  }

  /** Asks for the pages of these rows, and gives up on those that have gone out of sight. */
  want(from: number, to: number): void {
    const [first, last] = [Math.floor(from / PAGE), Math.floor(Math.max(from, to - 1) / PAGE)];
    for (const [page, stop] of this.#asked) if (page < first || page > last) stop.abort();
    for (let page = first; page <= last; page++) {
      const known = this.#pages.get(page);
      if (known) {
        // the latest used is the last to go
        this.#pages.delete(page);
        this.#pages.set(page, known);
      } else if (!this.#asked.has(page)) void this.#load(page);
    }
  }

  stop(): void {
    for (const one of this.#asked.values()) one.abort();
  }

  async #load(page: number): Promise<void> {
    const stop = new AbortController();
    this.#asked.set(page, stop);
    try {
      const said = await get<{ count: number; rows: Row[] }>(`/run/rows${query({ ...this.filter, offset: page * PAGE, limit: PAGE })}`, stop.signal);
      this.#pages.set(page, said.rows);
      for (const old of this.#pages.keys()) if (this.#pages.size > MOST && old !== page) this.#pages.delete(old);
      [this.count, this.fault, this.loading] = [said.count, "", false];
      this.version += 1;
    } catch (fault) {
      if (!aborted(fault)) [this.fault, this.loading] = [words(fault), false];
    } finally {
      this.#asked.delete(page);
    }
  }
}
