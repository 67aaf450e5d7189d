/** The view that shows what the call which opened the page was about. */

import { effect } from "@preact/signals";
import { go, type Route, route } from "../parts/route.ts";
import { inline, type Opening, opening } from "./host.ts";

/** Goes there once the host gives the page the whole window. A reader who has walked elsewhere by then stays there. */
export function showOpening(): void {
  effect(() => {
    if (opening.value && !inline.value && isAtAnswer(route.peek())) show(opening.value);
  });
}

/** Whether the address is the one at which a page in a chat shows the answer that it was opened with. */
export function isAtAnswer({ view, query }: Route): boolean {
  return view === "list" && !query.size;
}

function show({ tool, args, answer }: Opening): void {
  const text = (name: string) => (typeof args[name] === "string" ? (args[name] as string) : undefined);
  const { thread, thread_id } = (answer ?? {}) as { thread?: { id: string }; thread_id?: string };
  const id = thread?.id ?? thread_id ?? text("thread_id");
  if (tool === "thread_tree" && id) go("tree", id);
  else if (tool === "thread_search" && !text("thread_id")) go("list", "", { q: text("search_term") });
  else if (tool !== "thread_list" && id) go("thread", id);
  else go("list", "", { project: text("cwd"), archived: args.archived === true ? "1" : undefined });
}
