import { useSignal } from "@preact/signals";
import type { Hidden } from "../link/answers.ts";
import { href } from "../parts/route.ts";
import { Tell } from "../parts/Tell.tsx";
import { counted } from "../parts/time.ts";
import { noteOf } from "../shell/notes.ts";
import { type Filters, isNarrowed, queryOf } from "./filters.ts";
import type { Listing } from "./listing.ts";
import { Unread } from "./Unread.tsx";

interface Props {
  listing: Listing;
  filters: Filters;
  running: boolean;
}

/** Says how many threads there are, and what the list does not show, with a way to see it. */
export function Honesty({ listing, filters, running }: Props) {
  const looking = useSignal(false);
  if (!listing.loaded.value) return <Tell what="Reading the list" />;
  const total = listing.total.value;
  const least = listing.totalIsLeast.value ? "At least " : "";
  const searched = filters.text.trim() !== "";
  const shown = total ?? listing.rows.value.length;
  const noun = running ? "thread runs" : searched ? "thread matches" : "thread";
  const nouns = running ? "threads run" : searched ? "threads match" : "threads";
  const what = `${total === undefined && listing.more ? "At least " : least}${counted(shown, noun, nouns)}${listing.incomplete.value ? " so far" : ""}`;
  const missing = hiddenLinks(listing.hidden.value, filters);
  return (
    <>
      <Tell what={what}>
        {missing.length > 0 && "Not shown: "}
        {missing.map(({ label, to }, n) => (
          <span key={label}>
            {n > 0 && ", "}
            {to ? (
              <a class="link" href={to}>
                {label}
              </a>
            ) : (
              <button type="button" class="link" onClick={() => (looking.value = true)}>
                {label}
              </button>
            )}
          </span>
        ))}
        {!searched && !running && isNarrowed(filters) && (
          <>
            {missing.length > 0 && ". "}
            <a class="link" href={href("list")}>
              Clear filters
            </a>
          </>
        )}
        {listing.notes.value.map((note) => ` ${noteOf(note)}`)}
      </Tell>
      {looking.value && <Unread close={() => (looking.value = false)} />}
    </>
  );
}

interface Missing {
  label: string;
  /** Where it is shown; nothing if it is no thread but a file that is named in a dialog. */
  to?: string;
}

function hiddenLinks(hidden: Hidden, filters: Filters): Missing[] {
  const least = hidden.are_minimums ? "at least " : "";
  const link = (count: number | undefined, one: string, many: string, change?: Partial<Filters>): Missing[] => {
    if (!count) return [];
    const label = `${least}${counted(count, one, many)}`;
    return [change ? { label, to: href("list", "", queryOf({ ...filters, ...change })) } : { label }];
  };
  return [
    ...link(hidden.sub_agents, "sub-agent", "sub-agents", { agents: true }),
    ...link(hidden.archived, "archived", "archived", { archived: true }),
    ...link(hidden.attached, "attached", "attached", { attached: true }),
    ...link(hidden.without_preview, "without a text", "without a text", { withoutText: true }),
    ...link(hidden.duplicates, "copy of a file", "copies of files"),
    ...link(hidden.file_missing, "whose file is gone", "whose files are gone"),
    ...link(hidden.unreadable, "unreadable file", "unreadable files"),
  ];
}
