// What the server has: its session, methods and layers, asked for once.
import { get, words } from "../api";
import type { Layer, Method, Session } from "../types";

class Server {
  session = $state.raw<Session | null>(null);
  methods = $state.raw<Method[]>([]);
  layers = $state.raw<Layer[]>([]);
  layersNote = $state("");
  /** why nothing can be shown */
  fault = $state("");

  async open(): Promise<void> {
    try {
      this.session = await get<Session>("/session");
    } catch (fault) {
      this.fault = words(fault);
      return;
    }
    if (!this.session.model) return;
    await Promise.all([
      get<{ methods: Method[] }>("/methods").then((said) => (this.methods = said.methods)),
      get<{ layers: Layer[]; note: string }>("/layers").then(
        (said) => {
          this.layers = said.layers;
          this.layersNote = said.note;
        },
        (fault: unknown) => (this.layersNote = words(fault)),
      ),
    ]).catch((fault: unknown) => (this.fault = words(fault)));
  }

  method(name: string): Method | undefined {
    return this.methods.find((method) => method.name === name);
  }
}

export const server = new Server();
