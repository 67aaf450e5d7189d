import type { StatsRow } from "../link/answers.ts";
import { href } from "../parts/route.ts";
import { counted, short } from "../parts/time.ts";
import { NOT_RECORDED, type Statistics } from "./load.ts";
import { Section } from "./Section.tsx";
import { Table } from "./Table.tsx";
import { partsOf, sumOf } from "./tokens.ts";

const SHOWN = 8;
const KINDS = ["cached", "anew", "written"] as const;
const NAMES = { cached: "Read from cache", anew: "Read anew", written: "Written" };

interface Props {
  read: Statistics;
  asTable: boolean;
  setAsTable: (asTable: boolean) => void;
}

/** Tokens by project, each bar in three parts. */
export function Projects({ read, asTable, setAsTable }: Props) {
  const names = namesOf(read.projects.map((row) => row.key ?? ""));
  const rows = [...read.projects].sort((one, other) => sumOf(other.tokens) - sumOf(one.tokens));
  if (!rows.some((row) => row.tokens)) {
    return (
      <Section title="Tokens by project">
        <p class="faint">No thread of this time has recorded tokens.</p>
      </Section>
    );
  }
  const left = Math.max(0, rows.length - SHOWN) + read.projectsLeft;
  return (
    <Section title="Tokens by project" asTable={asTable} setAsTable={setAsTable}>
      {asTable ? <ProjectTable rows={rows} names={names} /> : <ProjectBars rows={rows.slice(0, SHOWN)} names={names} />}
      {!asTable && (
        <p class="token-legend">
          {KINDS.map((kind) => (
            <span key={kind}>
              <i class={`swatch tokens-${kind}`} /> {NAMES[kind]}
            </span>
          ))}
        </p>
      )}
      {left > 0 && !asTable && (
        <p class="faint">{counted(left, "more project")} not shown; the figures above count them.</p>
      )}
      {asTable && read.projectsLeft > 0 && <p class="faint">{counted(read.projectsLeft, "more project")} not shown.</p>}
    </Section>
  );
}

function ProjectBars({ rows, names }: { rows: StatsRow[]; names: Map<string, string> }) {
  const most = Math.max(1, ...rows.map((row) => sumOf(row.tokens)));
  return (
    <ul>
      {rows.map((row) => {
        const key = row.key ?? "";
        return (
          <li class="project-row" key={key}>
            {key === NOT_RECORDED ? (
              <span class="cut faint">not recorded</span>
            ) : (
              <a class="cut" href={href("list", "", { project: key })} title={key}>
                {names.get(key)}
              </a>
            )}
            <TokenBar row={row} most={most} />
            <span class="figures">{row.tokens ? short(sumOf(row.tokens)) : "–"}</span>
          </li>
        );
      })}
    </ul>
  );
}

function TokenBar({ row, most }: { row: StatsRow; most: number }) {
  const parts = partsOf(row.tokens);
  let x = 0;
  return (
    <svg class="token-bar" width="100%" height="14" role="img" aria-label={tell(row)}>
      {KINDS.filter((kind) => parts[kind] > 0).map((kind) => {
        const width = (100 * parts[kind]) / most;
        const from = x;
        x += width;
        return <rect key={kind} class={`tokens-${kind}`} x={`${from}%`} width={`${width}%`} height="14" rx="2" />;
      })}
    </svg>
  );
}

function tell(row: StatsRow): string {
  const parts = partsOf(row.tokens);
  return row.tokens ? KINDS.map((kind) => `${NAMES[kind]}: ${short(parts[kind])}`).join(", ") : "No tokens recorded";
}

function ProjectTable({ rows, names }: { rows: StatsRow[]; names: Map<string, string> }) {
  return (
    <Table
      label="Tokens by project"
      heads={["Project", "Turns", "From cache", "Anew", "Written", "Sum"]}
      rows={rows.map((row) => {
        const key = row.key ?? "";
        const { cached, anew, written } = partsOf(row.tokens);
        const name = key === NOT_RECORDED ? "not recorded" : (names.get(key) ?? key);
        return {
          key,
          cells: [name, row.turns ?? 0, short(cached), short(anew), short(written), short(sumOf(row.tokens))],
        };
      })}
    />
  );
}

/** Folders by the last part of their paths, and by one part more where two end alike. */
export function namesOf(folders: readonly string[]): Map<string, string> {
  const partsOfPath = (folder: string) => folder.replaceAll("\\", "/").split("/").filter(Boolean);
  const last = folders.map((folder) => partsOfPath(folder).at(-1) ?? folder);
  return new Map(
    folders.map((folder, n) => {
      const isAlone = last.filter((name) => name === last[n]).length === 1;
      return [folder, isAlone ? (last[n] ?? folder) : partsOfPath(folder).slice(-2).join("/")];
    }),
  );
}
