import type { AnyThread, Search, ThreadList, ThreadRead, Tree } from "../link/answers.ts";
import { canGrow, HostLink, type Opening } from "../link/host.ts";
import { link } from "../link/link.ts";
import { Brand, Icon } from "../parts/Icon.tsx";
import { counted, wholeNumber } from "../parts/time.ts";
import { noteOf } from "../shell/notes.ts";
import { drawn } from "../shell/start.ts";
import { useEffect } from "preact/hooks";
import { type Row, rowOf } from "./listing.ts";
import { RowLink } from "./RowLink.tsx";

const MOST = 5;

/** The answer of one call, in a chat: at most five rows, without filters. */
export function Inline({ opening }: { opening: Opening | undefined }) {
  useEffect(() => {
    if (opening) drawn();
  }, [opening]);
  if (!opening) return <main class="inline" aria-busy="true" aria-label="Waiting for the answer" />;
  const rows = rowsOf(opening.answer);
  const way = link.way;
  const words = typeof opening.args.search_term === "string" ? opening.args.search_term : "";
  const total = (opening.answer as { total?: number } | undefined)?.total ?? rows.length;
  return (
    <main class="inline">
      <header class="inline-head">
        <Brand />
        <h1 class="cut grow">
          {counted(total, "thread")} {words && <span class="faint">for “{words}”</span>}
        </h1>
        {way instanceof HostLink && canGrow.value && (
          <button type="button" class="button quiet small" onClick={() => void way.grow()}>
            <Icon name="grow" />
            Full view
          </button>
        )}
      </header>
      <div role="listbox" aria-label="Threads" tabIndex={0}>
        {rows.slice(0, MOST).map((row) => (
          <RowLink key={row.thread.id} row={row} />
        ))}
      </div>
      {foot(opening.answer, total - Math.min(rows.length, MOST)) && (
        <p class="tell">{foot(opening.answer, total - Math.min(rows.length, MOST))}</p>
      )}
    </main>
  );
}

/** What the rows do not show. */
function foot(answer: unknown, more: number): string {
  const { hidden, incomplete } = (answer ?? {}) as Partial<ThreadList>;
  const parts = [
    more > 0 ? `${wholeNumber(more)} more` : "",
    hidden?.sub_agents ? `not counted: ${counted(hidden.sub_agents, "sub-agent")}` : "",
    hidden?.archived ? `${wholeNumber(hidden.archived)} archived` : "",
  ].filter(Boolean);
  return [parts.join(", "), ...[incomplete ?? []].flat().map(noteOf)].filter(Boolean).join(". ");
}

/** The threads of an answer, whichever tool gave it. */
export function rowsOf(answer: unknown): Row[] {
  const { data, thread } = (answer ?? {}) as Partial<ThreadList & Search & ThreadRead & Tree>;
  if (thread) return [rowOf(thread as AnyThread)];
  return (data ?? []).flatMap((row) => {
    const found = row as Partial<Search["data"] extends (infer R)[] | undefined ? R : never> & Partial<AnyThread>;
    if (found.thread) return [rowOf(found.thread, found.passages ?? [])];
    return found.id ? [rowOf(row as AnyThread)] : [];
  });
}
