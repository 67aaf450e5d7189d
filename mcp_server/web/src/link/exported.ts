/** The page without a server: an export has written a thread and its sub-agents into the page itself. */

import type { Answers, ItemEntry, OutlineEntry, ThreadRead, ToolName, Tree, TreeNode, Turn } from "./answers.ts";
import { cutItem, cutTurn } from "./cut.ts";
import { passagesIn } from "./find.ts";
import { type Arguments, ConnectionError, type Link, ToolError } from "./link.ts";

interface Made {
  made_by: string;
  made_at: string;
  redacted: boolean;
}

interface ThreadPart extends Omit<ThreadRead, "turns" | "total"> {
  outline?: OutlineEntry[];
}

/** The data of the page in the order in which an export writes it; nothing if this page is no export. */
export function exportIn(page: Document): ExportLink | undefined {
  const parts = [...page.querySelectorAll<HTMLScriptElement>('body > script[type="application/json"][data-part]')];
  return parts.length ? new ExportLink(parts) : undefined;
}

/** One thread. Its turns are parsed when they are asked for, since they may be long. */
class ExportedThread {
  readonly told: ThreadPart;
  readonly #numbers: Map<string, number>;
  readonly #parsed = new Map<number, Turn>();

  constructor(
    readonly parts: HTMLScriptElement[],
    told: HTMLScriptElement,
  ) {
    this.told = valueOf<ThreadPart>(told);
    const ids = new Set(this.told.outline?.map((entry) => entry.turn_id));
    this.#numbers = new Map([...ids].map((id, number) => [id, number]));
  }

  get total(): number {
    return this.parts.length;
  }

  turn(number: number): Turn {
    const part = this.parts[number];
    const turn = this.#parsed.get(number) ?? (part && valueOf<Turn>(part));
    if (!turn) throw new ToolError("This turn is not in the export.", "turn_not_found");
    this.#parsed.set(number, turn);
    return turn;
  }

  numberOf(turnId: string): number {
    return this.#numbers.get(turnId) ?? -1;
  }

  /** The items of a turn, or of the thread from the newest on. */
  *items(turnId: unknown): Generator<ItemEntry> {
    if (typeof turnId === "string") {
      const { id, items = [] } = this.turn(this.numberOf(turnId));
      return yield* items.map((item) => ({ turn_id: id, item }));
    }
    for (let number = this.total - 1; number >= 0; number -= 1) {
      const { id, items = [] } = this.turn(number);
      yield* items.map((item) => ({ turn_id: id, item })).reverse();
    }
  }
}

type Tools = { [T in ToolName]?: (args: Arguments, stop?: AbortSignal) => Answers[T] | Promise<Answers[T]> };

