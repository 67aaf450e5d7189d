/** When agents worked, from the last turn of each. */

import type { DetailedThread } from "../link/answers.ts";
import { link } from "../link/link.ts";
import type { Agent } from "./agents.ts";

export interface Worked {
  from: Date;
  to: Date;
  runs: boolean;
}

export type Times = ReadonlyMap<string, Worked>;

/** So many agents are asked about at once, and at most so many in all. */
const AT_ONCE = 6;
export const MOST_TIMES = 300;

/** Reads when each agent began and when its last turn ended, and tells of what is known after each round. A list of
 * threads would not do: its times are those of files, which also change when a file is copied or moved. */
export async function loadTimes(
  agents: readonly Agent[],
  show: (times: Times) => void,
  stop: AbortSignal,
): Promise<void> {
  const found = new Map<string, Worked>();
  const asked = agents.slice(0, MOST_TIMES);
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    const round = asked.slice(at, at + AT_ONCE);
    const read = await Promise.all(round.map((agent) => workOf(agent, stop)));
    round.forEach((agent, n) => {
      const worked = read[n];
      if (worked) found.set(agent.id, worked);
    });
    show(new Map(found));
  }
}

async function workOf(agent: Agent, stop: AbortSignal): Promise<Worked | undefined> {
  if (agent.status === "missing") return undefined;
  const args = { thread_id: agent.id, limit: 1, items_view: "notLoaded", response_format: "detailed" };
  const read = await link.call("thread_read", args, stop);
  const from = new Date((read.thread as DetailedThread).created_at);
  if (agent.state === "running" || agent.state === "waits") return { from, to: new Date(), runs: true };
  const turn = read.turns?.[0];
  const end = turn?.completed_at ?? turn?.started_at;
  return end ? { from, to: new Date(Math.max(new Date(end).getTime(), from.getTime())), runs: false } : undefined;
}
