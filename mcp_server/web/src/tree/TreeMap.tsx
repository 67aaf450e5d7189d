import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Icon } from "../parts/Icon.tsx";
import { Glyph, Word } from "../parts/State.tsx";
import { wholeNumber } from "../parts/time.ts";
import {
  type AgentSpot,
  layout,
  NODE,
  type Picture,
  type Placed,
  QUIET,
  spotNames,
  spotState,
  spotTitle,
} from "./layout.ts";
import type { TreeProps } from "./TreeView.tsx";
import { usePanning } from "./usePanning.ts";

const SCALES = [0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5];
const LEAST_FIT = 0.5;
/** Larger pictures are drawn only around what is in sight. */
const WHOLE = 300;
const AROUND = 400;

/** The tree as a map: the root at the left, each level a column. */
export function TreeMap(props: TreeProps & { fitted: number }) {
  const { root, chosen, label, onKey } = props;
  const frame = useRef<HTMLDivElement>(null);
  const picture = useMemo(() => layout(root), [root]);
  const { scale, zoom, fit, sight, look } = useScale(frame, picture);
  usePanning(frame);
  useEffect(() => {
    if (props.fitted) fit();
  }, [props.fitted]);
  const width = picture.width * scale;
  const height = picture.height * scale;
  const top = Math.max(0, (sight.height - height) / 2);
  const seen =
    picture.placed.length <= WHOLE ? picture.placed : picture.placed.filter((one) => inSight(one, sight, scale, top));
  useReveal(frame, picture, chosen.id, scale, top);
  return (
    <div class="map-frame">
      <div class="map" ref={frame} onScroll={look} onKeyDown={onKey}>
        <div class="map-size" style={{ width: `${width}px`, height: `${Math.max(height, top + height)}px` }}>
          <div
            class="map-scaled"
            style={{
              transform: `translateY(${top}px) scale(${scale})`,
              width: `${picture.width}px`,
              height: `${picture.height}px`,
            }}
          >
            <Edges
              picture={picture}
              chosen={chosen.id}
              isSeen={(from, to) => edgeInSight(from, to, sight, scale, top)}
            />
            <div role="tree" aria-label={label}>
              {seen.map((one) => (
                <Node key={one.spot.id} placed={one} {...props} />
              ))}
            </div>
          </div>
        </div>
      </div>
      <div class="zoom segments" role="group" aria-label="Zoom">
        <button type="button" aria-label="Smaller" onClick={() => zoom(-1)}>
          −
        </button>
        <button type="button" onClick={fit}>
          Fit <kbd>0</kbd>
        </button>
        <button type="button" aria-label="Larger" onClick={() => zoom(1)}>
          +
        </button>
      </div>
    </div>
  );
}

