import { useCallback, useEffect, useRef } from "preact/hooks";
import type { OutlineEntry } from "../link/answers.ts";
import { useVirtual } from "../list/useVirtual.ts";
import { Icon } from "../parts/Icon.tsx";
import { Glyph } from "../parts/State.tsx";
import { stateOfTurn } from "../parts/thread.ts";
import { counted, wholeNumber } from "../parts/time.ts";
import type { Conversation } from "./conversation.ts";

interface Props {
  talk: Conversation;
  /** The number of the turn in sight, from 1. */
  at: number;
  jump: (turnId: string) => void;
  /** As a menu of one line, for narrow pages. */
  menu?: boolean;
}

/** What the user said in each turn, to go there. */
export function Turns({ talk, at, jump, menu = false }: Props) {
  const entries = talk.outline.value;
  return menu ? <TurnMenu {...{ talk, at, jump, entries }} /> : <TurnList {...{ talk, at, jump, entries }} />;
}

type Listed = Props & { entries: OutlineEntry[] };

function TurnMenu({ talk, at, jump, entries }: Listed) {
  if (talk.total.value < 2) return null;
  return (
    <span class="filter choose">
      <select aria-label="Turn" value={entries[at - 1]?.turn_id} onChange={(event) => jump(event.currentTarget.value)}>
        {entries.map((entry, n) => (
          <option key={entry.turn_id} value={entry.turn_id}>
            Turn {n + 1} of {talk.total.value}
          </option>
        ))}
      </select>
      <Icon name="down" />
    </span>
  );
}

const HIGH = 32;
const estimateSize = () => HIGH;

function TurnList({ talk, at, jump, entries }: Listed) {
  const scroller = useRef<HTMLDivElement>(null);
  const getItemKey = useCallback((n: number) => entries[n]?.turn_id ?? n, [entries]);
  const list = useVirtual(scroller, { count: entries.length, estimateSize, getItemKey });
  useEffect(() => {
    if (entries.length) list.scrollToIndex(Math.min(at, entries.length) - 1, { align: "auto" });
  }, [at, entries.length]);
  return (
    <nav class="outline only-wide" aria-label="Turns">
      <h2>{counted(talk.total.value, "turn")}</h2>
      <div class="outline-scroll" ref={scroller}>
        <div class="list-all" style={{ height: `${list.getTotalSize()}px` }}>
          {list.getVirtualItems().map(({ key, index, start }) => {
            const entry = entries[index];
            if (!entry) return null;
            return (
              <button
                key={key}
                type="button"
                class="outline-turn"
                style={{ transform: `translateY(${start}px)` }}
                aria-current={index + 1 === at ? "true" : undefined}
                onClick={() => jump(entry.turn_id)}
              >
                <Glyph state={stateOfTurn(entry.status)} />
                <span class="cut">{entry.text || "(no message)"}</span>
                <span class="figures">{wholeNumber(index + 1)}</span>
              </button>
            );
          })}
        </div>
      </div>
    </nav>
  );
}
