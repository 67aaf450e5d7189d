import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isAbout, onEvents } from "../link/live.ts";
import { changes } from "../parts/changed.ts";
import { Soon } from "../parts/soon.ts";
import { drawn } from "../shell/start.ts";
import { Conversation } from "./conversation.ts";

const SETTLE_MS = 250;
const LOOK_AGAIN_MS = 3_000;
const AT_END = 80;

export interface Talk {
  talk: Conversation;
  scroller: RefObject<HTMLDivElement | null>;
  /** The id of the turn in sight. */
  current: Signal<string | undefined>;
  /** Goes to a turn that is shown. */
  show: (turnId: string | undefined, itemId?: string) => void;
  /** Goes to any turn. */
  jump: (turnId: string, itemId?: string) => void;
}

/** A conversation that begins at its last turn, or at a place in it, and is kept up to date. */
export function useTalk(threadId: string, turnId: string | undefined, itemId: string | undefined): Talk {
  const [talk] = useState(() => new Conversation(threadId));
  const scroller = useRef<HTMLDivElement>(null);
  const current = useSignal<string | undefined>(turnId);

  const show = (id: string | undefined, item?: string) => {
    if (!id) return;
    current.value = id;
    const turn = document.getElementById(`turn-${id}`);
    const place = item ? turn?.querySelector(`[data-item="${CSS.escape(item)}"]`) : undefined;
    (place ?? turn)?.scrollIntoView({ block: place ? "center" : "start" });
  };
  const jump = async (id: string, item?: string) => {
    if (!talk.turns.peek().some((turn) => turn.id === id)) await talk.begin(id);
    requestAnimationFrame(() => show(id, item));
  };
  useEffect(() => {
    void talk.begin(turnId).then(() => {
      drawn();
      requestAnimationFrame(() => show(turnId ?? talk.turns.peek().at(-1)?.id, itemId));
      void talk.loadOutline();
    });
    return () => talk.end();
  }, []);
  useEffect(() => {
    if (turnId && current.peek() !== turnId) void jump(turnId, itemId);
  }, [turnId, itemId]);
  useEffect(() => keepFresh(talk, scroller.current), []);
  return { talk, scroller, current, show, jump: (id, item) => void jump(id, item) };
}

/** Reads the end anew when something happens in the thread. One that another program runs tells nothing, so look. */
function keepFresh(talk: Conversation, box: HTMLElement | null): () => void {
  const soon = new Soon(async () => {
    const atEnd = box && box.scrollHeight - box.scrollTop - box.clientHeight < AT_END;
    await talk.refresh();
    if (atEnd) requestAnimationFrame(() => box.scrollTo(0, box.scrollHeight));
  }, SETTLE_MS);
  const timer = setInterval(() => {
    if (!document.hidden && talk.thread.peek()?.runningIn) soon.ask();
  }, LOOK_AGAIN_MS);
  const leave = [
    onEvents((events) => events.some((event) => isAbout(event, talk.threadId)) && soon.ask()),
    changes.subscribe((n) => n && soon.ask()),
  ];
  return () => {
    clearInterval(timer);
    soon.stop();
    leave.forEach((one) => one());
  };
}
