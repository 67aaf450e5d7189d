import type { DetailedThread, Fork } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { open } from "../parts/dialog.ts";
import { Prose } from "../parts/Prose.tsx";
import { href } from "../parts/route.ts";
import { Glyph, Word } from "../parts/State.tsx";
import { factsOf } from "../parts/thread.ts";
import { age, counted, short, span, when, wholeNumber, wholeTime } from "../parts/time.ts";
import { can } from "../shell/abilities.ts";
import { sumOf } from "../stats/tokens.ts";
import { type Agent, below, factsOfAgent, wayTo } from "./agents.ts";
import { type AgentLook, useAgent } from "./useAgent.ts";

interface PaneProps {
  agent: Agent;
  forks: Fork[];
  turn: number;
  choose: (agent: Agent) => void;
}

/** The chosen agent beside the tree: what it is, does and said. */
export function TreePane({ agent, forks, turn, choose }: PaneProps) {
  const look = useAgent(agent.id, turn);
  const { thread, doing, problem } = look;
  return (
    <aside class="tree-pane" aria-label={agent.name} tabIndex={0}>
      <div>
        <Way agent={agent} choose={choose} />
        <h2>{agent.title}</h2>
        <p class="state">
          <Glyph state={agent.state} label={false} />
          <Word state={agent.state} />
          <span class="faint">{[agent.role, lasted(agent, look)].filter(Boolean).join(", ")}</span>
        </p>
      </div>
      {problem && <p class="fault">{problem}</p>}
      {doing?.now && (
        <div class="now-box">
          <p class="label">{isAtWork(agent) ? "Now" : "Stopped in"}</p>
          <p class="mono">{doing.now}</p>
        </div>
      )}
      {thread?.last_error && (
        <div class="now-box is-failed">
          <p class="label">Why it failed</p>
          <p>{thread.last_error}</p>
        </div>
      )}
      {doing?.said && (
        <div>
          <p class="label">Last message</p>
          <Prose text={doing.saidMore ? `${doing.said}…` : doing.said} />
        </div>
      )}
      <Facts agent={agent} thread={thread} forks={forks} />
      <Deeds agent={agent} thread={thread} hint />
    </aside>
  );
}

/** The same in a bar at the foot, where there is no room beside the tree. */
export function TreeSheet({ agent, turn }: { agent: Agent; turn: number }) {
  const look = useAgent(agent.id, turn);
  const { thread, doing } = look;
  return (
    <aside class="tree-sheet" aria-label={agent.name}>
      <div class="state">
        <Glyph state={agent.state} />
        <b class="cut">{agent.name}</b>
        <span class="faint">{[agent.role, lasted(agent, look)].filter(Boolean).join(", ")}</span>
        <span class="grow only-narrow" />
        <span class="faint figures">{figures(agent)}</span>
      </div>
      <p class="mono cut soft">{doing?.now ?? thread?.last_error ?? doing?.said ?? ""}</p>
      <Deeds agent={agent} thread={thread} />
    </aside>
  );
}

function Way({ agent, choose }: { agent: Agent; choose: (agent: Agent) => void }) {
  const way = wayTo(agent);
  return (
    <nav class="way" aria-label="The way to it">
      {way.slice(0, -1).map((above) => (
        <span key={above.id}>
          <button type="button" onClick={() => choose(above)}>
            {above.name}
          </button>
          {" / "}
        </span>
      ))}
      <span>{agent.name}</span>
    </nav>
  );
}

function isAtWork(agent: Agent): boolean {
  return agent.state === "running" || agent.state === "waits";
}

/** How long it has worked by now, or from its beginning to the end of its last turn. */
function lasted(agent: Agent, { thread, lastTurn }: AgentLook): string {
  if (!thread) return "";
  const began = new Date(thread.created_at);
  if (isAtWork(agent)) return age(began);
  if (!lastTurn?.completed_at) return "";
  const worked = new Date(lastTurn.completed_at).getTime() - began.getTime();
  return worked < 1_000 ? "under 1 s" : span(worked);
}

function figures(agent: Agent): string {
  const told: string[] = [];
  if (agent.turns !== undefined) told.push(counted(agent.turns, "turn"));
  if (agent.tokens) told.push(short(sumOf(agent.tokens)));
  return told.join(", ");
}

function Facts({ agent, thread, forks }: { agent: Agent; thread: DetailedThread | undefined; forks: Fork[] }) {
  const own = forks.filter((fork) => agent.id.startsWith(fork.forked_from_id));
  return (
    <dl class="recorded">
      {agent.turns !== undefined && (
        <>
          <dt>Turns</dt>
          <dd class="figures">{wholeNumber(agent.turns)}</dd>
        </>
      )}
      <dt>Tokens</dt>
      <dd class="figures">{tokensOf(agent)}</dd>
      {thread && (
        <>
          <dt>Started</dt>
          <dd title={wholeTime(new Date(thread.created_at))}>
            {when(new Date(thread.created_at))}
            {agent.parent && ` by ${agent.parent.parent ? agent.parent.name : "the main thread"}`}
          </dd>
        </>
      )}
      {thread?.model && (
        <>
          <dt>Model</dt>
          <dd class="mono">{thread.model}</dd>
        </>
      )}
      {agent.runningIn && (
        <>
          <dt>Open in</dt>
          <dd>{agent.runningIn}</dd>
        </>
      )}
      {own.length > 0 && (
        <>
          <dt>Forks</dt>
          <dd>
            {own.map((fork) => (
              <a key={fork.thread_id} class="link fork cut" href={href("thread", fork.thread_id)}>
                {fork.title || fork.thread_id}
              </a>
            ))}
          </dd>
        </>
      )}
    </dl>
  );
}

/** Its own tokens, and with those of its own agents. */
function tokensOf(agent: Agent): string {
  const own = agent.tokens ? short(sumOf(agent.tokens)) : "not recorded";
  const recorded = below(agent).filter((one) => one.tokens);
  if (!recorded.length) return own;
  const all = recorded.reduce((sum, one) => sum + sumOf(one.tokens), sumOf(agent.tokens));
  return `${own}, with its own ${wholeNumber(recorded.length)}: ${short(all)}`;
}

interface DeedsProps {
  agent: Agent;
  thread: DetailedThread | undefined;
  hint?: boolean;
}

function Deeds({ agent, thread, hint = false }: DeedsProps) {
  const count = below(agent).filter((one) => !one.archived).length + 1;
  const threads = [thread ? factsOf(thread) : factsOfAgent(agent)];
  return (
    <div class="deeds">
      {link.holds(agent.id) && (
        <a class="button first" href={href("thread", agent.id)}>
          Open thread {hint && <kbd>↵</kbd>}
        </a>
      )}
      {agent.archived
        ? can("thread_unarchive") && (
            <button type="button" class="button" onClick={() => open({ kind: "unarchive", threads })}>
              Bring back…
            </button>
          )
        : can("thread_archive") && (
            <button type="button" class="button" onClick={() => open({ kind: "archive", threads })}>
              {count > 1 ? `Archive ${wholeNumber(count)}…` : "Archive…"}
            </button>
          )}
    </div>
  );
}
