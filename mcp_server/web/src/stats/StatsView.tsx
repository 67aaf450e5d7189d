import { useState } from "preact/hooks";
import { useKeys } from "../parts/keys.ts";
import { Keystrip } from "../parts/Keystrip.tsx";
import { counted, short, wholeNumber } from "../parts/time.ts";
import { noteOf } from "../shell/notes.ts";
import { DayChart } from "./DayChart.tsx";
import { NOT_RECORDED, type Range, type Statistics } from "./load.ts";
import { Projects } from "./Projects.tsx";
import { Section } from "./Section.tsx";
import { Table } from "./Table.tsx";
import { sumOf } from "./tokens.ts";
import { useStatistics } from "./useStatistics.ts";

const RANGES: [Range, string][] = [
  ["weeks", "4 weeks"],
  ["year", "Year"],
  ["all", "All"],
];

/** What was done: four figures, days, tokens by project, models, and how it was counted. */
export function StatsView() {
  const [range, setRange] = useState<Range>("year");
  const [daysAsTable, setDaysAsTable] = useState(false);
  const [projectsAsTable, setProjectsAsTable] = useState(false);
  const { read, problem } = useStatistics(range);
  useKeys({
    "1": () => setRange("weeks"),
    "2": () => setRange("year"),
    "3": () => setRange("all"),
    b: () => {
      setDaysAsTable(!(daysAsTable || projectsAsTable));
      setProjectsAsTable(!(daysAsTable || projectsAsTable));
    },
  });
  return (
    <>
      <div class="scroll">
        <div class="stats" aria-busy={read?.range !== range}>
          <header>
            <h1>Statistics</h1>
            <span class="grow" />
            <span class="segments" role="group" aria-label="Range">
              {RANGES.map(([one, name]) => (
                <button key={one} type="button" aria-pressed={range === one} onClick={() => setRange(one)}>
                  {name}
                </button>
              ))}
            </span>
          </header>
          {problem && (
            <p class="fault" role="alert">
              {read ? "What you see is not up to date. " : ""}
              {problem}
            </p>
          )}
          {!read && !problem && <p class="faint">Counting…</p>}
          {read && <Figures read={read} />}
          {read && <DayChart read={read} asTable={daysAsTable} setAsTable={setDaysAsTable} />}
          {read && (
            <div class="stats-two">
              <Projects read={read} asTable={projectsAsTable} setAsTable={setProjectsAsTable} />
              <Models read={read} />
            </div>
          )}
          {read && <HowCounted read={read} />}
        </div>
      </div>
      <Keystrip
        keys={[
          [["1", "2", "3"], "range"],
          [["←", "→", "↑", "↓"], "day"],
          [["↵"], "threads of that day"],
          [["B"], "tables"],
          [["?"], "all keys"],
        ]}
      />
    </>
  );
}

function Figures({ read: { total, threadsEver, since } }: { read: Statistics }) {
  const { turns = 0, threads = 0, failed = 0, tokens } = total;
  return (
    <dl class="stats-figures">
      <Figure name="Turns" value={wholeNumber(turns)} />
      <Figure name="Threads" value={wholeNumber(threads)} more={since ? `of ${wholeNumber(threadsEver)}` : ""} />
      <Figure name="Tokens" value={tokens ? short(sumOf(tokens)) : "–"} more={tokens ? "" : "none recorded"} />
      <Figure
        name="Turns that failed"
        value={wholeNumber(failed)}
        more={failed ? `${((100 * failed) / turns).toFixed(1)}%` : ""}
      />
    </dl>
  );
}

function Figure({ name, value, more }: { name: string; value: string; more?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} {more && <small>{more}</small>}
      </dd>
    </div>
  );
}

function Models({ read }: { read: Statistics }) {
  return (
    <Section title="By model">
      <Table
        label="By model"
        heads={["Model", "Turns", "Tokens"]}
        rows={read.models.map((row) => ({
          key: row.key ?? "",
          mono: row.key !== NOT_RECORDED,
          cells: [
            row.key === NOT_RECORDED ? "not recorded" : (row.key ?? ""),
            row.turns ?? 0,
            row.tokens ? short(sumOf(row.tokens)) : "–",
          ],
        }))}
      />
      {read.modelsLeft > 0 && <p class="faint">{counted(read.modelsLeft, "more model")} not shown.</p>}
    </Section>
  );
}

function HowCounted({ read: { total, zone, incomplete } }: { read: Statistics }) {
  const days = zone ? ` Days are those of the server's time zone, ${zone}.` : "";
  return (
    <p class="stats-how">
      Counted from the turns of {counted(total.threads ?? 0, "thread")}, sub-agents and archived ones included; a turn
      that a fork has copied counts once.{days} Tokens are those that the files record. Money is not shown: no price is
      recorded.
      {incomplete.map((sentence) => (
        <b key={sentence}> {noteOf(sentence)}</b>
      ))}
    </p>
  );
}
