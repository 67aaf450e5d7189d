/** The rows of a list, page by page, kept in step with what happens. */

import { batch, signal } from "@preact/signals";
import type { AnyThread, EventRow, Hidden, Passage, Search, ThreadList } from "../link/answers.ts";
import { isAbout } from "../link/live.ts";
import { link } from "../link/link.ts";
import { factsOf, type ThreadFacts } from "../parts/thread.ts";
import { indexing } from "../shell/start.ts";
import { type Filters, listArguments, searchArguments } from "./filters.ts";
import { sentenceOf } from "../parts/sentence.ts";

export interface Row {
  thread: ThreadFacts;
  /** The date that it was last worked on, in the reader's time zone. */
  day: string;
  passages?: Passage[];
}

const PAGE = 100;
const SEARCH_PAGE = 25;
const MOST_AT_ONCE = 100;
const COMES = new Set(["turn/started", "thread/unarchived"]);

export function rowOf(thread: AnyThread, passages?: Passage[]): Row {
  const facts = factsOf(thread);
  return { thread: facts, day: facts.workedAt.toDateString(), ...(passages ? { passages } : {}) };
}

/** Where in its thread the best match of a row stands, as the thread's address has it. */
export function placeIn({ passages }: Row): { turn?: string | undefined; item?: string | undefined } {
  const place = passages?.find((passage) => passage.turn_id);
  return place ? { turn: place.turn_id, item: place.item_id } : {};
}

export class Listing {
  readonly rows = signal<Row[]>([]);
  readonly total = signal<number | undefined>(undefined);
  readonly totalIsLeast = signal(false);
  readonly hidden = signal<Hidden>({});
  /** How far the index is, while that is being built. */
  readonly incomplete = signal("");
  /** What the reader should know of the answer, such as what could not be searched. */
  readonly notes = signal<string[]>([]);
  readonly noMatch = signal<Search["no_match"]>(undefined);
  readonly fault = signal("");
  readonly loading = signal(false);
  readonly loaded = signal(false);
  /** How many threads there are besides, which came after the list was read. */
  readonly fresh = signal(0);

  #filters: Filters;
  #cursor: string | undefined;
  #stop = new AbortController();
  #unknown = new Set<string>();
  #known = new Set<string>();

  constructor(filters: Filters) {
    this.#filters = filters;
  }

  get more(): boolean {
    return this.#cursor !== undefined;
  }

  get filters(): Filters {
    return this.#filters;
  }

  /** Reads the list from its beginning; what is shown stays until the answer is there. */
  async begin(filters: Filters = this.#filters): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#filters = filters;
    await this.#load(undefined);
  }

  /** Reads a list of one page anew. A longer one is kept: events tell which of its rows have changed. */
  async again(): Promise<void> {
    if (this.rows.peek().length <= PAGE) await this.begin();
  }

  async loadMore(): Promise<void> {
    if (this.#cursor && !this.loading.value) await this.#load(this.#cursor);
  }

  end(): void {
    this.#stop.abort();
    this.loading.value = false;
  }

  /** Goes on after `end` with the rows that are there. */
  resume(): void {
    this.#stop = new AbortController();
  }

  async #load(cursor: string | undefined): Promise<void> {
    const { signal: stop } = this.#stop;
    this.loading.value = true;
    try {
      const answer = await this.#ask(cursor, stop);
      if (stop.aborted) return;
      batch(() => {
        this.rows.value = cursor ? this.#joined(answer.rows) : answer.rows;
        if (!cursor) this.#known.clear();
        for (const row of answer.rows) this.#known.add(row.thread.id);
        this.#cursor = answer.cursor;
        this.#tell(answer, cursor !== undefined);
        this.fault.value = "";
        this.loaded.value = true;
        this.loading.value = false;
      });
    } catch (error) {
      if (stop.aborted) return;
      batch(() => {
        this.fault.value = sentenceOf(error);
        this.loading.value = false;
        this.loaded.value = true;
      });
    }
  }

