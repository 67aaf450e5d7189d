/** What archiving would do, as its dry run tells, laid over the tree of agents. */

import { link } from "../link/link.ts";
import type { CascadeReceipt } from "../link/answers.ts";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { type Agent, below, loadTree } from "../tree/agents.ts";
import { inOrder, NO_FOLDS, type Spot, spotsOf } from "../tree/layout.ts";
import type { Names } from "./Failures.tsx";
import { countOf } from "./words.ts";

export interface Plan {
  rows: PlanRow[];
  /** Rows beyond those that are shown. */
  more: number;
  moves: number;
  stops: number;
  before: number;
  subAgents: number;
  failed: NonNullable<CascadeReceipt["failed"]>;
  /** What the call needs besides, if anything. */
  needs: string | undefined;
  names: Names;
}

export interface PlanRow {
  spot: Spot;
  /** The depth of the thread that its part of the plan begins with. */
  base: number;
  fate: Fate;
}

export type Fate = "move" | "stop" | "before" | "passed over";

const MOST_ROWS = 200;

/** The arguments that name these threads. */
export function naming(threads: readonly ThreadFacts[]): { thread_id: string } | { thread_ids: string[] } {
  const [first, ...others] = threads.map((thread) => thread.id);
  return first && !others.length ? { thread_id: first } : { thread_ids: threads.map((thread) => thread.id) };
}

/** Asks what archiving these threads would do. Throws what the tool refuses. */
export async function planArchive(threads: readonly ThreadFacts[], stop: AbortSignal): Promise<Plan> {
  const dryRun = { ...naming(threads), dry_run: true, interrupt_running: true };
  const [receipt, ...roots] = await Promise.all([
    link.call("thread_archive", dryRun, stop),
    ...threads.map((thread) => agentOf(thread, stop)),
  ]);
  const rows = roots.flatMap((root) => rowsOf(root, receipt));
  const [moves, before] = [countOf(receipt, "archived"), countOf(receipt, "already_archived")];
  const known = roots.flatMap((root) => [root, ...below(root)]);
  return {
    rows: rows.slice(0, MOST_ROWS),
    more: Math.max(0, rows.length - MOST_ROWS),
    moves,
    before,
    stops: countOf(receipt, "interrupted"),
    subAgents: Math.max(0, moves + before + countOf(receipt, "failed") - threads.length),
    failed: receipt.failed ?? [],
    needs: receipt.needs,
    names: (id) => {
      const agent = known.find((one) => one.id.startsWith(id));
      return agent?.parent ? agent.name : agent?.title;
    },
  };
}

async function agentOf(thread: ThreadFacts, stop: AbortSignal): Promise<Agent> {
  let found: Agent | undefined;
  await loadTree(
    thread.id,
    (tree) => {
      found = tree.asked;
    },
    stop,
  );
  if (!found) throw new Error(`The tree of "${titleOf(thread)}" is empty.`);
  return found;
}

function rowsOf(root: Agent, receipt: CascadeReceipt): PlanRow[] {
  return inOrder(spotsOf(root, NO_FOLDS)).map((spot) => {
    const [agent = root] = spot.kind === "agent" ? [spot.agent] : spot.agents;
    return { spot, base: root.depth, fate: fateOf(agent, receipt) };
  });
}

/** A dry run names threads by the beginning of their ids, and of long lists only the first and the last: then the
 * state of an agent tells whether it would be stopped. */
function fateOf(agent: Agent, receipt: CascadeReceipt): Fate {
  const isIt = (id: string) => agent.id.startsWith(id);
  if (receipt.failed?.some((failure) => isIt(failure.thread_id))) return "passed over";
  if (agent.archived) return "before";
  if (receipt.interrupted?.some(isIt)) return "stop";
  return receipt.left_out?.interrupted && agent.status === "active" ? "stop" : "move";
}
