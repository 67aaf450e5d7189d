import { useEffect, useState } from "preact/hooks";
import type { EventRow } from "../link/answers.ts";
import { onEvents } from "../link/live.ts";
import { changes } from "../parts/changed.ts";
import { sentenceOf } from "../parts/sentence.ts";
import { Soon } from "../parts/soon.ts";
import { type AgentTree, loadTree } from "./agents.ts";

const PAUSE_MS = 800;

export interface Loaded {
  tree: AgentTree | undefined;
  problem: string;
  /** Whether more of it is to come. */
  loading: boolean;
  /** Grows when something has happened in the tree. */
  turn: number;
}

/** The tree of a thread, read anew when something happens in it. What is shown stays until the new one is whole. */
export function useTree(threadId: string): Loaded {
  const [tree, setTree] = useState<AgentTree>();
  const [problem, setProblem] = useState("");
  const [loading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    const stop = new AbortController();
    let whole: AgentTree | undefined;
    const show = (page: AgentTree) => {
      whole = page;
      if (turn === 0) setTree(page);
    };
    loadTree(threadId, show, stop.signal).then(
      () => {
        setTree(whole);
        setProblem("");
        setLoading(false);
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        setProblem(sentenceOf(error));
        setLoading(false);
      },
    );
    return () => stop.abort();
  }, [threadId, turn]);

  useEffect(() => {
    const again = new Soon(() => setTurn((n) => n + 1), PAUSE_MS);
    const first = changes.value;
    const leave = [
      onEvents((events) => events.some((event) => concerns(tree, event)) && again.ask()),
      changes.subscribe((n) => n !== first && again.ask()),
    ];
    return () => {
      again.stop();
      leave.forEach((one) => one());
    };
  }, [tree]);

  return { tree, problem, loading, turn };
}

function concerns(tree: AgentTree | undefined, event: EventRow): boolean {
  if (!tree || event.type.startsWith("item/")) return false;
  const thread = event.payload?.thread as { parent_thread_id?: string } | undefined;
  return isIn(tree, event.thread_id) || (thread?.parent_thread_id !== undefined && isIn(tree, thread.parent_thread_id));
}

/** Answers name a thread by the beginning of its id where they have named it before. */
function isIn(tree: AgentTree, id: string): boolean {
  return tree.byId.has(id) || (id.length < 36 && tree.agents.some((agent) => agent.id.startsWith(id)));
}
