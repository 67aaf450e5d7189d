/** A list as what is drawn: headings of days between rows. */

import { dayName } from "../parts/time.ts";
import type { Row } from "./listing.ts";

export type Entry =
  | { kind: "day"; label: string; count: number | undefined }
  | { kind: "row"; row: Row; at: number; live: boolean };

interface Shown {
  running: Row[];
  rows: Row[];
  /** Whether further pages wait: then the last day may have more rows. */
  more: boolean;
  /** Matches stand in their own order, without days. */
  days: boolean;
}

export interface Entries {
  entries: Entry[];
  /** The rows alone, in the same order, for the keyboard. */
  order: Row[];
  /** Of each row, which entry it is. */
  places: number[];
}

export function entriesOf({ running, rows, more, days }: Shown): Entries {
  const entries: Entry[] = [];
  const order: Row[] = [];
  const places: number[] = [];
  const add = (row: Row, live: boolean) => {
    places.push(entries.length);
    entries.push({ kind: "row", row, at: order.length, live });
    order.push(row);
  };
  if (running.length) {
    entries.push({ kind: "day", label: "Running now", count: running.length });
    for (const row of running) add(row, true);
  }
  const runs = new Set(running.map((row) => row.thread.id));
  let day: Extract<Entry, { kind: "day" }> | undefined;
  let date: string | undefined;
  for (const row of rows) {
    if (runs.has(row.thread.id)) continue;
    if (days && row.day !== date) {
      date = row.day;
      day = { kind: "day", label: dayName(row.thread.workedAt), count: 0 };
      entries.push(day);
    }
    if (day?.count !== undefined) day.count += 1;
    add(row, false);
  }
  if (more && day) day.count = undefined;
  return { entries, order, places };
}
