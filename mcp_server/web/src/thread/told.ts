/** An item of a turn in a few words. */

import type { Item } from "../link/answers.ts";

const LEAST_TEXT = 160;

export function told(item: Item): string {
  switch (item.type) {
    case "commandExecution":
      return `$ ${line(commandOf(item))}`;
    case "fileChange":
      return `Changes ${filesOf(item).join(", ")}`;
    case "mcpToolCall":
    case "dynamicToolCall":
      if (commandOf(item)) return `$ ${line(commandOf(item))}`;
      return line(`${toolOf(item)} ${text(item.arguments)}`);
    case "webSearch":
      return `Searches the web for ${line(text(item.query))}`;
    case "collabAgentToolCall":
      return line(`${toolOf(item)} ${text(item.prompt)}`);
    case "contextCompaction":
      return "Shortens its context";
    case "reasoning":
      return line(reasoningOf(item)) || "Thinks";
    case "userMessage":
      return line(messageOf(item));
    default:
      return line(text(item.text)) || item.type;
  }
}

/** The command that an item ran, without the shell that ran it; empty if it ran none. A tool runs one too if it takes a
 * `command`, whatever its name. */
export function commandOf(item: Item): string {
  if (item.type === "commandExecution") return bare(item.command);
  if (typeof item.arguments !== "string") return "";
  const args = parsed(item.arguments) as { command?: unknown; cmd?: unknown } | undefined;
  return bare(args?.command ?? args?.cmd);
}

function bare(command: unknown): string {
  const whole = Array.isArray(command) ? command.map(String).join(" ") : typeof command === "string" ? command : "";
  return /^(?:\/\S*\/)?(?:ba|z)?sh -l?c (["'])([\s\S]*)\1$/.exec(whole)?.[2] ?? whole;
}

export function parsed(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

export interface Change {
  path: string;
  kind: string;
  diff: string;
}

export function changesOf(item: Item): Change[] {
  const changes = Array.isArray(item.changes) ? (item.changes as Record<string, unknown>[]) : [];
  return changes.map((change) => ({
    path: text(change.path),
    kind: text((change.kind as { type?: unknown } | undefined)?.type ?? change.kind),
    diff: text(change.diff),
  }));
}

function filesOf(item: Item): string[] {
  return changesOf(item).map(({ path }) => path.split("/").pop() ?? path);
}

export function toolOf(item: Item): string {
  const [server, tool] = [text(item.server), text(item.tool)];
  return server ? `${server} · ${tool}` : tool || item.type;
}

/** The parts of reasoning, one below the other. */
export function reasoningOf(item: Item): string {
  const parts = [item.summary, item.content].flat().filter((part) => part !== undefined && part !== null);
  return parts.map((part) => text((part as { text?: unknown }).text ?? part)).join("\n\n") || text(item.text);
}

export interface Part {
  type: string;
  text?: string;
  url?: string;
  path?: string;
  name?: string;
}

export function partsOf(item: Item): Part[] {
  if (Array.isArray(item.content)) return item.content as Part[];
  return [{ type: "text", text: text(item.content ?? item.text) }];
}

export function messageOf(item: Item): string {
  return partsOf(item)
    .map((part) => part.text ?? (part.type.includes("mage") ? "[image]" : `[${part.name ?? part.path ?? part.type}]`))
    .join("\n");
}

export function text(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value, null, 1);
}

function line(value: string): string {
  const flat = value.replace(/\s+/g, " ").trim();
  return flat.length > LEAST_TEXT ? `${flat.slice(0, LEAST_TEXT)}…` : flat;
}
