/** Cuts what is too long to be drawn at once, and tells how long it is, as the server does in its answers. */

import { characters, sliced } from "../parts/characters.ts";
import type { Item, Truncated, Turn } from "./answers.ts";

/** Markdown of more characters takes long to draw; what a tool said is shown by page, and can be longer. */
const MOST_SPOKEN = 16_000;
const MOST_TOLD = 200_000;
const MOST_ITEMS = 400;
const SPOKEN = new Set(["userMessage", "agentMessage", "plan", "reasoning"]);
const NEVER_CUT = new Set(["type", "id", "status"]);

/** The turn with its long texts cut, and without the items in the middle if it has very many. */
export function cutTurn(turn: Turn): Turn {
  const items = turn.items ?? [];
  const left = items.length - MOST_ITEMS;
  const kept = left > 0 ? [...items.slice(0, MOST_ITEMS / 2), ...items.slice(-MOST_ITEMS / 2)] : items;
  return { ...turn, items: kept.map((item) => cutItem(item)), ...(left > 0 ? { left_out: { items: left } } : {}) };
}

/** The item with each text that is too long cut to a part of it. Images stay whole. */
export function cutItem(item: Item, offset = 0, most = SPOKEN.has(item.type) ? MOST_SPOKEN : MOST_TOLD): Item {
  const truncated: Truncated = {};
  const cut = (value: unknown, path: string, name: string): unknown => {
    if (typeof value === "string") {
      if (value.length <= most || NEVER_CUT.has(name) || value.startsWith("data:image/")) return value;
      truncated[path] = characters(value);
      return sliced(value, offset, most);
    }
    if (Array.isArray(value)) return value.map((part, n) => cut(part, `${path}.${n}`, ""));
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, part]) => [key, cut(part, path ? `${path}.${key}` : key, key)]);
    return Object.fromEntries(entries);
  };
  const shown = cut(item, "", "") as Item;
  return Object.keys(truncated).length ? { ...shown, truncated } : shown;
}
