// Values of documents whose fields may change, in words.
import { number } from "./format";

/** `0.25`, `yes`, `green 0.7, amber 0.2`: whatever a document holds, on one line. */
export function told(value: unknown): string {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value === "number") return number(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(told).join(", ");
  if (typeof value === "object") {
    return Object.entries(value)
      .filter(([, one]) => one !== null)
      .map(([name, one]) => `${name} ${told(one)}`)
      .join(", ");
  }
  return String(value);
}
