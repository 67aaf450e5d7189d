import { scaleTime } from "d3-scale";
import type { ScaleTime } from "d3-scale";
import { useEffect, useState } from "preact/hooks";
import { sentenceOf } from "../parts/sentence.ts";
import { clockTime, span, when, wholeNumber } from "../parts/time.ts";
import type { Agent } from "./agents.ts";
import { type AgentSpot, inOrder, type Spot, spotState } from "./layout.ts";
import { loadTimes, MOST_TIMES, type Times } from "./times.ts";
import { TreeRows } from "./TreeRows.tsx";
import type { TreeProps } from "./TreeView.tsx";

const MINUTE = 60_000;
const TICKS = 5;
/** Percent of the lane that stays free after now. */
const AFTER = 91;

/** The tree as rows with a bar for the time in which each agent worked. */
export function TreeTime(props: TreeProps & { turn: number }) {
  const agents = inOrder(props.root).flatMap((spot) => (spot.kind === "quiet" ? spot.agents : [spot.agent]));
  const { times, whole, problem } = useTimes(agents, props.root, props.turn);
  if (problem) return <p class="tree-note">{problem}</p>;
  if (!times) return <p class="tree-note">Reading when each agent worked…</p>;
  const shown = axisOf(props.root.id, times);
  if (!shown && !whole) return <p class="tree-note">Reading when each agent worked…</p>;
  if (!shown) return <p class="tree-note">No time is recorded in this tree.</p>;
  const { scale, runs } = shown;
  const ticks = scale.ticks(TICKS);
  const format = scale.tickFormat(TICKS, formatOf(scale));
  return (
    <div class="scroll tree-time">
      <div class="time-head" aria-hidden="true">
        <span>Agent{told(times, whole, agents.length)}</span>
        <span class="lane">
          {ticks
            .filter((tick) => scale(tick) > 0 && scale(tick) < AFTER - 8)
            .map((tick) => (
              <span key={tick.getTime()} style={{ left: `${scale(tick)}%` }}>
                {format(tick)}
              </span>
            ))}
          {runs && (
            <span class="now" style={{ left: `${AFTER}%` }}>
              now
            </span>
          )}
        </span>
      </div>
      <TreeRows
        {...props}
        height={44}
        lane={(spot) => (
          <>
            {ticks.map((tick) => (
              <i key={tick.getTime()} class="tick" style={{ left: `${scale(tick)}%` }} />
            ))}
            {runs && <i class="now" style={{ left: `${AFTER}%` }} />}
            <Bars spot={spot} times={times} scale={scale} />
          </>
        )}
      />
    </div>
  );
}

/** When the agents that are shown worked; read anew when others are shown, or when something has happened. */
function useTimes(agents: Agent[], root: AgentSpot, turn: number) {
  const [times, setTimes] = useState<Times>();
  const [whole, setWhole] = useState(false);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    setWhole(false);
    const add = (read: Times) => setTimes((before) => new Map([...(before ?? []), ...read]));
    loadTimes(agents, add, stop.signal).then(
      () => setWhole(true),
      (error: unknown) => {
        if (!stop.signal.aborted) setProblem(sentenceOf(error));
      },
    );
    return () => stop.abort();
  }, [root, turn]);
  return { times, whole, problem };
}

function told(times: Times, whole: boolean, agents: number): string {
  if (!whole) return `, times of ${wholeNumber(times.size)} read so far`;
  return agents > MOST_TIMES ? `, times of the first ${MOST_TIMES}` : "";
}

type Axis = ScaleTime<number, number>;

/** The axis begins with the first sub-agent: a main thread may be much older than its agents. */
function axisOf(rootId: string, times: Times): { scale: Axis; runs: boolean } | undefined {
  const all = [...times.values()];
  if (!all.length) return undefined;
  const below = [...times].filter(([id]) => id !== rootId).map(([, worked]) => worked);
  const first = Math.min(...(below.length ? below : all).map((worked) => worked.from.getTime()));
  const last = Math.max(...all.map((worked) => worked.to.getTime()), first + MINUTE);
  const room = (last - first) * 0.04;
  const runs = all.some((worked) => worked.runs);
  return { scale: scaleTime([first - room, last], [0, runs ? AFTER : 99]), runs };
}

/** Long times are told in days, short ones in seconds. */
function formatOf(scale: Axis): string {
  const [first, last] = scale.domain().map((date) => date.getTime());
  const long = (last ?? 0) - (first ?? 0);
  if (long > 36 * 60 * MINUTE) return "%-d %b";
  return long < 3 * MINUTE ? "%H:%M:%S" : "%H:%M";
}

function Bars({ spot, times, scale }: { spot: Spot; times: Times; scale: Axis }) {
  const state = spotState(spot);
  const agents = spot.kind === "quiet" ? spot.agents : [spot.agent];
  return (
    <>
      {agents.map((agent) => {
        const worked = times.get(agent.id);
        if (!worked) return null;
        const [left, right] = [scale(worked.from), scale(worked.to)];
        const before = left < 0;
        const text = before ? `since ${whenBegan(worked.from)}` : lasted(worked.to.getTime() - worked.from.getTime());
        return (
          <span
            key={agent.id}
            class={`bar-of is-${state}${worked.runs ? " is-open" : ""}`}
            title={`${when(worked.from)}, ${clockTime(worked.from)} to ${worked.runs ? "now" : clockTime(worked.to)}`}
            style={{ left: `${Math.max(0.5, left)}%`, width: `${Math.max(0.4, right - Math.max(0.5, left))}%` }}
          >
            {spot.kind === "agent" && <span>{text}</span>}
          </span>
        );
      })}
    </>
  );
}

/** Times are recorded in whole seconds. */
function lasted(milliseconds: number): string {
  return milliseconds < 1_000 ? "under 1 s" : span(milliseconds);
}

function whenBegan(date: Date): string {
  const told = when(date);
  return told.includes(":") ? told : `${told}, ${clockTime(date)}`;
}
