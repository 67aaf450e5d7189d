import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { link } from "../link/link.ts";
import { Keystrip } from "../parts/Keystrip.tsx";
import { Modal } from "../parts/Modal.tsx";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { Agents } from "./agents.ts";
import { Context, Facts } from "./Facts.tsx";
import { Find } from "./Find.tsx";
import { Head } from "./Head.tsx";
import { TalkPanel } from "./TalkPanel.tsx";
import { Turns } from "./Turns.tsx";
import { useTalk } from "./useTalk.ts";
import { useThreadKeys } from "./useThreadKeys.ts";

interface Props {
  threadId: string;
  /** The turn and the item to begin at; else the last turn. */
  turnId?: string | undefined;
  itemId?: string | undefined;
}

/** A thread as a conversation: its turns on one line, the last one first in sight. */
export function ThreadView({ threadId, turnId, itemId }: Props) {
  const state = useTalk(threadId, turnId, itemId);
  const [agents] = useState(() => new Agents(threadId));
  const all = useSignal<boolean | undefined>(undefined);
  const finding = useSignal(false);
  const asking = useSignal(false);
  const { talk, current, jump } = state;
  const thread = talk.thread.value;
  const at = useComputed(() => talk.numbers.value.get(current.value ?? "") ?? talk.total.value);
  useTitle(thread);
  useThreadKeys(state, all, finding);
  return (
    <>
      <Head thread={thread} threadId={threadId} about={() => (asking.value = true)} />
      {asking.value && thread && (
        <Modal title="About this thread" close={() => (asking.value = false)}>
          <Facts thread={thread} tokens={talk.tokens.value} />
        </Modal>
      )}
      {(talk.tokens.value?.window_size || talk.total.value > 1) && (
        <div class="under-bar not-wide">
          <Context tokens={talk.tokens.value} line />
          <span class="grow" />
          <Turns talk={talk} at={at.value} jump={jump} menu />
        </div>
      )}
      {finding.value && <Find threadId={talk.threadId} jump={jump} close={() => (finding.value = false)} />}
      <div class="thread">
        <Turns talk={talk} at={at.value} jump={jump} />
        <TalkPanel state={state} agents={agents} all={all} again={() => void talk.begin(turnId)} />
        {thread && <Facts thread={thread} tokens={talk.tokens.value} />}
      </div>
      <Keystrip keys={threadId === link.way.root ? KEYS.filter(([, what]) => what !== "back") : KEYS} />
    </>
  );
}

const KEYS: [string[], string][] = [
  [["J", "K"], "next, previous turn"],
  [["O"], "open or fold calls"],
  [["[", "]"], "page output"],
  [["T"], "tree"],
  [["C"], "copy"],
  [["F"], "find here"],
  [["Esc"], "back"],
  [["?"], "all keys"],
];

function useTitle(thread: ThreadFacts | undefined): void {
  const title = thread && titleOf(thread);
  useEffect(() => {
    if (title) document.title = `${title} · Threadstore`;
    return () => {
      document.title = "Threads · Threadstore";
    };
  }, [title]);
}
