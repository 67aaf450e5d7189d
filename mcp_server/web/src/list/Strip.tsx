import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { scaleLinear } from "d3-scale";
import { link } from "../link/link.ts";
import { counted } from "../parts/time.ts";
import { whenCalm } from "../shell/start.ts";
import { type Filters, isoDay, setFilters } from "./filters.ts";

const DAYS = 91;
/** Days asked for at once: so many rows fit into an answer. */
const AT_ONCE = 46;
const HIGH = 32;
const LEAST = 2;
const LABELLED = 28;

const KEPT_MS = 60_000;
let loadedAt = -KEPT_MS;
const turns = signal<ReadonlyMap<string, number> | undefined>(undefined);
const dayMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** Turns a day in the last 13 weeks. A click shows the threads of that day. */
export function Strip({ filters }: { filters: Filters }) {
  const days = lastDays();
  const picked = days.findIndex((day) => isoDay(day) === filters.when);
  const [at, setAt] = useState(DAYS - 1);
  useEffect(() => void whenCalm().then(() => load(days)), []);
  const counts = days.map((day) => turns.value?.get(isoDay(day)) ?? 0);
  const scale = scaleLinear([0, Math.max(1, ...counts)], [LEAST, HIGH]);
  const pick = (n: number) => {
    const day = isoDay(days[n] as Date);
    setAt(n);
    setFilters({ when: filters.when === day ? "" : day });
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -DAYS, End: DAYS }[event.key];
    if (step) setAt((now) => Math.max(0, Math.min(DAYS - 1, now + step)));
    else if (event.key === "Enter" || event.key === " ") pick(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const label = (n: number) => `${dayMonth.format(days[n])}: ${counted(counts[n] ?? 0, "turn")}`;
  return (
    <div class="strip">
      <div
        class="bars"
        role="slider"
        tabIndex={0}
        aria-label="Turns a day in 13 weeks; Enter shows the threads of the day"
        aria-valuemin={0}
        aria-valuemax={DAYS - 1}
        aria-valuenow={at}
        aria-valuetext={label(at)}
        onKeyDown={key}
      >
        {counts.map((count, n) => (
          <span key={isoDay(days[n] as Date)} class="bar-day" title={label(n)} data-at={n === at || undefined} onClick={() => pick(n)}>
            <i class={n === picked ? "picked" : undefined} style={{ height: `${scale(count)}px` }} />
          </span>
        ))}
      </div>
      <div class="axis" aria-hidden="true">
        {[0, LABELLED, 2 * LABELLED].map((n) => (
          <span key={n} class={n < DAYS / 2 ? "not-narrow" : undefined}>
            {dayMonth.format(days[n])}
          </span>
        ))}
        <span class={picked >= 0 ? "picked" : undefined}>{picked >= 0 ? label(picked) : "today"}</span>
      </div>
    </div>
  );
}

function lastDays(): Date[] {
  const now = new Date();
  return Array.from({ length: DAYS }, (_, n) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - (DAYS - 1 - n)));
}

async function load(days: Date[]): Promise<void> {
  if (performance.now() - loadedAt < KEPT_MS) return;
  loadedAt = performance.now();
  const spans = [days.slice(0, AT_ONCE), days.slice(AT_ONCE)];
  const parts = await Promise.all(
    spans.map((span, n) => {
      const until = n < spans.length - 1 ? { until: isoDay(span.at(-1) as Date) } : {};
      return link.call("thread_stats", { group_by: "day", since: isoDay(span[0] as Date), ...until, limit: 100 });
    }),
  ).catch(() => []);
  turns.value = new Map(parts.flatMap((part) => (part.data ?? []).map((row) => [row.key ?? "", row.turns ?? 0])));
}
