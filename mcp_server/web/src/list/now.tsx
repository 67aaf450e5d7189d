/** What a running thread does now: its last item in one line. */

import { signal } from "@preact/signals";
import type { Item } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { told } from "../thread/told.ts";
import type { Row } from "./listing.ts";

const MOST = 8;
export const doings = signal<Record<string, string>>({});

export async function lookAt(running: Row[]): Promise<void> {
  const seen = await Promise.all(running.slice(0, MOST).map(async ({ thread }) => [thread.id, await doing(thread.id)]));
  doings.value = Object.fromEntries(seen) as Record<string, string>;
}

async function doing(threadId: string): Promise<string> {
  const args = { thread_id: threadId, limit: 1, sort_direction: "desc", max_chars: 200 };
  const answer = await link.call("thread_items", args).catch(() => undefined);
  const item: Item | undefined = answer?.data?.[0]?.item;
  return item ? told(item) : "";
}
