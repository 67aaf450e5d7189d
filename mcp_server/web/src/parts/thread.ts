/** A thread as the page shows it, whichever answer it came from. */

import type { AnyThread, DetailedThread, RuntimeStatus, ThreadRow, TurnState, TurnStatus } from "../link/answers.ts";

export interface ThreadFacts {
  id: string;
  name: string | undefined;
  /** The first message, shortened. */
  preview: string;
  lastAnswer: string;
  cwd: string;
  branch: string | undefined;
  workedAt: Date;
  turns: number | undefined;
  subAgents: number | undefined;
  lastTurn: TurnState | undefined;
  lastError: string | undefined;
  runningIn: string | undefined;
  status: RuntimeStatus;
  parentId: string | undefined;
  nickname: string | undefined;
  role: string | undefined;
  archived: boolean;
  forkedFromId: string | undefined;
  attachedToId: string | undefined;
  ephemeral: boolean;
  tags: string[];
  model: string | undefined;
  effort: string | undefined;
  path: string | undefined;
}

export function factsOf(thread: AnyThread): ThreadFacts {
  const row = thread as Partial<ThreadRow & DetailedThread>;
  return {
    id: thread.id,
    name: row.name,
    preview: oneLine(row.preview ?? row.first_message ?? ""),
    lastAnswer: oneLine(row.last_answer ?? ""),
    cwd: row.cwd ?? "",
    branch: row.git_info?.branch ?? row.branch,
    workedAt: new Date(row.recency_at ?? row.worked_at ?? 0),
    turns: row.turn_count ?? row.turns,
    subAgents: row.sub_agents,
    lastTurn: row.last_turn,
    lastError: row.last_error,
    runningIn: row.running_in,
    status: row.status ?? "notLoaded",
    parentId: row.parent_thread_id,
    nickname: row.agent_nickname ?? row.nickname,
    role: row.agent_role,
    archived: row.archived ?? false,
    forkedFromId: row.forked_from_id,
    attachedToId: row.attached_to_thread_id,
    ephemeral: row.ephemeral ?? false,
    tags: row.tags ?? [],
    model: row.model,
    effort: row.reasoning_effort,
    path: row.path,
  };
}

export function titleOf(thread: Pick<ThreadFacts, "name" | "preview" | "nickname" | "id">): string {
  return thread.name || thread.preview || thread.nickname || `Thread ${thread.id.slice(0, 13)}`;
}

/** The last part of a folder's path. */
export function projectOf(cwd: string): string {
  return cwd.replaceAll("\\", "/").replace(/\/+$/, "").split("/").pop() || cwd;
}

/** One of the six hues that mark projects: always the same for one name. */
export function hueOf(project: string): number {
  let sum = 0;
  for (const letter of project) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (sum % 6) + 1;
}

/** The states that are told apart at a glance. */
export type State = "running" | "waits" | "failed" | "interrupted" | "done" | "ready" | "rest" | "archived" | "missing";

interface Standing {
  status?: RuntimeStatus | undefined;
  lastTurn?: TurnState | undefined;
  archived?: boolean;
  parentId?: string | undefined;
}

export function stateOf({ status, lastTurn, archived, parentId }: Standing): State {
  if (status === "missing") return "missing";
  if (status === "active" || lastTurn === "running") return "running";
  if (archived) return "archived";
  if (status === "systemError" || lastTurn === "failed") return "failed";
  if (lastTurn === "interrupted" || lastTurn === "crashed") return "interrupted";
  if (status === "idle") return "ready";
  return parentId && lastTurn === "completed" ? "done" : "rest";
}

const OF_TURN: Record<TurnStatus, State> = {
  completed: "done",
  failed: "failed",
  interrupted: "interrupted",
  crashed: "interrupted",
  inProgress: "running",
};

export function stateOfTurn(status: TurnStatus | undefined): State {
  return OF_TURN[status ?? "completed"];
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
