/** Pieces of texts that are too long for one answer. */

import type { Item } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { characters } from "../parts/characters.ts";

/** Characters of a piece. Two of them fit into a detailed answer. */
export const PIECE = 16_000;

/** Of a text without a sign that JSON must escape. */
export const BARE_PIECE = 36_000;

export interface Place {
  threadId: string;
  turnId: string;
  itemId: string;
  /** Where the text stands in the item, such as `content.0.text`. */
  path: string;
}

/** The characters of a text from an offset on. */
export async function piece({ threadId, turnId, itemId, path }: Place, offset: number, chars = PIECE): Promise<string> {
  const args = {
    thread_id: threadId,
    turn_id: turnId,
    item_id: itemId,
    text_offset: offset,
    max_chars: chars,
    response_format: "detailed",
  };
  const answer = await link.call("thread_items", args);
  const item = answer.data?.[0]?.item;
  const found = item && at(item, path);
  return typeof found === "string" ? found : "";
}

/** The whole text, piece by piece. */
export async function whole(place: Place, length: number, told?: (done: number) => void, chars = PIECE): Promise<string> {
  let text = "";
  for (let done = 0; done < length; told?.(done)) {
    const next = await piece(place, done, chars);
    if (!next) break;
    text += next;
    done += characters(next);
  }
  return text;
}

/** What stands at a path such as `content.0.text`. */
export function at(item: Item, path: string): unknown {
  let value: unknown = item;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
