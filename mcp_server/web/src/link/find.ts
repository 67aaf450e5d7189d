/** Finds words in the turns of an export. */

import type { Item, Passage, Turn } from "./answers.ts";

const AROUND = 80;
/** The page stays awake: after so long, others come first. */
const SLICE_MS = 30;

/** The items of these turns that hold all the words, in the order of the turns, each from its end. */
export async function passagesIn(
  parts: Iterable<HTMLScriptElement>,
  term: string,
  most: number,
  stop?: AbortSignal,
): Promise<Passage[]> {
  const words = (term.match(/"[^"]+"|\S+/g) ?? []).map((word) => word.replace(/^"(.+)"$/, "$1"));
  words.sort((one, other) => other.length - one.length);
  const patterns = words.map(patternOf);
  const phrase = patternOf(term.trim());
  const written = words.map((word) => patternOf(JSON.stringify(word).slice(1, -1).replaceAll("<", "\\u003c")));
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
      const passage = passageIn(item, patterns, phrase);
      if (passage) found.push({ turn_id: turn.id, item_id: item.id, text: passage });
      if (found.length >= most) return found;
    }
  }
  return found;
}

function patternOf(word: string): RegExp {
  return new RegExp(word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "iu");
}

/** What stands around the words as they were typed, else around the longest; nothing unless the item holds all of them. */
function passageIn(item: Item, patterns: RegExp[], phrase: RegExp): string | undefined {
  const texts = [...textsOf(item)];
  if (!patterns.every((pattern) => texts.some((text) => pattern.test(text)))) return undefined;
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
