/** What the picture of a tree shows, what it folds, and where each part lies. */

import { hierarchy, tree } from "d3-hierarchy";
import type { State } from "../parts/thread.ts";
import { wholeNumber } from "../parts/time.ts";
import { type Agent, below } from "./agents.ts";

/** What the picture shows at one place: an agent, or several quiet ones that are folded into one. */
export type Spot = AgentSpot | QuietSpot;

export interface AgentSpot {
  kind: "agent";
  id: string;
  agent: Agent;
  parent?: AgentSpot;
  depth: number;
  children: Spot[];
  /** How many agents are hidden below it, since it is folded. */
  hidden: number;
}

export interface QuietSpot {
  kind: "quiet";
  id: string;
  agents: Agent[];
  parent: AgentSpot;
  depth: number;
}

/** What the reader has folded and opened: agents and groups, by id. */
export interface Folds {
  folded: ReadonlySet<string>;
  opened: ReadonlySet<string>;
}

export const NO_FOLDS: Folds = { folded: new Set(), opened: new Set() };

/** States that want nobody. */
export const QUIET: ReadonlySet<State> = new Set<State>(["done", "ready", "rest"]);
/** Children are grouped from this number on, and only if the group has at least so many. */
const MANY_CHILDREN = 6;
const LEAST_GROUP = 3;
/** In larger trees, what is quiet is folded until the reader opens it. */
const LARGE = 100;

/** How the spots are made: what is folded, which agents are quiet with all below them, and which ones a filter shows. */
interface Making {
  folds: Folds;
  quiet: ReadonlySet<Agent>;
  isLarge: boolean;
  shown: ReadonlySet<Agent> | undefined;
}

/** The spots of a tree. With a filter, only the agents that match and the way to them. */
export function spotsOf(root: Agent, folds: Folds, matches?: (agent: Agent) => boolean): AgentSpot {
  const quiet = new Set<Agent>();
  const all = addQuiet(root, quiet);
  const shown = matches && kept(root, matches);
  return spot(root, undefined, { folds, quiet, isLarge: all > LARGE && !shown, shown });
}

/** The spots of a tree in which nothing is folded. */
export function unfolded(root: Agent, matches?: (agent: Agent) => boolean): AgentSpot {
  const shown = matches ? kept(root, matches) : new Set([root, ...below(root)]);
  return spot(root, undefined, { folds: NO_FOLDS, quiet: new Set(), isLarge: false, shown });
}

/** Collects the agents that are quiet with all below them. Returns how many agents there are. */
function addQuiet(agent: Agent, quiet: Set<Agent>): number {
  const below = agent.children.map((child) => addQuiet(child, quiet));
  if (QUIET.has(agent.state) && agent.children.every((child) => quiet.has(child))) quiet.add(agent);
  return below.reduce((sum, count) => sum + count, 1);
}

function kept(root: Agent, matches: (agent: Agent) => boolean): Set<Agent> {
  const found = new Set<Agent>([root]);
  for (const agent of below(root).filter(matches)) {
    for (let at: Agent | undefined = agent; at && !found.has(at); at = at.parent) found.add(at);
  }
  return found;
}

function spot(agent: Agent, parent: AgentSpot | undefined, making: Making): AgentSpot {
  const made: AgentSpot = { kind: "agent", id: agent.id, agent, parent, depth: agent.depth, children: [], hidden: 0 };
  const { shown } = making;
  if (isFolded(agent, parent, making)) {
    made.hidden = shown ? below(agent).filter((one) => shown.has(one)).length : below(agent).length;
    return made;
  }
  const children = shown ? agent.children.filter((child) => shown.has(child)) : agent.children;
  const group = shown ? [] : quietGroup(agent, making);
  const grouped = new Set(group);
  made.children = children.filter((child) => !grouped.has(child)).map((child) => spot(child, made, making));
  if (group.length) {
    made.children.push({ kind: "quiet", id: groupId(agent), agents: group, parent: made, depth: agent.depth + 1 });
  }
  return made;
}

function isFolded(agent: Agent, parent: AgentSpot | undefined, { folds, quiet, isLarge }: Making): boolean {
  if (!agent.children.length) return false;
  if (folds.folded.has(agent.id)) return true;
  return isLarge && parent !== undefined && quiet.has(agent) && !folds.opened.has(agent.id);
}

export function groupId(parent: Agent): string {
  return `quiet:${parent.id}`;
}

/** The children to fold into one spot: those that are quiet with all below them, but for the first. */
function quietGroup(agent: Agent, { folds, quiet }: Making): Agent[] {
  if (agent.children.length < MANY_CHILDREN || folds.opened.has(groupId(agent))) return [];
  const group = agent.children.filter((child) => quiet.has(child)).slice(1);
  return group.length >= LEAST_GROUP ? group : [];
}

/** All spots from the top downwards, as an outline shows them. */
export function inOrder(spot: Spot): Spot[] {
  return spot.kind === "quiet" ? [spot] : [spot, ...spot.children.flatMap(inOrder)];
}

export const NODE = { width: 236, height: 62, quiet: 44 };
const COLUMN = 312;
const ROW = 90;
const MARGIN = 36;

export interface Placed {
  spot: Spot;
  x: number;
  y: number;
}

export interface Picture {
  placed: Placed[];
  width: number;
  height: number;
}

/** Where each spot lies in the map, in pixels from its top left corner; `y` is the middle of a node. */
export function layout(root: AgentSpot): Picture {
  const nodes = hierarchy<Spot>(root, (one) => (one.kind === "agent" ? one.children : []));
  const drawn = tree<Spot>()
    .nodeSize([ROW, COLUMN])
    .separation(() => 1)(nodes)
    .descendants();
  const top = Math.min(...drawn.map((node) => node.x));
  const placed = drawn.map((node) => ({
    spot: node.data,
    x: MARGIN + node.y,
    y: MARGIN + NODE.height / 2 + node.x - top,
  }));
  return {
    placed,
    width: Math.max(...placed.map((one) => one.x)) + NODE.width + MARGIN,
    height: Math.max(...placed.map((one) => one.y)) + NODE.height / 2 + MARGIN,
  };
}

export function spotState(spot: Spot): State {
  if (spot.kind === "agent") return spot.agent.state;
  return spot.agents.every((agent) => agent.state === "done") ? "done" : "rest";
}

/** What a row calls a spot: the title of the thread that the outline begins with, and the names of agents below. */
export function spotTitle(spot: Spot, base = -1): string {
  if (spot.kind === "quiet") {
    const lower = sizeOf(spot) - spot.agents.length;
    const all = `all ${spotState(spot) === "done" ? "done" : "at rest"}`;
    return `${wholeNumber(spot.agents.length)} more${lower ? ` and ${wholeNumber(lower)} below` : ""}, ${all}`;
  }
  return spot.depth === base ? spot.agent.title : spot.agent.name;
}

/** What stands beside it: the title of an agent, the names of a group. */
export function spotNames(spot: Spot, base = -1): string {
  if (spot.kind === "quiet") return spot.agents.map((agent) => agent.name).join(", ");
  return spot.depth === base || spot.agent.name === spot.agent.title ? "" : spot.agent.title;
}

/** How many agents a spot stands for: those that are folded into it, too. */
export function sizeOf(spot: Spot): number {
  if (spot.kind === "agent") return spot.hidden + 1;
  return spot.agents.reduce((sum, agent) => sum + 1 + below(agent).length, 0);
}
