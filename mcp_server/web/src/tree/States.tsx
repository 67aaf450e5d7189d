import { Glyph, WORDS } from "../parts/State.tsx";
import type { State } from "../parts/thread.ts";
import { wholeNumber } from "../parts/time.ts";
import type { AgentTree } from "./agents.ts";

interface Props {
  tree: AgentTree;
  loading: boolean;
  filter: ReadonlySet<State>;
  setFilter: (filter: ReadonlySet<State>) => void;
  problem: string;
}

const ORDER: State[] = ["running", "waits", "failed", "interrupted", "done", "ready", "rest", "archived", "missing"];

/** How many agents are in each state. A press shows only these, and the way to them. */
export function States({ tree, loading, filter, setFilter, problem }: Props) {
  const counts = new Map<State, number>();
  for (const agent of tree.agents) counts.set(agent.state, (counts.get(agent.state) ?? 0) + 1);
  const toggle = (state: State) => {
    const next = new Set(filter);
    if (!next.delete(state)) next.add(state);
    setFilter(next);
  };
  return (
    <div class="states" role="group" aria-label="Show only these states">
      {ORDER.filter((state) => counts.has(state) || filter.has(state)).map((state) => (
        <button key={state} type="button" aria-pressed={filter.has(state)} onClick={() => toggle(state)}>
          <Glyph state={state} label={false} />
          {wholeNumber(counts.get(state) ?? 0)} {WORDS[state]}
        </button>
      ))}
      {filter.size > 0 && (
        <button type="button" class="link" onClick={() => setFilter(new Set())}>
          Show all
        </button>
      )}
      <span class="faint" role="status">
        {told(tree, loading, problem)}
      </span>
    </div>
  );
}

function told(tree: AgentTree, loading: boolean, problem: string): string {
  if (problem) return `Not up to date: ${problem}`;
  const [shown, all] = [wholeNumber(tree.agents.length), wholeNumber(tree.total)];
  if (loading && tree.agents.length < tree.total) return `${shown} of ${all} read so far`;
  if (tree.agents.length < tree.total) return `The first ${shown} of ${all} are shown`;
  return tree.total === 1 ? "This thread has no sub-agents" : "";
}
