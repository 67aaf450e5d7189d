/** What a list is narrowed to: read from the address, and made into the arguments of the tools. */

import type { TurnState } from "../link/answers.ts";
import type { Arguments } from "../link/link.ts";
import { restate, route } from "../parts/route.ts";

export interface Filters {
  text: string;
  /** How the last turn stands. */
  state: TurnState | "";
  project: string;
  tag: string;
  /** `today`, `yesterday`, `7d`, `30d`, or one day as a date. */
  when: string;
  sort: "recency_at" | "created_at" | "updated_at";
  byTime: boolean;
  archived: boolean;
  /** Sub-agents instead of the threads that people began. */
  agents: boolean;
  attached: boolean;
  withoutText: boolean;
  toolCalls: boolean;
}

const NAMES: { [K in keyof Filters]: string } = {
  text: "q",
  state: "state",
  project: "project",
  tag: "tag",
  when: "when",
  sort: "sort",
  byTime: "newest",
  archived: "archived",
  agents: "agents",
  attached: "attached",
  withoutText: "blank",
  toolCalls: "tools",
};

export function readFilters(query: URLSearchParams): Filters {
  const text = (name: keyof Filters) => query.get(NAMES[name]) ?? "";
  const flag = (name: keyof Filters) => query.get(NAMES[name]) === "1";
  return {
    text: text("text"),
    state: text("state") as Filters["state"],
    project: text("project"),
    tag: text("tag"),
    when: text("when"),
    sort: (text("sort") || "recency_at") as Filters["sort"],
    byTime: flag("byTime"),
    archived: flag("archived"),
    agents: flag("agents"),
    attached: flag("attached"),
    withoutText: flag("withoutText"),
    toolCalls: flag("toolCalls"),
  };
}

/** Changes some filters in the address. */
export function setFilters(change: Partial<Filters>): void {
  restate(queryOf({ ...readFilters(route.value.query), ...change }));
}

export function queryOf(filters: Partial<Filters>): Record<string, string | undefined> {
  const query: Record<string, string | undefined> = {};
  for (const [name, short] of Object.entries(NAMES) as [keyof Filters, string][]) {
    const value = filters[name];
    if (value && value !== "recency_at") query[short] = value === true ? "1" : String(value);
  }
  return query;
}

export const NO_FILTERS: Partial<Filters> = { state: "", project: "", tag: "", when: "" };

/** Whether something besides the words narrows the list. */
export function isNarrowed(filters: Filters): boolean {
  return Boolean(filters.state || filters.project || filters.tag || filters.when);
}

export function listArguments(filters: Filters): Arguments {
  return {
    ...common(filters),
    ...(filters.state ? { last_turn: [filters.state] } : {}),
    ...(filters.withoutText ? { include_without_preview: true } : {}),
    ...(filters.sort !== "recency_at" ? { sort_key: filters.sort } : {}),
  };
}

export function searchArguments(filters: Filters): Arguments {
  return {
    ...common(filters),
    search_term: asYouType(filters.text),
    ...(filters.byTime ? { sort_by: "time" } : {}),
    ...(filters.toolCalls ? { include_tool_calls: true } : {}),
  };
}

function common(filters: Filters): Arguments {
  return {
    ...(filters.archived ? { archived: true } : {}),
    ...(filters.project ? { cwd: filters.project } : {}),
    ...(filters.tag ? { tags: [filters.tag] } : {}),
    ...(filters.agents ? { source_kinds: ["subAgent"] } : {}),
    ...(filters.attached ? { include_attached_threads: true } : {}),
    ...timeArguments(filters.when),
  };
}

function timeArguments(when: string): Arguments {
  if (/^\d{4}-\d\d-\d\d$/.test(when)) {
    return { since: when, until: when };
  }
  if (when === "yesterday") return { since: "yesterday", until: "yesterday" };
  return when ? { since: when } : {};
}

/** The date of a day in the reader's own time zone. */
export function isoDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The word that is being typed matches by its beginning. */
function asYouType(text: string): string {
  return /(^|\s)[\p{L}\p{N}]{2,}$/u.test(text) && !/\bOR$/.test(text) ? `${text}*` : text;
}
