import type { Signal } from "@preact/signals";
import { link } from "../link/link.ts";
import { open } from "../parts/dialog.ts";
import { useKeys } from "../parts/keys.ts";
import { go } from "../parts/route.ts";
import { can } from "../shell/abilities.ts";
import { continueInChat } from "./continue.ts";
import { copied } from "./CopyButton.tsx";
import { messageOf, text } from "./told.ts";
import type { Talk } from "./useTalk.ts";

/** The keys of a thread. `all` folds or opens every call, `finding` shows the field that finds words. */
export function useThreadKeys({ talk, current, show }: Talk, all: Signal<boolean | undefined>, finding: Signal<boolean>): void {
  const step = (by: number) => {
    const turns = talk.turns.peek();
    const at = turns.findIndex((turn) => turn.id === current.peek());
    show(turns[Math.max(0, Math.min(turns.length - 1, at + by))]?.id);
  };
  const copyTurn = () => {
    const turn = talk.turns.peek().find((one) => one.id === current.peek()) ?? talk.turns.peek().at(-1);
    const said = (turn?.items ?? []).flatMap((item) => {
      if (item.type === "userMessage") return [messageOf(item)];
      return item.type === "agentMessage" ? [text(item.text)] : [];
    });
    void copied(async () => said.join("\n\n"));
  };
  const act = (tool: string, run: (thread: NonNullable<typeof talk.thread.value>) => void) => () => {
    const thread = talk.thread.peek();
    if (thread && (!tool || can(tool))) run(thread);
  };
  const find = () => {
    finding.value = true;
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    o: () => {
      all.value = !(all.value ?? false);
    },
    f: find,
    "/": find,
    c: copyTurn,
    "⇧c": act("", (thread) => !link.way.root && void continueInChat(thread)),
    t: () => go("tree", talk.threadId),
    n: act("thread_update", (thread) => open({ kind: "name", thread })),
    l: act("thread_update", (thread) => open({ kind: "tags", thread })),
    e: act("thread_archive", (thread) => open({ kind: "archive", threads: [thread] })),
    "⇧e": act("thread_unarchive", (thread) => open({ kind: "unarchive", threads: [thread] })),
  });
}
