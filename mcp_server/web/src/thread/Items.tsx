import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Item, Turn } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { Icon } from "../parts/Icon.tsx";
import { href } from "../parts/route.ts";
import { Glyph } from "../parts/State.tsx";
import { stateOf } from "../parts/thread.ts";
import { counted } from "../parts/time.ts";
import type { Agents } from "./agents.ts";
import { CallRow } from "./CallRow.tsx";
import { LongText } from "./LongText.tsx";
import { Picture } from "./Picture.tsx";
import { partsOf, reasoningOf, text } from "./told.ts";

interface Props {
  items: Item[];
  turn: Turn;
  threadId: string;
  all: Signal<boolean | undefined>;
  agents: Agents;
}

const SPAWNS = new Set(["collabAgentToolCall", "subAgentActivity"]);

/** The items of a turn in order; calls that follow each other stand in one box. */
export function Items({ items, turn, threadId, all, agents }: Props) {
  const shown: ComponentChildren[] = [];
  let calls: ComponentChildren[] = [];
  let said = false;
  const closeBox = () => {
    if (calls.length) shown.push(<div class="calls" key={`calls-${shown.length}`}>{calls}</div>);
    calls = [];
  };
  for (const item of items) {
    const place = { threadId, turnId: turn.id, itemId: item.id };
    if (SPAWNS.has(item.type)) {
      agents.want();
      calls.push(...spawns(item, agents));
    } else if (isSpeech(item.type)) {
      closeBox();
      if (item.type !== "userMessage" && item.type !== "reasoning" && item.type !== "contextCompaction" && !said) {
        said = true;
        shown.push(<span class="who" key={`who-${item.id}`}>Agent</span>);
      }
      shown.push(<Speech key={item.id} item={item} place={place} />);
    } else {
      calls.push(<CallRow key={item.id} item={item} threadId={threadId} turnId={turn.id} all={all} />);
    }
  }
  closeBox();
  return <>{shown}</>;
}

function isSpeech(type: string): boolean {
  return ["userMessage", "agentMessage", "plan", "reasoning", "contextCompaction"].includes(type);
}

function Speech({ item, place }: { item: Item; place: { threadId: string; turnId: string; itemId: string } }) {
  switch (item.type) {
    case "userMessage":
      return <UserMessage item={item} place={place} />;
    case "reasoning":
      return (
        <details class="thought">
          <summary>
            <Icon name="right" />
            Thought <span class="cut faint">{reasoningOf(item).replace(/\s+/g, " ").slice(0, 120)}</span>
          </summary>
          <LongText place={{ ...place, path: "summary.0" }} text={reasoningOf(item)} length={item.truncated?.["summary.0"]} />
        </details>
      );
    case "contextCompaction":
      return (
        <p class="compacted">
          <span>The context was shortened here</span>
        </p>
      );
    default:
      return <LongText place={{ ...place, path: "text" }} text={text(item.text)} length={item.truncated?.text} />;
  }
}

function UserMessage({ item, place }: { item: Item; place: { threadId: string; turnId: string; itemId: string } }) {
  return (
    <div class="mine">
      <span class="who">You</span>
      {partsOf(item).map((part, n) => {
        const path = `content.${n}.${part.url ? "url" : "text"}`;
        const length = item.truncated?.[path];
        if (part.url?.startsWith("data:image/")) {
          return <Picture key={n} place={{ ...place, path }} address={part.url} length={length} />;
        }
        if (part.text !== undefined) return <LongText key={n} place={{ ...place, path }} text={part.text} length={length} />;
        return (
          <p key={n} class="attached">
            <Icon name={part.type.toLowerCase().includes("image") ? "image" : "file"} />
            <code>{part.path ?? part.url ?? part.name ?? part.type}</code>
          </p>
        );
      })}
    </div>
  );
}

/** A row for each sub-agent that an item is about; it leads to its thread. */
function spawns(item: Item, agents: Agents): ComponentChildren[] {
  const ids = Array.isArray(item.receiver_thread_ids) ? (item.receiver_thread_ids as string[]) : [];
  const all = ids.length ? ids : [text(item.agent_thread_id)].filter(Boolean);
  const what = text(item.tool) || text(item.kind) || "sub-agent";
  const about = text(item.prompt).replace(/\s+/g, " ");
  return all.map((id) => {
    const agent = agents.find(id);
    const state = agent && stateOf({ ...agent, lastTurn: agent.last_turn, parentId: agent.parent_thread_id });
    return (
      <a class="call spawn" key={`${item.id}-${id}`} data-item={item.id} href={link.holds(id) ? href("thread", id) : undefined}>
        <Icon name="right" />
        {state ? <Glyph state={state} /> : <Icon name="agents" />}
        <span class="cut">
          <b>{agent?.nickname ?? agent?.title ?? "Sub-agent"}</b> {agent?.role && <span class="faint">{agent.role} </span>}
          {about || text(item.agent_path)}
        </span>
        <span class="call-end figures">
          <span>
            {WHAT[what] ?? what}
            {agent?.turns !== undefined && <span class="not-narrow">, {counted(agent.turns, "turn")}</span>}
          </span>
        </span>
      </a>
    );
  });
}

const WHAT: Record<string, string> = {
  spawnAgent: "started",
  sendInput: "written to",
  resumeAgent: "resumed",
  wait: "waited for",
  closeAgent: "closed",
  started: "started",
  completed: "finished",
};
