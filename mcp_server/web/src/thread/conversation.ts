/** The turns of a thread that are shown: a stretch without gaps, which grows at both ends. */

import { batch, computed, signal } from "@preact/signals";
import type { OutlineEntry, ThreadRead, ThreadTokens, Turn } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { factsOf, type ThreadFacts } from "../parts/thread.ts";
import { sentenceOf } from "../parts/sentence.ts";

const PAGE = 10;
const TAIL = 3;
const OUTLINE_PAGE = 100;

export class Conversation {
  readonly thread = signal<ThreadFacts | undefined>(undefined);
  readonly turns = signal<Turn[]>([]);
  readonly total = signal(0);
  readonly tokens = signal<ThreadTokens | undefined>(undefined);
  readonly outline = signal<OutlineEntry[]>([]);
  readonly fault = signal("");
  readonly loading = signal(false);
  readonly before = signal<string | undefined>(undefined);
  readonly after = signal<string | undefined>(undefined);
  /** The number of each turn, as far as it is known. */
  readonly numbers = computed(() => this.#numbered());

  readonly #id: string;
  readonly #stop = new AbortController();

  constructor(threadId: string) {
    this.#id = threadId;
  }

  get threadId(): string {
    return this.thread.value?.id ?? this.#id;
  }

  end(): void {
    this.#stop.abort();
  }

  /** Shows the last turns, or those from a turn on and what comes before it. */
  async begin(turnId?: string): Promise<void> {
    if (!turnId) return this.#load("desc", undefined, (turns) => turns.reverse());
    await this.#load("asc", `at:${turnId}`, (turns) => turns);
    this.before.value = `after:${this.turns.value[0]?.id ?? turnId}`;
    await this.loadBefore();
  }

  async loadBefore(): Promise<void> {
    const cursor = this.before.value;
    if (cursor) await this.#load("desc", cursor, (turns) => [...turns.reverse(), ...this.turns.peek()]);
  }

  async loadAfter(): Promise<void> {
    const cursor = this.after.value;
    if (cursor) await this.#load("asc", cursor, (turns) => [...this.turns.peek(), ...turns]);
  }

  /** Reads the last turns anew, if they are shown. */
  async refresh(): Promise<void> {
    if (this.after.value || this.loading.value) return;
    const answer = await this.#read({ sort_direction: "desc", limit: TAIL }).catch(() => undefined);
    if (!answer) return;
    const newest = (answer.turns ?? []).toReversed();
    const known = this.turns.peek();
    const at = known.findIndex((turn) => turn.id === newest[0]?.id);
    if (at < 0 && known.length && newest.length === TAIL) return this.begin();
    batch(() => {
      this.#tell(answer);
      this.turns.value = [...known.slice(0, at < 0 ? known.length : at), ...newest];
    });
    await this.loadOutline(this.outline.peek().length);
  }

  /** Reads what the user said in each turn, from a place on. */
  async loadOutline(from = 0): Promise<void> {
    const place = this.outline.peek()[from - 1];
    let cursor = place ? `at:${place.turn_id}` : undefined;
    const entries = this.outline.peek().slice(0, Math.max(0, from - 1));
    do {
      const args = { thread_id: this.#id, limit: OUTLINE_PAGE, ...(cursor ? { cursor } : {}) };
      const answer = await link.call("thread_outline", args, this.#stop.signal).catch(() => undefined);
      if (!answer) return;
      entries.push(...(answer.data ?? []));
      cursor = answer.next_cursor;
      this.outline.value = [...entries];
    } while (cursor && !this.#stop.signal.aborted);
  }

  async #load(sort_direction: "asc" | "desc", cursor: string | undefined, join: (turns: Turn[]) => Turn[]): Promise<void> {
    if (this.loading.value) return;
    this.loading.value = true;
    try {
      const answer = await this.#read({ sort_direction, limit: PAGE, ...(cursor ? { cursor } : {}) });
      batch(() => {
        this.#tell(answer);
        this.turns.value = join(answer.turns ?? []);
        if (sort_direction === "desc") this.before.value = answer.next_cursor;
        else this.after.value = answer.next_cursor;
        this.fault.value = "";
      });
    } catch (error) {
      if (!this.#stop.signal.aborted) this.fault.value = sentenceOf(error);
    } finally {
      this.loading.value = false;
    }
  }

  #read(args: Record<string, unknown>) {
    const all = { thread_id: this.#id, items_view: "full", response_format: "detailed", ...args };
    return link.call("thread_read", all, this.#stop.signal);
  }

  #tell(answer: ThreadRead): void {
    this.thread.value = factsOf(answer.thread);
    this.total.value = answer.total ?? 0;
    if (answer.tokens) this.tokens.value = answer.tokens;
  }

  #numbered(): Map<string, number> {
    const found = new Map(this.outline.value.map((entry, n) => [entry.turn_id, n + 1]));
    const turns = this.turns.value;
    if (!this.after.value) turns.forEach((turn, n) => found.set(turn.id, this.total.value - turns.length + n + 1));
    return found;
  }
}
