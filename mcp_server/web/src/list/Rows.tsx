import type { Signal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { narrow } from "../parts/narrow.ts";
import type { Entry } from "./entries.ts";
import type { Listing, Row } from "./listing.ts";
import { doings } from "./now.tsx";
import { RowLink } from "./RowLink.tsx";
import { useVirtual } from "./useVirtual.ts";

interface Props {
  scroller: RefObject<HTMLDivElement | null>;
  entries: Entry[];
  order: Row[];
  places: number[];
  chosen: Signal<number>;
  listing: Listing;
  onScroll: (top: number) => void;
  /** The reader takes the list in hand: nothing else moves it then. */
  stop: () => void;
  /** What stands above the rows and scrolls away with them. */
  children?: ComponentChildren;
}

const NEAR_END = 30;
/** Heights, as in list.css. They are known, so that a list of any length is laid out without being measured; only a
 * passage of a search may take several lines. */
const FIRST_DAY = 36;
const DAY = 44;
const WIDE = { row: 38, live: 56, hit: 62 };
const NARROW = { row: 58, live: 76, hit: 84 };

/** The rows under headings of days. Only those in sight are in the document. */
export function Rows({ scroller, entries, order, places, chosen, listing, onScroll, stop, children }: Props) {
  const head = useRef<HTMLDivElement>(null);
  const estimateSize = useCallback((at: number) => sizeOf(entries[at], at), [entries]);
  const getItemKey = useCallback((at: number) => keyOf(entries[at], at), [entries]);
  const [above, setAbove] = useState(0);
  const list = useVirtual(scroller, { count: entries.length, estimateSize, getItemKey, scrollMargin: above });
  useEffect(() => list.measure(), [narrow.value]);
  useLayoutEffect(() => setAbove(head.current?.offsetHeight ?? 0));
  const seen = list.getVirtualItems();
  const last = seen.at(-1)?.index ?? 0;
  const at = chosen.value;

  useEffect(() => {
    if (last > entries.length - NEAR_END) void listing.loadMore();
  }, [last, entries.length, listing.loading.value]);
  useEffect(() => {
    const place = places[at];
    if (place !== undefined) list.scrollToIndex(place === 1 ? 0 : place, { align: "auto" });
  }, [at]);

  return (
    <div
      ref={scroller}
      class="scroll list"
      onScroll={(event) => onScroll(event.currentTarget.scrollTop)}
      onWheel={stop}
      onPointerDown={stop}
    >
      <div ref={head}>{children}</div>
      <div class="day pinned" aria-hidden="true">
        {(list.scrollOffset ?? 0) >= above && heading(entries, list.scrollOffset ?? 0, seen)}
      </div>
      <div
        class="list-all"
        role="listbox"
        tabIndex={0}
        aria-label="Threads"
        aria-busy={listing.loading.value}
        aria-activedescendant={seen.some(({ index }) => isAt(entries[index], at)) ? `row-${at}` : undefined}
        style={{ height: `${list.getTotalSize()}px` }}
      >
        {seen.map(({ key, index, start }) => {
          const entry = entries[index];
          return (
            entry && (
              <div
                key={key}
                ref={entry.kind === "row" && entry.row.passages ? list.measureElement : undefined}
                data-index={index}
                class="list-entry"
                role="presentation"
                style={{ transform: `translateY(${start - above}px)` }}
              >
                {entry.kind === "day" ? (
                  <Day entry={entry} />
                ) : (
                  <RowLink
                    row={entry.row}
                    live={entry.live}
                    now={doings.value[entry.row.thread.id]}
                    chosen={entry.at === at}
                    id={`row-${entry.at}`}
                    place={entry.at + 1}
                    of={listing.total.value ?? order.length}
                  />
                )}
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}

function Day({ entry }: { entry: Extract<Entry, { kind: "day" }> }) {
  return (
    <div class="day" role="presentation">
      <b>{entry.label}</b>
      {entry.count !== undefined && <span class="figures">{entry.count}</span>}
    </div>
  );
}

/** The heading of the day that the first row in sight belongs to. */
function heading(entries: Entry[], offset: number, seen: { index: number; end: number }[]) {
  const first = seen.find(({ end }) => end > offset)?.index ?? 0;
  for (let at = first; at >= 0; at -= 1) {
    const entry = entries[at];
    if (entry?.kind === "day") return <Day entry={entry} />;
  }
  return null;
}

function isAt(entry: Entry | undefined, at: number): boolean {
  return entry?.kind === "row" && entry.at === at;
}

function sizeOf(entry: Entry | undefined, at: number): number {
  if (entry?.kind !== "row") return at === 0 ? FIRST_DAY : DAY;
  const sizes = narrow.peek() ? NARROW : WIDE;
  return entry.row.passages ? sizes.hit : entry.live ? sizes.live : sizes.row;
}

function keyOf(entry: Entry | undefined, at: number): string {
  if (entry?.kind === "row") return entry.row.thread.id;
  return `${entry?.label ?? ""} ${at}`;
}
