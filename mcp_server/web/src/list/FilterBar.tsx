import { Icon } from "../parts/Icon.tsx";
import { projectOf } from "../parts/thread.ts";
import { projects, tags } from "../shell/counts.ts";
import { type Filters, setFilters } from "./filters.ts";

type Choice = [value: string, label: string];

const STATES: Choice[] = [
  ["running", "Running"],
  ["failed", "Failed"],
  ["interrupted", "Interrupted"],
  ["crashed", "Without an end"],
  ["completed", "Completed"],
];
const TIMES: Choice[] = [
  ["today", "Today"],
  ["yesterday", "Yesterday"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
  ["365d", "Last 365 days"],
];
const ORDERS: Choice[] = [
  ["created_at", "Created"],
  ["updated_at", "Changed"],
];

/** What narrows the list. A filter that is set names its value, and choosing its first line takes it away. */
export function FilterBar({ filters, searching }: { filters: Filters; searching: boolean }) {
  const folders: Choice[] = projects.value.map(({ key = "" }) => [key, projectOf(key)]);
  const known: Choice[] = tags.value.map(({ key = "" }) => [key, key]);
  return (
    <div class="filters" role="group" aria-label="Filters">
      {filters.archived && <Set label="Archived" clear={{ archived: false }} />}
      {filters.agents && <Set label="Sub-agents" clear={{ agents: false }} />}
      {filters.attached && <Set label="Attached: included" clear={{ attached: false }} />}
      {filters.withoutText && <Set label="Without a text: included" clear={{ withoutText: false }} />}
      {!searching && <Choose label="State" value={filters.state} choices={STATES} pick={(state) => setFilters({ state: state as Filters["state"] })} />}
      <Choose label="Project" value={filters.project} choices={withValue(folders, filters.project, projectOf)} pick={(project) => setFilters({ project })} />
      <Choose label="Tag" value={filters.tag} choices={withValue(known, filters.tag)} pick={(tag) => setFilters({ tag })} />
      <Choose label="When" value={filters.when} choices={withValue(TIMES, filters.when)} pick={(when) => setFilters({ when })} />
      {searching && (
        <button
          type="button"
          class={filters.toolCalls ? "filter is-set" : "filter"}
          aria-pressed={filters.toolCalls}
          onClick={() => setFilters({ toolCalls: !filters.toolCalls })}
        >
          Tool calls too
        </button>
      )}
      <span class="grow" />
      {searching ? (
        <Choose label="Best match" value={filters.byTime ? "time" : ""} choices={[["time", "Newest"]]} pick={(by) => setFilters({ byTime: by === "time" })} sorts />
      ) : (
        <Choose
          label="Last used"
          value={filters.sort === "recency_at" ? "" : filters.sort}
          choices={ORDERS}
          pick={(sort) => setFilters({ sort: (sort || "recency_at") as Filters["sort"] })}
          sorts
        />
      )}
    </div>
  );
}

interface ChooseProps {
  label: string;
  value: string;
  choices: Choice[];
  pick: (value: string) => void;
  /** An order: its first line is a choice like the others. */
  sorts?: boolean;
}

function Choose({ label, value, choices, pick, sorts = false }: ChooseProps) {
  if (!choices.length) return null;
  return (
    <span class={`filter choose${value && !sorts ? " is-set" : ""}${sorts ? " sorts not-narrow" : ""}`}>
      <select aria-label={sorts ? "Order" : label} value={value} onChange={(event) => pick(event.currentTarget.value)}>
        <option value="">{sorts || !value ? label : `Any ${label.toLowerCase()}`}</option>
        {choices.map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
      <Icon name="down" />
    </span>
  );
}

function Set({ label, clear }: { label: string; clear: Partial<Filters> }) {
  return (
    <button type="button" class="filter is-set" onClick={() => setFilters(clear)}>
      {label}
      <Icon name="close" />
    </button>
  );
}

/** The choices with the one that is set, which a link may have brought. */
function withValue(choices: Choice[], value: string, name = (text: string) => text): Choice[] {
  return !value || choices.some(([key]) => key === value) ? choices : [...choices, [value, name(value)]];
}
