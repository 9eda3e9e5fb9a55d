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

/** Listens until the job has ended; the function that is returned stops listening. */
export function follow(id: string, heard: Heard): () => void {
  const source = new EventSource(`/api/v1/jobs/${encodeURIComponent(id)}/events`);
  const on = <T>(name: string, act: (said: T) => void): void =>
    source.addEventListener(name, (event) => act(JSON.parse((event as MessageEvent<string>).data || "{}") as T));
  const end = (state: Job["state"], why: string): void => {
    source.close();
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
  // The browser comes back by itself, with the number of the last event; only a refusal closes the stream. Then ask what became of it.
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return;
    get<Job>(`/jobs/${encodeURIComponent(id)}`).then(
      (job) => {
        job.results.forEach(heard.result);
        heard.ended(job.state, job.reason || (job.state === "done" ? "" : "The connection was lost."));
      },
      (fault: unknown) => heard.ended("failed", words(fault)),
    );
  };
  return () => source.close();
}
