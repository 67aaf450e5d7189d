import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { link } from "../link/link.ts";
import { go } from "../parts/route.ts";
import type { State } from "../parts/thread.ts";
import { type Agent, type AgentTree, wayTo } from "./agents.ts";
import {
  type AgentSpot,
  type Folds,
  groupId,
  inOrder,
  NO_FOLDS,
  type QuietSpot,
  type Spot,
  spotsOf,
  unfolded,
} from "./layout.ts";
import type { View } from "./TreeView.tsx";
import { stepOf, walk } from "./walk.ts";

/** What is folded, what is chosen, and how the keys move it. */
export function useWalking(tree: AgentTree, filter: ReadonlySet<State>, view: View, isMap: boolean) {
  const [folds, setFolds] = useState<Folds>(() => openTo(tree.asked));
  const [chosenId, setChosenId] = useState(tree.asked.id);
  const focusNext = useRef(true);
  const matches = filter.size ? (agent: Agent) => filter.has(agent.state) : undefined;
  const root = useMemo(() => {
    return view === "text" ? unfolded(tree.root, matches) : spotsOf(tree.root, folds, matches);
  }, [tree, folds, filter, view]);
  const spots = useMemo(() => inOrder(root), [root]);
  const chosen = spotFor(chosenId, tree, spots) ?? root;

  useEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    document.getElementById(`spot-${chosen.id}`)?.focus();
  }, [chosen.id, root]);

  const choose = (spot: Spot) => {
    focusNext.current = true;
    setChosenId(spot.id);
    if (spot.id === chosen.id) document.getElementById(`spot-${spot.id}`)?.focus();
  };
  const openGroup = (group: QuietSpot) => {
    focusNext.current = true;
    setFolds({ ...folds, opened: new Set([...folds.opened, group.id]) });
    setChosenId(group.agents[0]?.id ?? group.parent.id);
  };
  const fold = (spot: AgentSpot) => {
    const changed = folded(folds, spot);
    if (!changed) return;
    setFolds(changed.folds);
    choose(changed.at);
  };
  const act = () => {
    if (chosen.kind === "quiet") openGroup(chosen);
    else if (link.holds(chosen.agent.id)) go("thread", chosen.agent.id);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = stepOf(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) choose(walk(spots, chosen, step, isMap));
    else if (event.key === "Enter") act();
    else if (event.key !== " ") return;
    else if (chosen.kind === "agent") fold(chosen);
    else openGroup(chosen);
    event.preventDefault();
    event.stopPropagation();
  };
  const isDim = (spot: Spot) => Boolean(matches) && spot.kind === "agent" && !matches?.(spot.agent);
  const agent = chosen.kind === "agent" ? chosen.agent : (chosen.agents[0] ?? tree.root);
  return {
    root,
    agent,
    chooseAgent: (one: Agent) => setChosenId(one.id),
    props: { chosen, choose, openGroup, fold, isDim, onKey },
  };
}

/** The way to the thread that was asked for is open from the beginning. */
function openTo(agent: Agent): Folds {
  return { ...NO_FOLDS, opened: new Set(wayTo(agent).map((one) => one.id)) };
}

/** Folds what is below a spot, or opens it. A leaf has nothing to fold, but may stand in a group that was opened. */
function folded(folds: Folds, spot: AgentSpot): { folds: Folds; at: AgentSpot } | undefined {
  const [shut, opened] = [new Set(folds.folded), new Set(folds.opened)];
  if (!spot.agent.children.length) {
    const { parent } = spot;
    return parent && opened.delete(groupId(parent.agent)) ? { folds: { folded: shut, opened }, at: parent } : undefined;
  }
  if (spot.hidden) {
    shut.delete(spot.id);
    opened.add(spot.id);
  } else {
    shut.add(spot.id);
    opened.delete(spot.id);
    opened.delete(groupId(spot.agent));
  }
  return { folds: { folded: shut, opened }, at: spot };
}

/** The spot of an agent or a group: its own, else the one that it is folded into. */
function spotFor(id: string, tree: AgentTree, spots: readonly Spot[]): Spot | undefined {
  const own = spots.find((spot) => spot.id === id);
  if (own) return own;
  const group = spots.find((spot) => spot.kind === "quiet" && spot.agents.some((agent) => agent.id === id));
  if (group) return group;
  const parent = tree.byId.get(id)?.parent;
  return parent && spotFor(parent.id, tree, spots);
}
