/** The agents of a tree, as thread_tree tells of them page by page. */

import { link } from "../link/link.ts";
import type { Fork, RuntimeStatus, TokenUsage, Tree as TreeAnswer, TreeNode } from "../link/answers.ts";
import { factsOf, type State, stateOf, type ThreadFacts } from "../parts/thread.ts";

/** One agent of a tree: a thread, its state and the agents below it. */
export interface Agent {
  id: string;
  depth: number;
  /** Nickname, else role; the root is the main thread. */
  name: string;
  role: string;
  title: string;
  state: State;
  status: RuntimeStatus;
  turns?: number;
  tokens?: TokenUsage;
  archived: boolean;
  closed: boolean;
  runningIn?: string;
  parent?: Agent;
  children: Agent[];
}

/** What was loaded of a tree. `agents` are in the order of the picture, the root first. */
export interface AgentTree {
  root: Agent;
  /** The thread that was asked for; the root, or an agent below it. */
  asked: Agent;
  agents: Agent[];
  byId: ReadonlyMap<string, Agent>;
  forks: Fork[];
  /** How many threads the whole tree has. */
  total: number;
}

const PAGE = 100;
/** A tree is read up to this size; the view tells how many agents are left out. */
const MOST_AGENTS = 3_000;

/** Read a tree page by page, and tell of what is there after each page. */
export async function loadTree(threadId: string, onPage: (tree: AgentTree) => void, stop?: AbortSignal): Promise<void> {
  const nodes: TreeNode[] = [];
  const forks: Fork[] = [];
  let cursor: string | undefined;
  do {
    const args = { thread_id: threadId, limit: PAGE, response_format: "detailed", ...(cursor && { cursor }) };
    const page = await link.call("thread_tree", args, stop);
    nodes.push(...(page.nodes ?? []));
    forks.push(...(page.forks ?? []));
    const tree = treeOf(page, nodes, forks);
    if (tree) onPage(tree);
    cursor = page.next_cursor;
  } while (cursor && nodes.length < MOST_AGENTS);
}

function treeOf(page: TreeAnswer, nodes: readonly TreeNode[], forks: Fork[]): AgentTree | undefined {
  const agents: Agent[] = [];
  const way: Agent[] = [];
  for (const node of nodes) {
    // The nodes come in the order of the picture, so the parent is the last one that stands a level higher.
    const depth = node.depth ?? 0;
    const parent = way[depth - 1];
    const agent = agentOf(node, depth, parent);
    way.length = depth;
    way.push(agent);
    parent?.children.push(agent);
    agents.push(agent);
  }
  const [root] = agents;
  if (!root) return undefined;
  const asked = agents.find((agent) => agent.id.startsWith(page.thread_id)) ?? root;
  const byId = new Map(agents.map((agent) => [agent.id, agent]));
  return { root, asked, agents, byId, forks: [...forks], total: page.total };
}

function agentOf(node: TreeNode, depth: number, parent?: Agent): Agent {
  const title = node.title ?? "";
  return {
    id: node.thread_id,
    depth,
    name: parent ? (node.nickname ?? node.role ?? title) : "Main thread",
    role: node.nickname ? (node.role ?? "") : "",
    title,
    state: stateOfNode(node, parent !== undefined),
    status: node.status ?? "notLoaded",
    turns: node.turns,
    tokens: node.tokens,
    archived: node.archived ?? false,
    closed: node.edge === "closed",
    runningIn: node.running_in,
    parent,
    children: [],
  };
}

/** A sub-agent whose turn is completed has done its work, even if it is kept ready for more. */
function stateOfNode(node: TreeNode, isSubAgent: boolean): State {
  const standing = { status: node.status, lastTurn: node.last_turn, archived: node.archived ?? false };
  const state = stateOf({ ...standing, parentId: node.parent_thread_id });
  return isSubAgent && state === "ready" && node.last_turn === "completed" ? "done" : state;
}

/** The agents from the root to this one. */
export function wayTo(agent: Agent): Agent[] {
  return agent.parent ? [...wayTo(agent.parent), agent] : [agent];
}

/** The agents below this one, in the order of the picture. */
export function below(agent: Agent): Agent[] {
  return agent.children.flatMap((child) => [child, ...below(child)]);
}

/** The facts of an agent's thread, as far as the tree tells them. */
export function factsOfAgent(agent: Agent): ThreadFacts {
  return factsOf({
    id: agent.id,
    worked_at: "",
    first_message: agent.title,
    archived: agent.archived,
    status: agent.status,
    ...(agent.parent && { parent_thread_id: agent.parent.id, nickname: agent.name }),
  });
}
