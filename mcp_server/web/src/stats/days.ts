/** The days and months of a range, those without turns too. */

import type { StatsRow } from "../link/answers.ts";
import { isoDay } from "../list/filters.ts";
import { counted } from "../parts/time.ts";
import { dayOf } from "./load.ts";

/** A day or a month as the charts show it. */
export interface Slot {
  /** `2026-10-21`, or `2026-10` of a month. */
  key: string;
  date: Date;
  isDay: boolean;
  name: string;
  row: StatsRow | undefined;
  turns: number;
}

const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const monthName = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });

/** Each day from the first to today. */
export function daySlots(rows: readonly StatsRow[], first: Date, today = new Date()): Slot[] {
  const found = new Map(rows.map((row) => [row.key, row]));
  const slots: Slot[] = [];
  for (let day = first; day <= today; day = new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1)) {
    const key = isoDay(day);
    const row = found.get(key);
    slots.push({ key, date: day, isDay: true, name: dayName(day, today), row, turns: row?.turns ?? 0 });
  }
  return slots;
}

/** The year is told of other years only. */
function dayName(day: Date, today: Date): string {
  const name = weekday.format(day).replace(",", "");
  return day.getFullYear() === today.getFullYear() ? name.replace(` ${day.getFullYear()}`, "") : name;
}

/** Each month from the oldest row to today. A thread that was worked on on two days counts on each, so months have no
 * number of threads. */
export function monthSlots(rows: readonly StatsRow[], today = new Date()): Slot[] {
  const turns = new Map<string, number>();
  for (const row of rows) {
    const key = (row.key ?? "").slice(0, 7);
    turns.set(key, (turns.get(key) ?? 0) + (row.turns ?? 0));
  }
  const oldest = rows.at(-1)?.key;
  const slots: Slot[] = [];
  const first = oldest ? dayOf(oldest) : today;
  for (let month = startOf(first); month <= today; month = new Date(month.getFullYear(), month.getMonth() + 1, 1)) {
    const key = isoDay(month).slice(0, 7);
    slots.push({
      key,
      date: month,
      isDay: false,
      name: monthName.format(month),
      row: undefined,
      turns: turns.get(key) ?? 0,
    });
  }
  return slots;
}

function startOf(day: Date): Date {
  return new Date(day.getFullYear(), day.getMonth(), 1);
}

/** "Wednesday 21 October: 96 turns in 14 threads". */
export function tellSlot({ name, row, turns }: Slot): string {
  const threads = row?.threads ? ` in ${counted(row.threads, "thread")}` : "";
  return `${name}: ${turns ? `${counted(turns, "turn")}${threads}` : "no turns"}`;
}

/** Where the slot with the most turns stands. */
export function busiest(slots: readonly Slot[]): number {
  return slots.reduce((best, slot, at) => (slot.turns > (slots[best]?.turns ?? 0) ? at : best), slots.length - 1);
}
