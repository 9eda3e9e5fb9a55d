// Every request to the server goes through here: one header, one way of saying what went wrong.
import type { Problem } from "./types";

const BASE = "/api/v1";

// The queue is shared by tabs: each has a name of its own, so that none waits for another's pile.
const CLIENT = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** What the server refused, as a line to show. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export function told(problem: Problem): string {
  return [problem.detail || problem.title, problem.hint].filter(Boolean).join(" ");
}

async function refusal(reply: Response): Promise<Refused> {
  let words = `The server answered ${reply.status}.`;
  if (reply.headers.get("content-type")?.includes("json")) words = told((await reply.json()) as Problem) || words;
  return new Refused(reply.status, reply.status === 401 ? "Open the address that seewhy serve printed: it lets this browser in." : words);
}

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("X-Seewhy-Client", CLIENT);
  let reply: Response;
  try {
    reply = await fetch(path.startsWith("/") && path.startsWith(BASE) ? path : BASE + path, { ...init, headers });
  } catch (fault) {
    if (fault instanceof DOMException && fault.name === "AbortError") throw fault;
    throw new Refused(0, "The server does not answer. Is seewhy serve still running?");
  }
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, { signal })).json() as Promise<T>;
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal };
  return (await ask(path, init)).json() as Promise<T>;
}

export async function drop(path: string): Promise<void> {
  // a page that closes has time for no answer
  await ask(path, { method: "DELETE", keepalive: true });
}

export function words(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

export const aborted = (fault: unknown): boolean => fault instanceof DOMException && fault.name === "AbortError";

/** `?a=1&b=2` of what is given; null and "" are left out. */
export function query(fields: Record<string, string | number | boolean | null | undefined>): string {
  const kept = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return "?" + new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
}

/** A file that a POST makes, saved as a download. */
export async function download(path: string, body: unknown, name: string): Promise<void> {
  const reply = await ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const said = /filename="?([^";]+)"?/.exec(reply.headers.get("content-disposition") ?? "")?.[1];
  const url = URL.createObjectURL(await reply.blob());
  const link = Object.assign(document.createElement("a"), { href: url, download: said ?? name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