  async #ask(cursor: string | undefined, stop: AbortSignal): Promise<Page> {
    const place = { ...(cursor ? { cursor } : {}), response_format: "detailed" };
    if (this.#filters.text.trim()) {
      const args = { ...searchArguments(this.#filters), limit: SEARCH_PAGE, ...place };
      return ofSearch(await link.call("thread_search", args, stop));
    }
    return ofList(await link.call("thread_list", { ...listArguments(this.#filters), limit: PAGE, ...place }, stop));
  }

  #joined(rows: Row[]): Row[] {
    const further = rows.filter((row) => !this.#known.has(row.thread.id));
    return this.rows.peek().concat(further);
  }

  #tell(answer: Page, isFurther: boolean): void {
    this.incomplete.value = answer.incomplete;
    indexing.value = answer.incomplete !== "";
    this.notes.value = answer.notes;
    this.noMatch.value = answer.noMatch;
    if (isFurther) return;
    this.total.value = answer.total;
    this.totalIsLeast.value = answer.totalIsLeast;
    this.hidden.value = answer.hidden;
    this.fresh.value = 0;
    this.#unknown.clear();
  }

  /** Brings rows that are shown up to date where they stand, and counts threads that are not shown yet. */
  async take(events: EventRow[]): Promise<void> {
    const rows = this.rows.peek();
    const touched = rows.filter(({ thread }) => events.some((event) => isAbout(event, thread.id)));
    for (const event of events) {
      if (COMES.has(event.type) && !rows.some(({ thread }) => isAbout(event, thread.id))) {
        this.#unknown.add(event.thread_id);
      }
    }
    if (!rows.length && this.#unknown.size) return this.begin();
    this.fresh.value = this.#unknown.size;
    const ids = touched.slice(0, MOST_AT_ONCE).map(({ thread }) => thread.id);
    if (ids.length) await this.refresh(ids);
  }

  /** Reads these rows anew. A row that is not in the list any more goes. */
  async refresh(ids: string[]): Promise<void> {
    const { text: _text, ...filters } = this.#filters;
    const args = { ...listArguments({ ...filters, text: "" }), thread_ids: ids, limit: 100, response_format: "detailed" };
    const answer = await link.call("thread_list", args, this.#stop.signal).catch(() => undefined);
    if (!answer) return;
    const now = new Map((answer.data ?? []).map((thread) => [thread.id, rowOf(thread)]));
    const whole = !answer.next_cursor;
    const before = this.rows.peek();
    const after = before.flatMap((row) => {
      if (!ids.includes(row.thread.id)) return [row];
      const fresh = now.get(row.thread.id);
      return fresh ? [{ ...row, ...fresh }] : whole ? [] : [row];
    });
    batch(() => {
      this.rows.value = after;
      if (this.total.value !== undefined) this.total.value -= before.length - after.length;
    });
  }
}

interface Page {
  rows: Row[];
  cursor: string | undefined;
  total: number | undefined;
  totalIsLeast: boolean;
  hidden: Hidden;
  incomplete: string;
  notes: string[];
  noMatch: Search["no_match"];
}

function ofList(answer: ThreadList): Page {
  return {
    rows: (answer.data ?? []).map((thread) => rowOf(thread)),
    cursor: answer.next_cursor,
    total: answer.total,
    totalIsLeast: answer.total_is_minimum ?? false,
    hidden: answer.hidden ?? {},
    incomplete: answer.incomplete ?? "",
    notes: answer.note ? [answer.note] : [],
    noMatch: undefined,
  };
}

function ofSearch(answer: Search): Page {
  const rows = (answer.data ?? []).map(({ thread, passages }) => rowOf(thread, passages ?? []));
  return {
    rows,
    cursor: answer.next_cursor,
    total: answer.total,
    totalIsLeast: false,
    hidden: {},
    incomplete: "",
    notes: [...(answer.notes ?? []), ...(answer.incomplete ?? [])],
    noMatch: answer.no_match,
  };
}
