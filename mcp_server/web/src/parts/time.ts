/** Times and numbers in words. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayMonthYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });
const count = new Intl.NumberFormat("en-GB");

export function startOfDay(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

/** Whole days before today, in the reader's own time zone. */
export function daysAgo(date: Date, now = new Date()): number {
  return Math.round((startOfDay(now).getTime() - startOfDay(date).getTime()) / DAY);
}

/** Today the clock, before that the date. */
export function when(date: Date, now = new Date()): string {
  if (daysAgo(date, now) === 0) return clock.format(date);
  return (date.getFullYear() === now.getFullYear() ? dayMonth : dayMonthYear).format(date);
}

export const clockTime = (date: Date) => clock.format(date);
export const wholeTime = (date: Date) => whole.format(date);

/** The heading of a day in a list. */
export function dayName(date: Date, now = new Date()): string {
  const ago = daysAgo(date, now);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  if (date.getFullYear() !== now.getFullYear()) return dayMonthYear.format(date);
  return weekday.format(date);
}

/** How long something took: `42 s`, `3 min 41 s`, `2 h 5 min`. */
export function span(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  if (milliseconds < MINUTE) return `${Math.round(milliseconds / 1_000)} s`;
  if (milliseconds < HOUR) return two(milliseconds, MINUTE, "min", 1_000, "s");
  if (milliseconds < DAY) return two(milliseconds, HOUR, "h", MINUTE, "min");
  return two(milliseconds, DAY, "d", HOUR, "h");
}

/** How long ago, in one unit: for what runs. */
export function age(date: Date, now = new Date()): string {
  const passed = Math.max(0, now.getTime() - date.getTime());
  if (passed < MINUTE) return `${Math.floor(passed / 1_000)} s`;
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)} min`;
  if (passed < DAY) return `${Math.floor(passed / HOUR)} h`;
  return `${Math.floor(passed / DAY)} d`;
}

export const wholeNumber = (value: number) => count.format(value);

/** A number in three digits or so: `812`, `1.2k`, `142k`, `1.84M`. */
export function short(value: number): string {
  if (value < 1_000) return String(value);
  if (value < 999_500) return scaled(value / 1_000, "k");
  if (value < 999_500_000) return scaled(value / 1_000_000, "M");
  return scaled(value / 1_000_000_000, "G");
}

/** A number with its noun: `1 thread`, `12,408 threads`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count.format(value)} ${value === 1 ? one : many}`;
}

function scaled(value: number, unit: string): string {
  const digits = value < 10 ? (unit === "k" ? 1 : 2) : value < 100 && unit !== "k" ? 1 : 0;
  return `${value.toFixed(digits)}${unit}`;
}

function two(value: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((value % big) / small);
  return `${Math.floor(value / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
}
