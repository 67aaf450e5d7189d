import { useEffect, useState } from "preact/hooks";
import type { DetailedThread, Turn } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { onEvents } from "../link/live.ts";
import { sentenceOf } from "../parts/sentence.ts";
import { Soon } from "../parts/soon.ts";
import { type Doing, doingOf } from "./doing.ts";

/** What is recorded of one agent. */
export interface AgentLook {
  thread?: DetailedThread;
  lastTurn?: Turn | undefined;
  doing?: Doing;
  problem?: string;
}

const NOTHING: AgentLook = {};
const PAUSE_MS = 500;
/** Among so many items there is a message in nearly every thread. */
const NEWEST_ITEMS = 12;
const TEXT_CHARS = 700;

/** What is recorded of an agent, read anew when something happens in its thread. */
export function useAgent(id: string, turn: number): AgentLook {
  const [read, setRead] = useState({ id, look: NOTHING });
  const [grown, setGrown] = useState(0);
  useEffect(() => {
    const again = new Soon(() => setGrown((n) => n + 1), PAUSE_MS);
    const leave = onEvents((events) => {
      if (events.some((event) => id.startsWith(event.thread_id))) again.ask();
    });
    return () => {
      again.stop();
      leave();
    };
  }, [id]);
  useEffect(() => {
    const stop = new AbortController();
    readAgent(id, stop.signal).then(
      (look) => setRead({ id, look }),
      (error: unknown) => {
        if (!stop.signal.aborted) setRead({ id, look: { problem: sentenceOf(error) } });
      },
    );
    return () => stop.abort();
  }, [id, turn, grown]);
  return read.id === id ? read.look : NOTHING;
}

async function readAgent(thread_id: string, stop: AbortSignal): Promise<AgentLook> {
  const newest = { thread_id, sort_direction: "desc", limit: NEWEST_ITEMS, max_chars: TEXT_CHARS };
  const [read, items] = await Promise.all([
    link.call("thread_read", { thread_id, limit: 1, items_view: "notLoaded", response_format: "detailed" }, stop),
    link.call("thread_items", newest, stop),
  ]);
  return { thread: read.thread as DetailedThread, lastTurn: read.turns?.[0], doing: doingOf(items.data ?? []) };
}
