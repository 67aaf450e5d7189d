/** What an agent does now and what it said last, from the newest items of its thread. */

import type { ItemEntry } from "../link/answers.ts";
import { told } from "../thread/told.ts";

export interface Doing {
  /** The call that is not finished yet; nothing if none is. */
  now?: string;
  said?: string;
  /** Whether what was said is longer than what is shown. */
  saidMore: boolean;
}

/** Reads the items from the newest to the oldest. */
export function doingOf(newestFirst: readonly ItemEntry[]): Doing {
  const items = newestFirst.map((entry) => entry.item);
  const call = items.find((item) => item.status === "inProgress");
  const message = items.find((item) => item.type === "agentMessage" && typeof item.text === "string");
  return {
    ...(call && { now: told(call) }),
    ...(message && { said: message.text as string }),
    saidMore: Boolean(message?.truncated),
  };
}
