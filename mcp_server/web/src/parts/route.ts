/** The view and what it shows, as the part of the address after the #. */

import { signal } from "@preact/signals";

export interface Route {
  view: "list" | "running" | "stats" | "thread" | "tree";
  /** Of a thread and a tree. */
  id: string;
  query: URLSearchParams;
}

export const route = signal<Route>(parse(location.hash));
let depth = 0;

addEventListener("hashchange", () => {
  route.value = parse(location.hash);
});

// A frame that a host fills with this page has no address of its own: there a link would lead to the host's page.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
  const plain = !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!link || !plain || event.defaultPrevented) return;
  event.preventDefault();
  follow(link.getAttribute("href") ?? "");
});

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  const known = view === "running" || view === "stats" || ((view === "thread" || view === "tree") && id);
  return { view: known ? (view as Route["view"]) : "list", id: safely(id), query: new URLSearchParams(query) };
}

type Query = Record<string, string | undefined>;

export function href(view: Route["view"], id = "", query: Query = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const tail = given.length ? `?${new URLSearchParams(given)}` : "";
  const path = view === "list" ? "" : view;
  return `#/${path}${id ? `/${encodeURIComponent(id)}` : ""}${tail}`;
}

export function go(view: Route["view"], id = "", query: Query = {}): void {
  follow(href(view, id, query));
}

function follow(address: string): void {
  const before = location.hash;
  location.hash = address;
  if (location.hash !== before) depth += 1;
  route.value = parse(address); // after `restate` in such a frame the address may have stood there already
}

/** To where the reader came from, or to the list. */
export function back(): void {
  if (depth > 0) {
    depth -= 1;
    history.back();
  } else location.hash = href("list");
}

/** Changes the query without a step in the history. */
export function restate(query: Query): void {
  const { view, id } = route.value;
  const address = href(view, id, query);
  try {
    history.replaceState(null, "", address);
  } catch {
    // A sandboxed frame may not: then the route alone knows.
  }
  route.value = parse(address);
}

function safely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
