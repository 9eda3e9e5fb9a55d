// A job from being asked for to its end, over server-sent events.
import { get, told, words } from "./api";
import type { Job, Problem, Result } from "./types";

export interface Heard {
  queued(place: number): void;
  started(): void;
  progress(what: string, done: number, total: number): void;
  result(result: Result): void;
  refused(method: string, why: string): void;
  ended(state: Job["state"], why: string): void;
}

/** streams that are open at a time: a browser has six connections to a server, which other requests need as well */
const OPEN = 3;
const waiting: (() => void)[] = [];
let open = 0;

/** Listens until the job has ended; jobs that come after others listen when those have ended. */
export function follow(id: string, heard: Heard): void {
  const begin = (): void => {
    open += 1;
    listen(id, heard, () => {
      open -= 1;
      waiting.shift()?.();
    });
  };
  if (open < OPEN) begin();
  else waiting.push(begin);
}

function listen(id: string, heard: Heard, over: () => void): void {
  const source = new EventSource(`/api/v1/jobs/${encodeURIComponent(id)}/events`);
  const on = <T>(name: string, act: (said: T) => void): void =>
    source.addEventListener(name, (event) => act(JSON.parse((event as MessageEvent<string>).data || "{}") as T));
  const end = (state: Job["state"], why: string): void => {
    source.close();
    over();
    heard.ended(state, why);
  };
  on<{ place: number }>("queued", (said) => heard.queued(said.place));
  on("started", () => heard.started());
  on<{ what: string; done: number; total: number }>("progress", (said) => heard.progress(said.what, said.done, said.total));
  on<Result>("result", (said) => heard.result(said));
  on<{ method: string; problem: Problem }>("refused", (said) => heard.refused(said.method, told(said.problem)));
  on("done", () => end("done", ""));
  on<{ problem: Problem }>("failed", (said) => end("failed", told(said.problem)));
  on<{ reason: string }>("cancelled", (said) => end("cancelled", said.reason));
  // The browser comes back by itself, with the number of the last event; not if the server refuses, or is no longer there.
  source.onerror = () => {
    if (source.readyState === EventSource.OPEN) return;
    get<Job>(`/jobs/${encodeURIComponent(id)}`).then(
      (job) => {
        if (source.readyState !== EventSource.CLOSED) return;
        job.results.forEach(heard.result);
        end(job.state, job.reason || (job.state === "done" ? "" : "The connection was lost."));
      },
      (fault: unknown) => end("failed", words(fault)),
    );
  };
}
