import type { JSX } from "preact";
import type { Passage } from "../link/answers.ts";

/** A passage of a search as text with marks. */
export function marked({ text, signs }: Passage): JSX.Element[] {
  const parts = signs ? partsAt([...text], signs) : text.split("**");
  return parts.map((part, n) => (n % 2 ? <mark key={n}>{part}</mark> : <span key={n}>{part}</span>));
}

/** What stands around the signs, each of which is two characters long. */
function partsAt(letters: string[], signs: number[]): string[] {
  return [0, ...signs].map((_, n) => letters.slice(n && (signs[n - 1] ?? 0) + 2, signs[n]).join(""));
}
