import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { onEvents } from "../link/live.ts";
import { changes } from "../parts/changed.ts";
import { drawn, indexing, whenCalm } from "../shell/start.ts";
import { type Filters, readFilters } from "./filters.ts";
import { keep, recall } from "./kept.ts";
import { Listing } from "./listing.ts";
import { lookAt } from "./now.tsx";

const LOOK_AGAIN_MS = 10_000;
const AT_TOP = 40;

export interface ListState {
  listing: Listing;
  /** What runs now. */
  live: Listing;
  scroller: RefObject<HTMLDivElement | null>;
  /** The number of the row that is chosen, -1 for none. */
  chosen: Signal<number>;
  onScroll: (top: number) => void;
}

/** The rows for these filters: as the reader left them, or read anew. */
export function useListing(filters: Filters): ListState {
  const key = JSON.stringify(filters);
  const [listing] = useState(() => recall(key)?.listing ?? new Listing(filters));
  const [live] = useState(() => recall(key)?.live ?? new Listing({ ...readFilters(new URLSearchParams()), state: "running" }));
  const scroller = useRef<HTMLDivElement>(null);
  const chosen = useSignal(-1);
  const place = useRef({ key, scrollTop: 0 });
  place.current.key = key;

  useEffect(() => {
    const left = recall(key);
    const isBack = left?.listing === listing && listing.loaded.peek();
    chosen.value = isBack ? left.chosen : -1;
    scroller.current?.scrollTo(0, isBack ? left.scrollTop : 0);
    if (isBack) listing.resume();
    void (isBack ? listing.again() : listing.begin(filters)).then(drawn);
  }, [key]);
  useEffect(() => () => keep({ ...place.current, listing, live, chosen: chosen.peek() }), []);
  useEffect(() => keepFresh(listing, live, () => (scroller.current?.scrollTop ?? 0) < AT_TOP), []);
  const onScroll = (top: number) => {
    place.current.scrollTop = top;
  };
  return { listing, live, scroller, chosen, onScroll };
}

/** Keeps the rows in step with what happens, here and in other programs. Nothing above the reader moves. */
function keepFresh(listing: Listing, live: Listing, atTop: () => boolean): () => void {
  const look = async () => {
    if (!atTop()) return;
    await live.begin();
    await lookAt(live.rows.peek());
  };
  if (indexing.peek()) void whenCalm().then(look);
  else void look();
  const timer = setInterval(() => {
    if (!document.hidden && live.rows.peek().length) void look();
  }, LOOK_AGAIN_MS);
  const leave = [
    onEvents((events) => {
      void listing.take(events);
      if (events.some((event) => event.type.startsWith("turn/") || event.type.startsWith("item/"))) void look();
    }),
    changes.subscribe((n) => n && void listing.again()),
  ];
  return () => {
    clearInterval(timer);
    leave.forEach((one) => one());
    listing.end();
    live.end();
  };
}
