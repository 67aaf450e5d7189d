import { useComputed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { Icon } from "../parts/Icon.tsx";
import { Keystrip } from "../parts/Keystrip.tsx";
import { narrow } from "../parts/narrow.ts";
import { route } from "../parts/route.ts";
import { entriesOf } from "./entries.ts";
import { FilterBar } from "./FilterBar.tsx";
import { type Filters, isNarrowed, readFilters } from "./filters.ts";
import { Honesty } from "./Honesty.tsx";
import { Indexing } from "./Indexing.tsx";
import type { Listing } from "./listing.ts";
import { isNew, NoRows } from "./NoRows.tsx";
import { Rows } from "./Rows.tsx";
import { SearchField } from "./SearchField.tsx";
import { Strip } from "./Strip.tsx";
import { useListing } from "./useListing.ts";
import { useListKeys } from "./useListKeys.ts";

/** All threads, or those that run; with words, those that hold them. */
export function ListView({ running }: { running: boolean }) {
  const filters: Filters = { ...readFilters(route.value.query), ...(running ? { state: "running" as const } : {}) };
  const { listing, live, scroller, chosen, onScroll } = useListing(filters);
  const searching = filters.text.trim() !== "";
  const plain = !searching && !running && !isNarrowed(filters) && !filters.archived && !filters.agents;

  const shown = useComputed(() => ({ live: live.rows.value, rows: listing.rows.value, loading: listing.loading.value }));
  const { entries, order, places } = useMemo(() => {
    const { live: now, rows } = shown.value;
    return entriesOf({ running: running ? rows : plain ? now : [], rows, more: listing.more, days: !searching });
  }, [shown.value, plain, searching, running]);
  const { current, move, stop, openRow } = useListKeys(order, chosen, filters, listing.more);

  const empty = listing.loaded.value && order.length === 0;
  const scrollsAway = narrow.value && !empty;
  const above = <Above listing={listing} filters={filters} running={running} />;
  const again = () => void listing.begin().then(() => scroller.current?.scrollTo(0, 0));
  return (
    <>
      <h1 class="hidden-text">{running ? "Running" : searching ? "Search" : filters.archived ? "Archive" : "Threads"}</h1>
      <SearchField filters={filters} move={move} choose={() => openRow(current() ?? order[0])} />
      {!scrollsAway && above}
      {listing.fault.value && <Fault why={listing.fault.value} again={again} />}
      {listing.fresh.value > 0 && (
        <button type="button" class="button small fresh" onClick={again}>
          <Icon name="again" />
          {listing.fresh.value} new
        </button>
      )}
      {empty ? (
        <NoRows listing={listing} filters={filters} running={running} />
      ) : (
        <Rows {...{ scroller, entries, order, places, chosen, listing, onScroll, stop }}>{scrollsAway && above}</Rows>
      )}
      <Keystrip keys={KEYS} />
    </>
  );
}

const KEYS: [string[], string][] = [
  [["J", "K"], "move"],
  [["↵"], "open"],
  [["T"], "tree"],
  [["E"], "archive"],
  [["N"], "rename"],
  [["/"], "search"],
  [["Z"], "undo"],
  [["?"], "all keys"],
];

/** What stands above the rows: filters, the days, and what is there. */
function Above({ listing, filters, running }: { listing: Listing; filters: Filters; running: boolean }) {
  const searching = filters.text.trim() !== "";
  const narrows = !running && !isNew(listing, filters);
  return (
    <>
      {narrows && <FilterBar filters={filters} searching={searching} />}
      <Indexing listing={listing} />
      {narrows && !searching && !listing.incomplete.value && <Strip filters={filters} />}
      <Honesty listing={listing} filters={filters} running={running} />
    </>
  );
}

function Fault({ why, again }: { why: string; again: () => void }) {
  return (
    <p class="list-fault" role="alert">
      {why}{" "}
      <button type="button" class="link" onClick={again}>
        Try again
      </button>
    </p>
  );
}
