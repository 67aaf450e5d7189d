/** Finds words in the turns of an export. */

import type { Item, Passage, Turn } from "./answers.ts";

const AROUND = 80;
/** The page stays awake: after so long, others come first. */
const SLICE_MS = 30;

/** What was typed: of each group of words one must be there, and nothing of `without`. */
interface Wanted {
  groups: string[][];
  without: string[];
}

/** Reads words, "phrases", `this OR that` and -words, as the server does. */
function wantedOf(term: string): Wanted {
  const groups: string[][] = [];
  const without: string[] = [];
  let joins = false;
  const typed = [...term.matchAll(/(-?)"([^"]+)"|(-(?=[\p{L}\p{N}]))?(\S+)/gu)];
  for (const [at, [, no, phrase, not, word = ""]] of typed.entries()) {
    if (word === "OR" && groups.length && at < typed.length - 1) {
      joins = true;
      continue;
    }
    if (no || not) without.push(phrase ?? word);
    else if (joins) groups.at(-1)?.push(phrase ?? word);
    else groups.push([phrase ?? word]);
    joins = false;
  }
  return groups.length ? { groups, without } : { groups: without.map((one) => [one]), without: [] };
}

/** The items of these turns that hold what is wanted, in the order of the turns, each from its end. */
export async function passagesIn(
  parts: Iterable<HTMLScriptElement>,
  term: string,
  most: number,
  stop?: AbortSignal,
): Promise<Passage[]> {
  const { groups, without } = wantedOf(term);
  groups.sort(([one = ""], [other = ""]) => other.length - one.length);
  const patterns = groups.map(patternOf);
  const unwanted = without.length ? patternOf(without) : undefined;
  const phrase = patternOf([term.trim()]);
  const written = groups.map((words) => patternOf(words.map(asWritten)));
  const found: Passage[] = [];
  let begun = performance.now();
  for (const part of parts) {
    if (performance.now() - begun > SLICE_MS) {
      await new Promise((go) => setTimeout(go));
      stop?.throwIfAborted();
      begun = performance.now();
    }
    const text = part.text;
    if (!written.every((pattern) => pattern.test(text))) continue;
    const turn = JSON.parse(text) as Turn;
    for (const item of (turn.items ?? []).toReversed()) {
      const passage = passageIn(item, patterns, phrase, unwanted);
      if (passage) found.push({ turn_id: turn.id, item_id: item.id, text: passage });
      if (found.length >= most) return found;
    }
  }
  return found;
}

/** What finds any of these words. */
function patternOf(words: string[]): RegExp {
  return new RegExp(words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "iu");
}

/** A word as it stands in the JSON of an export. */
function asWritten(word: string): string {
  return JSON.stringify(word).slice(1, -1).replaceAll("<", "\\u003c");
}

/** What stands around the words as they were typed, else around the longest; nothing unless the item has all groups. */
function passageIn(item: Item, patterns: RegExp[], phrase: RegExp, unwanted?: RegExp): string | undefined {
  const texts = [...textsOf(item)];
  if (!patterns.every((pattern) => texts.some((text) => pattern.test(text)))) return undefined;
  if (unwanted && texts.some((text) => unwanted.test(text))) return undefined;
  const matches = [phrase, ...patterns].flatMap((pattern) => texts.map((text) => pattern.exec(text)));
  const match = matches.find((one) => one !== null);
  if (!match) return undefined;
  const { input: text, index: start } = match;
  const end = start + match[0].length;
  const [before, after] = [text.slice(Math.max(0, start - AROUND), start), text.slice(end, end + AROUND)];
  return `${start > AROUND ? "…" : ""}${before}**${match[0]}**${after}${end + AROUND < text.length ? "…" : ""}`;
}

const NOT_SAID = new Set(["type", "id", "status"]);

function* textsOf(value: unknown, name = ""): Generator<string> {
  if (typeof value === "string") {
    if (!NOT_SAID.has(name) && !value.startsWith("data:")) yield value;
  } else if (Array.isArray(value)) {
    for (const part of value) yield* textsOf(part);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, part] of Object.entries(value)) yield* textsOf(part, key);
  }
}
