import { scaleQuantile } from "d3-scale";
import { wholeNumber } from "../parts/time.ts";
import type { ChartProps } from "./DayChart.tsx";
import type { Slot } from "./days.ts";
import { weekdayOf } from "./load.ts";
import { useBox } from "./useBox.ts";

const CELL = 13;
const PITCH = 17;
const TOP = 20;
const LEFT = 36;
const NARROW = 480;
const NARROW_WEEKS = 24;
const STEPS = [1, 2, 3, 4];
const monthName = new Intl.DateTimeFormat("en-GB", { month: "short" });

/** The days of a year as a map of heat: a column for each week, a row for each weekday. */
export function Heat({ slots, at, pick, open, slider }: ChartProps) {
  const { element, width } = useBox<HTMLDivElement>();
  const shown = width && width < NARROW ? slots.slice(firstOf(slots, NARROW_WEEKS)) : slots;
  const offset = slots.length - shown.length;
  const weeks = Math.ceil((weekdayOf(shown[0]?.date ?? new Date()) + shown.length) / 7);
  const pitch = Math.min(PITCH, Math.max(0, width - LEFT) / weeks);
  const cell = Math.max(4, Math.min(CELL, pitch - Math.min(4, pitch / 4)));
  const heat = heatOf(slots);
  const before = weekdayOf(shown[0]?.date ?? new Date());
  const place = (n: number) => ({
    x: LEFT + Math.floor((n + before) / 7) * pitch,
    y: TOP + ((n + before) % 7) * PITCH,
  });
  return (
    <>
      <div class="heat" ref={element} {...slider}>
        <svg width="100%" height={TOP + 7 * PITCH} aria-hidden="true">
          {["Mon", "", "Wed", "", "Fri"].map((name, row) => (
            <text key={row} x="0" y={TOP + row * PITCH + 10}>
              {name}
            </text>
          ))}
          {monthsOf(shown).map(({ n, name }) => (
            <text key={n} x={place(n).x} y="11">
              {name}
            </text>
          ))}
          {shown.map((slot, n) => (
            <rect
              key={slot.key}
              class={`heat-${heat.step(slot.turns)}${n + offset === at ? " is-picked" : ""}`}
              {...place(n)}
              width={cell}
              height={CELL}
              rx="3"
              onPointerEnter={() => pick(n + offset)}
              onClick={() => open(n + offset)}
            />
          ))}
        </svg>
      </div>
      <p class="heat-legend" aria-hidden="true">
        none
        {[0, ...STEPS].map((step) => (
          <i key={step} class={`swatch heat-${step}`} />
        ))}
        {heat.most} or more
      </p>
    </>
  );
}

/** The first day of the last so many weeks. */
function firstOf(slots: readonly Slot[], weeks: number): number {
  const last = slots.at(-1)?.date ?? new Date();
  return Math.max(0, slots.length - ((weeks - 1) * 7 + weekdayOf(last) + 1));
}

/** Four steps with as many days each, after "none". */
function heatOf(slots: readonly Slot[]) {
  const turns = slots.map((slot) => slot.turns).filter((count) => count > 0);
  const scale = scaleQuantile(turns.length ? turns : [1], STEPS);
  const most = Math.max(1, Math.ceil(scale.quantiles().at(-1) ?? 1));
  return { step: (count: number) => (count ? scale(count) : 0), most: wholeNumber(most) };
}

/** Where the name of each month stands: over the first week that begins in it. */
function monthsOf(slots: readonly Slot[]): { n: number; name: string }[] {
  const mondays = slots.map((slot, n) => ({ n, date: slot.date })).filter(({ date }) => weekdayOf(date) === 0);
  return mondays.filter(({ date }) => date.getDate() <= 7).map(({ n, date }) => ({ n, name: monthName.format(date) }));
}