interface Sight {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** How large the map is drawn, and what part of it is in sight. */
function useScale(frame: { current: HTMLDivElement | null }, picture: Picture) {
  const [scale, setScale] = useState(1);
  const [sight, setSight] = useState<Sight>({ left: 0, top: 0, width: 0, height: 0 });
  const look = () => {
    const box = frame.current;
    if (box) setSight({ left: box.scrollLeft, top: box.scrollTop, width: box.clientWidth, height: box.clientHeight });
  };
  useLayoutEffect(() => {
    look();
    const observer = new ResizeObserver(look);
    if (frame.current) observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);
  const zoom = (steps: number) => {
    const nearest = SCALES.reduce((best, one) => (Math.abs(one - scale) < Math.abs(best - scale) ? one : best), 1);
    setScale(SCALES[SCALES.indexOf(nearest) + steps] ?? nearest);
  };
  const fit = () => {
    const box = frame.current;
    if (!box) return;
    const fits = Math.min(box.clientWidth / picture.width, box.clientHeight / picture.height, 1);
    setScale(Math.max(LEAST_FIT, fits));
  };
  return { scale, zoom, fit, sight, look };
}

function inSight({ x, y }: Placed, sight: Sight, scale: number, top: number): boolean {
  const [left, middle] = [x * scale, y * scale + top];
  return (
    left < sight.left + sight.width + AROUND &&
    left + NODE.width > sight.left - AROUND &&
    middle > sight.top - AROUND &&
    middle < sight.top + sight.height + AROUND
  );
}

function edgeInSight(from: Placed, to: Placed, sight: Sight, scale: number, top: number): boolean {
  const [first, last] = [Math.min(from.y, to.y) * scale + top, Math.max(from.y, to.y) * scale + top];
  const [left, right] = [from.x * scale, (to.x + NODE.width) * scale];
  const [width, height] = [sight.left + sight.width, sight.top + sight.height];
  return last > sight.top && first < height && right > sight.left && left < width;
}

/** Keeps the chosen node where the reader sees it when the picture grows, and brings it into sight when it is not. */
function useReveal(
  frame: { current: HTMLDivElement | null },
  picture: Picture,
  id: string,
  scale: number,
  top: number,
) {
  const before = useRef({ id: "", x: 0, y: 0 });
  useLayoutEffect(() => {
    const box = frame.current;
    const place = picture.placed.find((one) => one.spot.id === id);
    if (!box || !place) return;
    const [x, y] = [place.x * scale, place.y * scale + top];
    const was = before.current;
    before.current = { id, x, y };
    if (was.id === id) box.scrollBy(x - was.x, y - was.y);
    const [width, half] = [NODE.width * scale, NODE.height * scale];
    if (x < box.scrollLeft || x + width > box.scrollLeft + box.clientWidth)
      box.scrollLeft = x - (box.clientWidth - width) / 2;
    if (y - half < box.scrollTop || y + half > box.scrollTop + box.clientHeight)
      box.scrollTop = y - box.clientHeight / 2;
  }, [picture, id, scale, top]);
}

interface EdgesProps {
  picture: Picture;
  chosen: string;
  isSeen: (from: Placed, to: Placed) => boolean;
}

function Edges({ picture, chosen, isSeen }: EdgesProps) {
  const places = useMemo(() => new Map(picture.placed.map((one) => [one.spot.id, one])), [picture]);
  const way = new Set<string>();
  for (let at = places.get(chosen)?.spot; at; at = at.parent) way.add(at.id);
  const drawn = picture.placed.flatMap((to) => {
    const from = to.spot.parent && places.get(to.spot.parent.id);
    return from && (picture.placed.length <= WHOLE || isSeen(from, to)) ? [{ from, to }] : [];
  });
  drawn.sort((one, other) => Number(way.has(one.to.spot.id)) - Number(way.has(other.to.spot.id)));
  return (
    <svg class="edges" width={picture.width} height={picture.height} aria-hidden="true">
      {drawn.map(({ from, to }) => (
        <path key={to.spot.id} class={edgeClass(to, way)} d={curve(from, to)} />
      ))}
    </svg>
  );
}

function edgeClass({ spot }: Placed, way: Set<string>): string {
  if (way.has(spot.id)) return "is-way";
  if (spot.kind === "quiet") return "is-closed";
  if (spot.agent.state === "running") return "is-running";
  return spot.agent.closed ? "is-closed" : "";
}

function curve(from: Placed, to: Placed): string {
  const [x, end] = [from.x + NODE.width, to.x];
  const middle = (x + end) / 2;
  return `M${x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${end} ${to.y}`;
}

function Node({ placed: { spot, x, y }, chosen, choose, openGroup, fold, isDim }: { placed: Placed } & TreeProps) {
  const state = spotState(spot);
  const isChosen = spot.id === chosen.id;
  const height = spot.kind === "quiet" ? NODE.quiet : NODE.height;
  const kind = spot.kind === "quiet" ? " is-group" : "";
  return (
    <div
      id={`spot-${spot.id}`}
      class={`node is-${state}${kind}${isDim(spot) ? " is-dim" : ""}`}
      style={{ left: `${x}px`, top: `${y - height / 2}px` }}
      role="treeitem"
      aria-selected={isChosen}
      aria-level={spot.depth + 1}
      aria-expanded={expanded(spot)}
      tabIndex={isChosen ? 0 : -1}
      onClick={() => (spot.kind === "quiet" ? openGroup(spot) : choose(spot))}
    >
      <Glyph state={state} label={QUIET.has(state)} />
      <span class="cut">
        <b>{spotTitle(spot)}</b> {spot.kind === "agent" && <span class="role">{spot.agent.role}</span>}
      </span>
      {spot.kind === "quiet" ? <Icon name="right" /> : <Word state={state} />}
      {spot.kind === "agent" && <span class="title cut">{spotNames(spot) || spot.agent.title}</span>}
      {spot.kind === "agent" && spot.agent.children.length > 0 && <Handle spot={spot} fold={fold} />}
    </div>
  );
}

function expanded(spot: Placed["spot"]): boolean | undefined {
  if (spot.kind === "quiet") return false;
  return spot.agent.children.length ? spot.hidden === 0 : undefined;
}

/** Folds what is below a node, for pointers; the keyboard has a key for it. */
function Handle({ spot, fold }: { spot: AgentSpot; fold: (spot: AgentSpot) => void }) {
  return (
    <span
      class={`handle${spot.hidden ? " is-folded" : ""}`}
      aria-hidden="true"
      title={spot.hidden ? `Show the ${wholeNumber(spot.hidden)} below` : "Fold what is below"}
      onClick={(event) => {
        event.stopPropagation();
        fold(spot);
      }}
    >
      {spot.hidden ? `+${wholeNumber(spot.hidden)}` : "−"}
    </span>
  );
}
