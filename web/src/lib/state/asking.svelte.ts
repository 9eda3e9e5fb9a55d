// "What if this were hidden": one question at a time is under way, and of those that came meanwhile only the latest is asked.
import { post, words } from "../api";
import type { Ask, Intervention } from "../types";

class Asking {
  answer = $state.raw<Intervention | null>(null);
  fault = $state("");
  /** milliseconds from the question to the answer, as the user waits for them */
  latency = $state<number | null>(null);
  #next: Ask | null = null;
  #busy = false;
  /** questions before this one are of another photo or region */
  #since = 0;

  send(question: Ask): void {
    this.#next = question;
    if (!this.#busy) void this.#work();
  }

  /** Nothing is hidden any more. */
  clear(): void {
    this.#next = null;
    this.#since += 1;
    [this.answer, this.fault, this.latency] = [null, "", null];
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#next) {
      const question = this.#next;
      const since = this.#since;
      this.#next = null;
      const began = performance.now();
      try {
        const answer = await post<Intervention>("/interventions", question);
        if (since === this.#since) [this.answer, this.fault, this.latency] = [answer, "", performance.now() - began];
      } catch (fault) {
        if (since === this.#since) this.fault = words(fault);
      }
    }
    this.#busy = false;
  }
}

export const asking = new Asking();
