import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { open } from "../parts/dialog.ts";
import { useKeys } from "../parts/keys.ts";
import { go } from "../parts/route.ts";
import { can } from "../shell/abilities.ts";
import { type Filters, isNarrowed, NO_FILTERS, setFilters } from "./filters.ts";
import { placeIn, type Row } from "./listing.ts";

const SCREEN = 12;

export interface Moves {
  current: () => Row | undefined;
  move: (by: number) => void;
  /** Ends the way to the last row, which is read page by page. */
  stop: () => void;
  openRow: (row: Row | undefined) => void;
}

/** The keys of a list. */
export function useListKeys(order: Row[], chosen: Signal<number>, filters: Filters, more: boolean): Moves {
  /** The list of which the last row is on its way. */
  const toEndOf = useRef("");
  const current = () => order[chosen.value];
  const stop = () => {
    toEndOf.current = "";
  };
  const choose = (at: number) => {
    chosen.value = Math.max(0, Math.min(order.length - 1, at));
  };
  const move = (by: number) => {
    stop();
    choose(chosen.value + by);
  };
  const toEnd = () => {
    if (more) toEndOf.current = location.hash;
    choose(order.length - 1);
  };
  useEffect(() => {
    if (toEndOf.current !== location.hash) return;
    if (!more) stop();
    choose(order.length - 1);
  }, [order.length]);
  const act = (tool: string, run: (row: Row) => void) => () => {
    const row = current();
    if (row && (!tool || can(tool))) run(row);
  };
  const clear = () => setFilters({ text: "", ...NO_FILTERS });
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Home: () => move(-order.length),
    End: toEnd,
    PageDown: () => move(SCREEN),
    PageUp: () => move(-SCREEN),
    Enter: (event) => (isControl(event.target) ? (event.target as HTMLElement).click() : openRow(current())),
    t: act("", ({ thread }) => go("tree", thread.id)),
    n: act("thread_update", ({ thread }) => open({ kind: "name", thread })),
    l: act("thread_update", ({ thread }) => open({ kind: "tags", thread })),
    e: act("thread_archive", ({ thread }) => open({ kind: "archive", threads: [thread] })),
    "⇧e": act("thread_unarchive", ({ thread }) => open({ kind: "unarchive", threads: [thread] })),
    "/": () => document.querySelector<HTMLInputElement>(".search input")?.focus(),
    ...(filters.text.trim() || isNarrowed(filters) ? { Escape: clear } : {}),
  });
  return { current, move, stop, openRow };
}

function openRow(row: Row | undefined): void {
  if (row) go("thread", row.thread.id, placeIn(row));
}

/** Whether Enter belongs to what has the focus: a button or link that is no row. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("a:not([role=option]), button, summary");
}
