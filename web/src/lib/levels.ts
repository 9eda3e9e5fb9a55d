// Which badge a word of the server gets.
type Kind = "good" | "doubt" | "bad" | "plain";

const NO_ANSWER = new Set(["zero-gradient", "non-finite", "failed"]);
const LEVELS: Record<string, Kind> = { green: "good", amber: "doubt", red: "bad" };

/** statuses whose map answers nothing */
export const noAnswer = (code: string): boolean => NO_ANSWER.has(code);

export const statusKind = (code: string): Kind => (code === "ok" ? "good" : noAnswer(code) ? "bad" : "doubt");

export const levelKind = (level: string | null | undefined): Kind => LEVELS[level ?? ""] ?? "plain";
