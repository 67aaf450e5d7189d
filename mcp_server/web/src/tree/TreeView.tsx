import { useEffect, useState } from "preact/hooks";
import { open } from "../parts/dialog.ts";
import { useKeys } from "../parts/keys.ts";
import { Keystrip } from "../parts/Keystrip.tsx";
import { href } from "../parts/route.ts";
import type { State } from "../parts/thread.ts";
import { can } from "../shell/abilities.ts";
import { drawn } from "../shell/start.ts";
import { type AgentTree, factsOfAgent } from "./agents.ts";
import { Head } from "./Head.tsx";
import type { AgentSpot, QuietSpot, Spot } from "./layout.ts";
import { States } from "./States.tsx";
import { TreeMap } from "./TreeMap.tsx";
import { TreePane, TreeSheet } from "./TreePane.tsx";
import { TreeRows } from "./TreeRows.tsx";
import { TreeText } from "./TreeText.tsx";
import { TreeTime } from "./TreeTime.tsx";
import { useTree } from "./useTree.ts";
import { useWalking } from "./useWalking.ts";
import { useWidth } from "./useWidth.ts";

/** What each picture of a tree is given. */
export interface TreeProps {
  root: AgentSpot;
  chosen: Spot;
  label: string;
  choose: (spot: Spot) => void;
  openGroup: (group: QuietSpot) => void;
  fold: (spot: AgentSpot) => void;
  /** Whether a spot is only shown as a part of the way to one that matches. */
  isDim: (spot: Spot) => boolean;
  onKey: (event: KeyboardEvent) => void;
}

const ARCHIVE: [string[], string] = [["E"], "archive"];

export type View = "map" | "time" | "text";

/** The sub-agents of a thread as a picture that one can walk. */
export function TreeView({ threadId }: { threadId: string }) {
  const { tree, problem, loading, turn } = useTree(threadId);
  useEffect(() => {
    if (tree || problem) drawn();
  }, [tree !== undefined, problem]);
  if (!tree) {
    return (
      <div class="empty" aria-busy={!problem}>
        {problem ? <h1>The tree can't be shown</h1> : <p class="faint">Reading the tree…</p>}
        {problem && <p role="alert">{problem}</p>}
        {problem && (
          <a class="button" href={href("list")}>
            To the threads
          </a>
        )}
      </div>
    );
  }
  return <Shown tree={tree} loading={loading} turn={turn} problem={problem} />;
}

interface ShownProps {
  tree: AgentTree;
  loading: boolean;
  turn: number;
  problem: string;
}

function Shown({ tree, loading, turn, problem }: ShownProps) {
  const [view, setView] = useState<View>("map");
  const [filter, setFilter] = useState<ReadonlySet<State>>(new Set());
  const [fitted, setFitted] = useState(0);
  const width = useWidth();
  const hasPane = width === "wide";
  const hasMap = hasPane || width === "medium";
  // A narrow page has room for the outline alone.
  const shown = width === "narrow" ? "map" : view;
  const isMap = hasMap && shown === "map";
  const walking = useWalking(tree, filter, shown, isMap);
  const { root, agent } = walking;
  const isArchived = tree.root.archived;
  const moveAll = () => open({ kind: isArchived ? "unarchive" : "archive", threads: [factsOfAgent(tree.root)] });
  useKeys({
    "1": () => setView("map"),
    "2": () => setView("time"),
    "3": () => setView("text"),
    "0": () => setFitted((n) => n + 1),
    e: () => !isArchived && can("thread_archive") && moveAll(),
    "⇧e": () => isArchived && can("thread_unarchive") && moveAll(),
  });
  const props = { ...walking.props, root, label: `Sub-agents of ${tree.root.title}` };
  return (
    <>
      <Head tree={tree} view={view} setView={setView} moveAll={moveAll} hasMap={hasMap} />
      <States tree={tree} loading={loading} filter={filter} setFilter={setFilter} problem={problem} />
      <div class="tree-body">
        {isMap && <TreeMap {...props} fitted={fitted} />}
        {shown === "map" && !isMap && (
          <div class="scroll tree-list">
            <TreeRows {...props} height={58} />
          </div>
        )}
        {shown === "time" && <TreeTime {...props} turn={turn} />}
        {shown === "text" && <TreeText {...props} />}
        {hasPane ? (
          <TreePane agent={agent} forks={tree.forks} turn={turn} choose={walking.chooseAgent} />
        ) : (
          <TreeSheet agent={agent} turn={turn} />
        )}
      </div>
      <Keystrip
        keys={[
          [["←", "→"], "parent, child"],
          [["↑", "↓"], isMap ? "siblings" : "up, down"],
          [["↵"], "open"],
          [["Space"], "fold"],
          ...(can("thread_archive") ? [ARCHIVE] : []),
          [["0"], "fit"],
          [["1", "2", "3"], "map, time, text"],
          [["?"], "all keys"],
        ]}
      />
    </>
  );
}
