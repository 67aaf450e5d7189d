/** What the statistics show: counts by day, by project and by model, as thread_stats answers them. */

import type { Stats, StatsRow } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { isoDay } from "../list/filters.ts";

export type Range = "weeks" | "year" | "all";

export interface Statistics {
  range: Range;
  /** The first day of the range; nothing if it has none. */
  since: string | undefined;
  total: StatsRow;
  /** How many threads have turns at all, whenever. */
  threadsEver: number;
  /** Days with turns, the newest first. */
  days: StatsRow[];
  /** Days that are not read yet. */
  daysLeft: number;
  projects: StatsRow[];
  projectsLeft: number;
  models: StatsRow[];
  modelsLeft: number;
  zone: string;
  /** What could not be counted, and why. */
  incomplete: string[];
}

/** How the tool names the group of what is not recorded. */
export const NOT_RECORDED = "(none)";
/** So many groups are asked for; as many as fit an answer come back. */
const MOST = 100;
const WEEKS = 53;

/** The first day of a range. A year begins with the week in which it begins, so that no week is cut. */
export function firstDay(range: Range, today = new Date()): Date | undefined {
  const back = (days: number) => new Date(today.getFullYear(), today.getMonth(), today.getDate() - days);
  if (range === "weeks") return back(27);
  if (range === "year") return back(7 * (WEEKS - 1) + weekdayOf(today));
  return undefined;
}

/** Days since Monday. */
export function weekdayOf(day: Date): number {
  return (day.getDay() + 6) % 7;
}

/** Reads the statistics of a range, and tells of them as soon as the newest days are there, then with each further
 * page of days. */
export async function loadStatistics(range: Range, show: (read: Statistics) => void, stop: AbortSignal): Promise<void> {
  const first = firstDay(range);
  const since = first && isoDay(first);
  const bounds = since ? { since } : {};
  const ask = (group_by: string, more = {}) =>
    link.call("thread_stats", { group_by, limit: MOST, ...bounds, ...more }, stop);
  const [byDay, byProject, byModel, ever] = await Promise.all([
    ask("day"),
    ask("cwd"),
    ask("model"),
    since ? link.call("thread_stats", { group_by: "status", limit: 1 }, stop) : undefined,
  ]);
  let read = statisticsOf(range, since, byDay, byProject, byModel, ever);
  show(read);
  while (read.daysLeft > 0) {
    const oldest = read.days.at(-1)?.key;
    if (!oldest) return;
    const page = await ask("day", { until: dayBefore(oldest) });
    if (!page.data?.length) return;
    read = { ...read, days: [...read.days, ...page.data], daysLeft: page.more_groups ?? 0 };
    show(read);
  }
}

function statisticsOf(
  range: Range,
  since: string | undefined,
  byDay: Stats,
  byProject: Stats,
  byModel: Stats,
  ever: Stats | undefined,
): Statistics {
  return {
    range,
    since,
    total: byDay.total,
    threadsEver: (ever ?? byDay).total.threads ?? 0,
    days: byDay.data ?? [],
    daysLeft: byDay.more_groups ?? 0,
    projects: byProject.data ?? [],
    projectsLeft: byProject.more_groups ?? 0,
    models: byModel.data ?? [],
    modelsLeft: byModel.more_groups ?? 0,
    zone: byDay.zone ?? "",
    incomplete: [...new Set([byDay, byProject, byModel].flatMap((answer) => answer.incomplete ?? []))],
  };
}

export function dayOf(key: string): Date {
  const [year = 0, month = 1, day = 1] = key.split("-").map(Number);
  return new Date(year, month - 1, day);
}

function dayBefore(key: string): string {
  const day = dayOf(key);
  return isoDay(new Date(day.getFullYear(), day.getMonth(), day.getDate() - 1));
}
