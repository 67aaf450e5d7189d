import { type Signal, useSignal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { Item, Turn } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { Glyph } from "../parts/State.tsx";
import { stateOfTurn } from "../parts/thread.ts";
import { age, clockTime, counted, daysAgo, short, span, when, wholeTime } from "../parts/time.ts";
import type { Agents } from "./agents.ts";
import { Items } from "./Items.tsx";
import { text } from "./told.ts";

interface Props {
  turn: Turn;
  number: number | undefined;
  threadId: string;
  all: Signal<boolean | undefined>;
  agents: Agents;
  current: boolean;
}

/** One turn: a knot on the line, when and how long, then what was said and done. */
export function TurnSection({ turn, number, threadId, all, agents, current }: Props) {
  const state = stateOfTurn(turn.status);
  const begun = turn.started_at ? new Date(turn.started_at) : undefined;
  const used = (turn.tokens?.input ?? 0) + (turn.tokens?.output ?? 0);
  const title = number ? `Turn ${number}` : "Turn";
  return (
    <section id={`turn-${turn.id}`} class={`turn is-${state}`} aria-label={title} aria-current={current || undefined} tabIndex={-1}>
      <header class="turn-head">
        <Glyph state={state} />
        <b>{title}</b>
        {begun && (
          <time class="figures" dateTime={turn.started_at} title={wholeTime(begun)}>
            {daysAgo(begun) ? `${when(begun)}, ` : ""}
            {clockTime(begun)}
            {lasted(turn, begun)}
          </time>
        )}
        <span class="grow" />
        {used > 0 && <span class="figures">{short(used)} tokens</span>}
      </header>
      <Body turn={turn} threadId={threadId} all={all} agents={agents} />
      <Ending turn={turn} />
    </section>
  );
}

function lasted(turn: Turn, begun: Date): string {
  if (turn.status === "inProgress") return `, running for ${age(begun)}`;
  return turn.duration_ms === undefined ? "" : `, ${span(turn.duration_ms)}`;
}

/** The items; of a turn with too many for one answer the first and last, until the rest is asked for. */
function Body({ turn, threadId, all, agents }: Pick<Props, "turn" | "threadId" | "all" | "agents">) {
  const items = turn.items ?? [];
  const left = turn.left_out?.items ?? 0;
  const rest = useSignal<Item[] | undefined>(undefined);
  const [fault, setFault] = useState("");
  if (!left || rest.value) return <Items items={rest.value ?? items} turn={turn} threadId={threadId} all={all} agents={agents} />;
  const gap = items.length - Math.floor(items.length / 2);
  const load = () => {
    itemsOf(threadId, turn.id).then(
      (found) => {
        rest.value = found;
      },
      (error: Error) => setFault(error.message),
    );
  };
  return (
    <>
      <Items items={items.slice(0, gap)} turn={turn} threadId={threadId} all={all} agents={agents} />
      <p class="gap">
        <button type="button" class="button small" onClick={load}>
          Show {counted(left, "more item")}
        </button>{" "}
        <span role="alert">{fault}</span>
      </p>
      <Items items={items.slice(gap)} turn={turn} threadId={threadId} all={all} agents={agents} />
    </>
  );
}

async function itemsOf(threadId: string, turnId: string): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const args = { thread_id: threadId, turn_id: turnId, limit: 100, response_format: "detailed", ...(cursor ? { cursor } : {}) };
    const answer = await link.call("thread_items", args);
    items.push(...(answer.data ?? []).map((entry) => entry.item));
    cursor = answer.next_cursor;
  } while (cursor);
  return items;
}

function Ending({ turn }: { turn: Turn }) {
  if (turn.status === "failed") {
    const { message, codex_error_info: kind, additional_details: details } = turn.error ?? {};
    return (
      <div class="note is-failed">
        <Glyph state="failed" label={false} />
        <div>
          <b>This turn failed</b>
          <p>
            {message ?? "Why is not recorded."} {kind ? <code>{text(kind)}</code> : null}
          </p>
          {details && (
            <details>
              <summary class="link">Details</summary>
              <pre tabIndex={0}>{details}</pre>
            </details>
          )}
        </div>
      </div>
    );
  }
  if (turn.status === "interrupted" || turn.status === "crashed") {
    const [title, why] =
      turn.status === "crashed"
        ? ["This turn has no end", "Nobody works on it any more, and how it ended was not recorded."]
        : ["This turn was interrupted", "What was done until then is kept."];
    return (
      <div class="note is-interrupted">
        <Glyph state="interrupted" label={false} />
        <div>
          <b>{title}</b>
          <p>{why}</p>
        </div>
      </div>
    );
  }
  return null;
}
