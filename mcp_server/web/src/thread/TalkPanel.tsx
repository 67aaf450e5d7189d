import type { Signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Agents } from "./agents.ts";
import type { Conversation } from "./conversation.ts";
import { TurnSection } from "./TurnSection.tsx";
import type { Talk } from "./useTalk.ts";

const NEAR_EDGE = 600;

interface Props {
  state: Talk;
  agents: Agents;
  all: Signal<boolean | undefined>;
  again: () => void;
}

/** The turns; further ones come in at both ends as one scrolls there. */
export function TalkPanel({ state: { talk, scroller, current }, agents, all, again }: Props) {
  useAnchored(scroller, talk);
  const turns = talk.turns.value;
  const nothing = talk.thread.value && !talk.loading.value && !turns.length && !talk.fault.value;
  const onScroll = () => {
    const box = scroller.current;
    if (!box) return;
    if (box.scrollTop < NEAR_EDGE) void talk.loadBefore();
    if (box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_EDGE) void talk.loadAfter();
    current.value = inSight(box) ?? current.value;
  };
  return (
    <div ref={scroller} class="talk" tabIndex={0} role="region" aria-label="Conversation" onScroll={onScroll}>
      {talk.fault.value && (
        <p class="fault turn-fault" role="alert">
          {talk.fault.value}{" "}
          <button type="button" class="link" onClick={again}>
            Try again
          </button>
        </p>
      )}
      {talk.before.value && <More label="Earlier turns" load={() => void talk.loadBefore()} />}
      {turns.map((turn) => (
        <TurnSection
          key={turn.id}
          turn={turn}
          number={talk.numbers.value.get(turn.id)}
          threadId={talk.threadId}
          all={all}
          agents={agents}
          current={turn.id === current.value}
        />
      ))}
      {talk.after.value && <More label="Later turns" load={() => void talk.loadAfter()} />}
      {nothing && <p class="earlier faint">Nothing has been said yet.</p>}
    </div>
  );
}

function More({ label, load }: { label: string; load: () => void }) {
  return (
    <p class="earlier">
      <button type="button" class="button small" onClick={load}>
        {label}
      </button>
    </p>
  );
}

/** The turn that stands at the top of what is in sight. */
function inSight(box: HTMLElement): string | undefined {
  const line = box.getBoundingClientRect().top + 80;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 4;
  const turns = [...box.querySelectorAll<HTMLElement>(".turn")];
  const found = atEnd ? turns.at(-1) : turns.findLast((turn) => turn.getBoundingClientRect().top <= line);
  return found?.id.replace(/^turn-/, "");
}

/** What the reader looks at stays where it is while earlier turns come in above. */
function useAnchored(scroller: { current: HTMLDivElement | null }, talk: Conversation): void {
  const before = useRef({ first: "", height: 0 });
  const first = talk.turns.value[0]?.id ?? "";
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const { first: old, height } = before.current;
    if (old && first !== old && talk.turns.peek().some((turn) => turn.id === old)) {
      box.scrollTop += box.scrollHeight - height;
    }
    before.current = { first, height: box.scrollHeight };
  });
}
