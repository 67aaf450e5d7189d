/** Follows the log of events, and tells the views what has happened to which threads. */

import type { EventRow, Events } from "./answers.ts";
import { link } from "./link.ts";

type Listener = (events: EventRow[]) => void;

const WAIT_SECONDS = 45;
const PAUSE_MS = 3_000;
const listeners = new Set<Listener>();
let after: number | undefined;
let reading: Promise<void> | undefined;
let again = false;

/** Calls the listener with each batch of events, until the returned function is called. */
export function onEvents(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function follow(): void {
  const way = link.way;
  if (way.watch) way.watch(() => void readOn());
  else void wait();
}

/** Reads what is new. A call while one reads makes it read once more. */
function readOn(): Promise<void> {
  again = true;
  reading ??= (async () => {
    while (again) {
      again = false;
      await read(0).catch(() => undefined);
    }
    reading = undefined;
  })();
  return reading;
}

async function wait(): Promise<never> {
  for (;;) {
    try {
      await read(document.hidden ? 0 : WAIT_SECONDS);
      if (document.hidden) await pause();
    } catch {
      await pause();
    }
  }
}

async function read(wait_seconds: number): Promise<void> {
  if (after === undefined) {
    after = (await link.call("events_read", { after: "now" })).last_seq ?? 0;
    return;
  }
  for (let more = true; more; ) {
    const answer: Events = await link.call("events_read", { after, limit: 100, wait_seconds });
    after = answer.last_seq ?? after;
    more = answer.more === true;
    if (answer.data?.length) for (const listener of listeners) listener(answer.data);
  }
}

/** Whether an event is about this thread: answers repeat an id by its beginning. */
export function isAbout(event: EventRow, threadId: string): boolean {
  return threadId.startsWith(event.thread_id);
}

function pause(): Promise<void> {
  return new Promise((go) => setTimeout(go, PAUSE_MS));
}
