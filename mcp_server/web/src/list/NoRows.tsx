import { href } from "../parts/route.ts";
import { counted } from "../parts/time.ts";
import { noteOf } from "../shell/notes.ts";
import { FirstSteps } from "./FirstSteps.tsx";
import { type Filters, isNarrowed, NO_FILTERS, queryOf, setFilters } from "./filters.ts";
import type { Listing } from "./listing.ts";

interface Props {
  listing: Listing;
  filters: Filters;
  running: boolean;
}

/** What stands where a list has no rows: what is true now, then what to do. */
export function NoRows({ listing, filters, running }: Props) {
  if (listing.fault.value) return <div class="grow" />;
  return (
    <div class="scroll">
      <div class="empty">{filters.text.trim() ? <NoMatch listing={listing} filters={filters} /> : <Nothing {...{ listing, filters, running }} />}</div>
    </div>
  );
}

/** Whether the home has no threads at all, so that there is nothing to narrow down. */
export function isNew(listing: Listing, filters: Filters): boolean {
  const plain = !filters.text.trim() && !isNarrowed(filters) && !filters.archived && !filters.agents;
  const none = listing.loaded.value && listing.total.value === 0 && !listing.fault.value && !listing.incomplete.value;
  return plain && none && !Object.values(listing.hidden.value).some((count) => count);
}

function Nothing({ listing, filters, running }: Props) {
  if (running) {
    return (
      <>
        <h2>Nothing runs now</h2>
        <p>A thread appears here while an agent works in it.</p>
      </>
    );
  }
  if (isNarrowed(filters)) {
    return (
      <>
        <h2>No thread fits the filters</h2>
        <p>
          <a class="link" href={href("list")}>
            Clear filters
          </a>
        </p>
      </>
    );
  }
  if (isNew(listing, filters)) return <FirstSteps />;
  const what = filters.archived ? "Nothing is archived" : filters.agents ? "There are no sub-agents" : "There are no threads yet";
  return (
    <>
      <h2>{what}</h2>
      <p>
        {listing.notes.value.map(noteOf).join(" ") ||
          (filters.archived
            ? "An archived thread leaves the lists, and can be brought back."
            : "A thread appears here once an agent on this machine has had its first message.")}
      </p>
    </>
  );
}

function NoMatch({ listing, filters }: { listing: Listing; filters: Filters }) {
  const help = listing.noMatch.value;
  const narrowed = isNarrowed(filters);
  return (
    <>
      <h2>No thread matches</h2>
      {help?.words?.map(({ word: typed, threads = 0, nearest = [] }) => ({ word: typed.replace(/\*$/, ""), threads, nearest })).map(({ word, threads, nearest }) => (
        <p key={word}>
          “{word}” is in {counted(threads, "thread")}.
          {nearest.length > 0 && " Did you mean "}
          {nearest.map((near, n) => (
            <span key={near}>
              {n > 0 && ", "}
              <button type="button" class="link" onClick={() => setFilters({ text: filters.text.replace(word, near) })}>
                {near}
              </button>
            </span>
          ))}
          {nearest.length > 0 && "?"}
        </p>
      ))}
      {Object.entries(help?.elsewhere ?? {}).map(([where, threads]) => (
        <p key={where}>
          <a class="link" href={href("list", "", queryOf({ ...filters, archived: where === "archived" }))}>
            {counted(threads, `${where} thread matches`, `${where} threads match`)}
          </a>
        </p>
      ))}
      {!filters.toolCalls && (
        <p>
          <button type="button" class="link" onClick={() => setFilters({ toolCalls: true })}>
            Search tool calls and their output too
          </button>
        </p>
      )}
      {narrowed && (
        <p>
          <button type="button" class="link" onClick={() => setFilters(NO_FILTERS)}>
            Clear filters
          </button>
        </p>
      )}
    </>
  );
}
