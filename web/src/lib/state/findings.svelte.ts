// What somebody has kept: a title, a note, the view and what the model said.
import { drop, get, post, words } from "../api";
import type { Ask, Finding } from "../types";

class Findings {
  list = $state.raw<Finding[]>([]);
  fault = $state("");

  async load(): Promise<void> {
    await this.#do(async () => {
      this.list = (await get<{ findings: Finding[] }>("/findings")).findings;
    });
  }

  async keep(title: string, note: string, view: string, intervention: Ask | null): Promise<boolean> {
    return this.#do(async () => {
      await post<Finding>("/findings", { title, note, view, intervention });
      this.list = (await get<{ findings: Finding[] }>("/findings")).findings;
    });
  }

  async remove(id: string): Promise<void> {
    await this.#do(async () => {
      await drop(`/findings/${encodeURIComponent(id)}`);
      this.list = this.list.filter((finding) => finding.id !== id);
    });
  }

  async #do(act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      this.fault = "";
      return true;
    } catch (fault) {
      this.fault = words(fault);
      return false;
    }
  }
}

export const findings = new Findings();
