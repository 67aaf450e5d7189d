import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Glyph, Word } from "../parts/State.tsx";
import { wholeNumber } from "../parts/time.ts";
import { inOrder, QUIET, type Spot, spotNames, spotState, spotTitle } from "./layout.ts";
import type { TreeProps } from "./TreeView.tsx";
import { Wires } from "./Wires.tsx";

/** Where the wires of an outline run, in pixels; deep trees have narrower steps. */
const START = 28;
const STEP = 24;
const LEAST_STEP = 6;
const INDENT = 240;

interface RowsProps extends TreeProps {
  /** The height of a row, and where its wire meets it. */
  height: number;
  /** What stands beside the rows, such as the time. */
  lane?: (spot: Spot) => ComponentChildren;
}

/** The tree as rows with wires. */
export function TreeRows(props: RowsProps) {
  const { root, label, onKey } = props;
  const spots = inOrder(root);
  const deepest = spots.reduce((most, spot) => Math.max(most, spot.depth), 1);
  const step = Math.max(LEAST_STEP, Math.min(STEP, INDENT / deepest));
  return (
    <div class="tree-rows" role="tree" aria-label={label} onKeyDown={onKey}>
      {spots.map((spot) => (
        <Row key={spot.id} spot={spot} step={step} {...props} />
      ))}
    </div>
  );
}

function Row({ spot, step, chosen, choose, openGroup, isDim, height, lane }: RowsProps & { spot: Spot; step: number }) {
  const state = spotState(spot);
  const isChosen = spot.id === chosen.id;
  const names = spotNames(spot) || (spot.kind === "agent" ? spot.agent.title : "");
  const hidden = spot.kind === "agent" && spot.hidden > 0 ? spot.hidden : 0;
  const row = useReveal(isChosen);
  return (
    <div
      ref={row}
      id={`spot-${spot.id}`}
      class={`tree-row${isDim(spot) ? " is-dim" : ""}`}
      role="treeitem"
      aria-level={spot.depth + 1}
      aria-selected={isChosen}
      aria-expanded={spot.kind === "quiet" ? false : spot.agent.children.length ? !hidden : undefined}
      tabIndex={isChosen ? 0 : -1}
      onClick={() => (spot.kind === "quiet" ? openGroup(spot) : choose(spot))}
    >
      <span class="agent">
        <Wires spot={spot} base={0} height={height} start={START} step={step} />
        <Glyph state={state} label={QUIET.has(state)} />
        <span class="names">
          <span class="name">
            <b>{spotTitle(spot)}</b> {spot.kind === "agent" && <span class="role">{spot.agent.role}</span>}
          </span>
          <span class="title cut">{names}</span>
        </span>
        {hidden > 0 && <span class="chip">+{wholeNumber(hidden)}</span>}
        <Word state={state} />
      </span>
      {lane && <span class="lane">{lane(spot)}</span>}
    </div>
  );
}

function useReveal(isChosen: boolean) {
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isChosen) row.current?.scrollIntoView({ block: "nearest" });
  }, [isChosen]);
  return row;
}
