import { useEffect, useState } from "preact/hooks";
import { onEvents } from "../link/live.ts";
import { changes } from "../parts/changed.ts";
import { sentenceOf } from "../parts/sentence.ts";
import { Soon } from "../parts/soon.ts";
import { drawn } from "../shell/start.ts";
import { loadStatistics, type Range, type Statistics } from "./load.ts";

const PAUSE_MS = 5_000;

/** The statistics of a range. What is shown stays until others are counted. */
export function useStatistics(range: Range) {
  const [read, setRead] = useState<Statistics>();
  const [problem, setProblem] = useState("");
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const show = (next: Statistics) => setRead((shown) => withOlderDays(next, shown));
    loadStatistics(range, show, stop.signal).then(
      () => setProblem(""),
      (error: unknown) => {
        if (!stop.signal.aborted) setProblem(sentenceOf(error));
      },
    );
    return () => stop.abort();
  }, [range, turn]);
  useEffect(() => {
    if (read || problem) drawn();
  }, [read !== undefined, problem]);
  useEffect(() => {
    const again = new Soon(() => setTurn((n) => n + 1), PAUSE_MS);
    const first = changes.value;
    const leave = [
      onEvents((events) => events.some(({ type }) => type.startsWith("turn/")) && again.ask()),
      changes.subscribe((n) => n !== first && again.ask()),
    ];
    return () => {
      again.stop();
      leave.forEach((one) => one());
    };
  }, []);
  return { read, problem };
}

/** While the older days are counted anew, they stay as they were. */
function withOlderDays(next: Statistics, shown: Statistics | undefined): Statistics {
  const oldest = next.days.at(-1)?.key;
  if (shown?.range !== next.range || !next.daysLeft || !oldest) return next;
  const older = shown.days.filter((day) => (day.key ?? "") < oldest);
  return { ...next, days: [...next.days, ...older], daysLeft: shown.daysLeft };
}