export class ExportLink implements Link {
  readonly kind = "export";
  readonly root: string;
  readonly madeAt: Date;
  readonly #threads = new Map<string, ExportedThread>();
  readonly #nodes: TreeNode[];
  readonly #tools: Tools = {
    thread_read: (args) => this.#read(args),
    thread_items: (args) => this.#items(args),
    thread_outline: (args) => this.#outline(args),
    thread_tree: (args) => this.#tree(args),
    thread_list: (args) => this.#below(args),
    thread_search: (args, stop) => this.#found(args, stop),
    store_status: () => ({ home: "" }),
  };

  constructor(parts: HTMLScriptElement[]) {
    const made = valueOf<Made>(partOf(parts, 0, "export"));
    this.madeAt = new Date(made.made_at);
    this.#nodes = valueOf<{ nodes: TreeNode[] }>(partOf(parts, parts.length - 1, "tree")).nodes;
    let turns: HTMLScriptElement[] = [];
    for (const part of parts) {
      if (part.dataset.part === "turn") turns.push(part);
      if (part.dataset.part !== "thread") continue;
      const one = new ExportedThread(turns, part);
      this.#threads.set(one.told.thread.id, one);
      turns = [];
    }
    this.root = this.#nodes[0]?.thread_id ?? "";
  }

  async call<T extends ToolName>(tool: T, args: Arguments = {}, stop?: AbortSignal): Promise<Answers[T]> {
    const answer = this.#tools[tool];
    if (!answer) throw new ToolError("An export can be read only.", "read_only");
    return answer(args, stop);
  }

  async tools(): Promise<Set<string>> {
    return new Set(Object.keys(this.#tools));
  }

  holds(threadId: string): boolean {
    return this.#threads.has(threadId);
  }

  openAddress(address: string): void {
    window.open(address, "_blank", "noopener,noreferrer");
  }

  #thread(args: Arguments): ExportedThread {
    const one = this.#threads.get(String(args.thread_id));
    if (!one) throw new ToolError("This thread is not in the export.", "thread_not_found");
    return one;
  }

  #read(args: Arguments): ThreadRead {
    const one = this.#thread(args);
    const { outline: _, ...told } = one.told;
    const ascending = args.sort_direction === "asc";
    const numbers = page(one, args, ascending ? 1 : -1);
    const turns = numbers.map((number) => shown(one.turn(number), args.items_view === "notLoaded"));
    const last = numbers.at(-1) ?? 0;
    const more = numbers.length > 0 && (ascending ? last < one.total - 1 : last > 0);
    return { ...told, turns, total: one.total, ...(more ? { next_cursor: `after:${turns.at(-1)?.id}` } : {}) };
  }

  /** All items of a turn: what is here already needs no pages. Or one item, or the newest ones of the thread. */
  #items(args: Arguments): Answers["thread_items"] {
    const one = this.#thread(args);
    const { turn_id, item_id, text_offset = 0, max_chars } = args;
    const limit = turn_id ? Infinity : Number(args.limit);
    const data: ItemEntry[] = [];
    for (const entry of one.items(turn_id)) {
      if (item_id && entry.item.id !== item_id) continue;
      data.push({ ...entry, item: cutItem(entry.item, Number(text_offset), max_chars as number | undefined) });
      if (item_id || data.length >= limit) break;
    }
    return { thread_id: one.told.thread.id, data, total: data.length };
  }

  #outline(args: Arguments): Answers["thread_outline"] {
    const one = this.#thread(args);
    return { thread_id: one.told.thread.id, data: one.told.outline ?? [], total: one.total };
  }

  #tree(args: Arguments): Tree {
    const { id } = this.#thread(args).told.thread;
    return { thread_id: id, root_thread_id: this.root, nodes: this.#nodes, total: this.#nodes.length };
  }

  /** How many threads are below one: the only list that a view asks for here. None of them runs any more. */
  #below(args: Arguments): Answers["thread_list"] {
    const start = this.#nodes.findIndex((node) => node.thread_id === args.ancestor_thread_id);
    const rest = this.#nodes.slice(start + 1);
    const end = rest.findIndex((node) => (node.depth ?? 0) <= (this.#nodes[start]?.depth ?? 0));
    return { total: start < 0 || args.last_turn ? 0 : end < 0 ? rest.length : end };
  }

  async #found(args: Arguments, stop?: AbortSignal): Promise<Answers["thread_search"]> {
    const one = this.#thread(args);
    const passages = await passagesIn(one.parts.toReversed(), String(args.search_term), Number(args.limit), stop);
    return { data: [{ thread: one.told.thread, passages }] };
  }
}

/** The numbers of the turns of a page, in the direction of the steps. */
function page(one: ExportedThread, args: Arguments, step: 1 | -1): number[] {
  const [, place = "", turnId = ""] = /^(at|after):(.*)$/s.exec(String(args.cursor ?? "")) ?? [];
  const from = place ? one.numberOf(turnId) + (place === "after" ? step : 0) : step > 0 ? 0 : one.total - 1;
  const numbers = Array.from({ length: Number(args.limit) }, (_, count) => from + count * step);
  return numbers.filter((number) => number >= 0 && number < one.total);
}

function shown(turn: Turn, withoutItems: boolean): Turn {
  if (!withoutItems) return cutTurn(turn);
  const { items: _, ...rest } = turn;
  return rest;
}

function partOf(parts: HTMLScriptElement[], at: number, name: string): HTMLScriptElement {
  const part = parts[at];
  if (part?.dataset.part !== name) throw new ConnectionError("This file is not whole. Ask for it once more.");
  return part;
}

function valueOf<T>(part: HTMLScriptElement): T {
  return JSON.parse(part.text) as T;
}
