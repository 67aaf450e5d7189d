import { useState } from "preact/hooks";
import { go } from "../parts/route.ts";
import { short } from "../parts/time.ts";
import { Bars } from "./Bars.tsx";
import { busiest, daySlots, monthSlots, type Slot, tellSlot } from "./days.ts";
import { Heat } from "./Heat.tsx";
import { firstDay, type Statistics } from "./load.ts";
import { Section } from "./Section.tsx";
import { Table } from "./Table.tsx";
import { sumOf } from "./tokens.ts";

/** What each chart of days is given. */
export interface ChartProps {
  slots: Slot[];
  at: number;
  pick: (n: number) => void;
  /** Shows the threads of a day. */
  open: (n: number) => void;
  slider: ReturnType<typeof sliderOf>;
}

const dayMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const monthYear = new Intl.DateTimeFormat("en-GB", { month: "short", year: "2-digit" });

interface Props {
  read: Statistics;
  asTable: boolean;
  setAsTable: (asTable: boolean) => void;
}

/** Turns a day; of all time, turns a month. */
export function DayChart({ read, asTable, setAsTable }: Props) {
  const first = firstDay(read.range);
  const slots = first ? daySlots(read.days, first) : monthSlots(read.days);
  const [picked, setPicked] = useState<string>();
  const found = slots.findIndex((slot) => slot.key === picked);
  const at = found < 0 ? busiest(slots) : found;
  const slot = slots[at];
  const pick = (n: number) => setPicked(slots[n]?.key);
  const name = first ? "Turns a day" : "Turns a month";
  const told = read.daysLeft ? "Counting further back…" : slot ? tellSlot(slot) : "";
  const open = (n: number) => openDay(slots[n]);
  const chart = { slots, at, pick, open, slider: sliderOf(name, { slots, at, pick, open }, read.range === "year") };
  return (
    <Section title={name} told={told} asTable={asTable} setAsTable={setAsTable}>
      {asTable ? (
        <DayTable slots={slots} />
      ) : read.range === "year" ? (
        <Heat {...chart} />
      ) : (
        <Bars {...chart} label={(date) => (first ? dayMonth : monthYear).format(date)} />
      )}
    </Section>
  );
}

function openDay(slot: Slot | undefined): void {
  if (slot?.isDay) go("list", "", { when: slot.key });
}

/** A chart as one control: the arrow keys walk through the days, Enter shows the threads of one. */
function sliderOf(name: string, { slots, at, pick, open }: Omit<ChartProps, "slider">, isHeat: boolean) {
  const steps: Record<string, number> = isHeat
    ? { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 }
    : { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 7, ArrowDown: -7 };
  const slot = slots[at];
  return {
    role: "slider" as const,
    tabIndex: 0,
    "aria-label": `${name}. Arrow keys choose, Enter shows the threads`,
    "aria-valuemin": 0,
    "aria-valuemax": Math.max(0, slots.length - 1),
    "aria-valuenow": at,
    "aria-valuetext": slot ? tellSlot(slot) : "",
    onKeyDown: (event: KeyboardEvent) => {
      const step = steps[event.key];
      if (step) pick(Math.max(0, Math.min(slots.length - 1, at + step)));
      else if (event.key === "Enter") open(at);
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
  };
}

function DayTable({ slots }: { slots: Slot[] }) {
  const shown = slots.filter((slot) => slot.turns > 0).reverse();
  const days = shown.some((slot) => slot.isDay);
  return (
    <Table
      label="Turns"
      heads={days ? ["Day", "Turns", "Threads", "Failed", "Tokens"] : ["Month", "Turns"]}
      rows={shown.map(({ key, name, turns, row }) => ({
        key,
        cells: days ? [name, turns, row?.threads ?? 0, row?.failed ?? 0, short(sumOf(row?.tokens))] : [name, turns],
      }))}
    />
  );
}
