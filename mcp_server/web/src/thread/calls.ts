/** A tool call as a row that can be opened: what was done, how it ended, what went in and came out. */

import type { Item } from "../link/answers.ts";
import type { IconName } from "../parts/Icon.tsx";
import { span } from "../parts/time.ts";
import { changesOf, commandOf, parsed, text, toolOf } from "./told.ts";

export interface Call {
  icon: IconName;
  verb: string;
  what: string;
  note: string;
  ended: "well" | "failed" | "running" | "unknown";
  input: string;
  outputs: Output[];
}

export interface Output {
  path: string;
  text: string;
  /** Of an image: what makes its data an address, if it is none itself. */
  image?: string;
}

const ICONS: Record<string, IconName> = {
  commandExecution: "terminal",
  fileChange: "change",
  webSearch: "globe",
  imageView: "image",
  imageGeneration: "image",
};

export function callOf(item: Item): Call {
  const command = commandOf(item);
  return {
    icon: command ? "terminal" : (ICONS[item.type] ?? "tool"),
    ...named(item, command),
    note: noteOf(item),
    ended: endOf(item),
    input: command ? "" : pretty(item.arguments ?? ""),
    outputs: outputsOf(item),
  };
}

function named(item: Item, command: string): { verb: string; what: string } {
  if (command) return { verb: item.source === "userShell" ? "You ran" : "", what: command };
  switch (item.type) {
    case "fileChange": {
      const changes = changesOf(item);
      const verbs: Record<string, string> = { add: "Added", delete: "Deleted" };
      const kinds = new Set(changes.map((change) => verbs[change.kind] ?? "Changed"));
      return { verb: kinds.size === 1 ? [...kinds].join() : "Changed", what: changes.map((change) => change.path).join(", ") };
    }
    case "webSearch":
      return { verb: "Searched the web for", what: text(item.query) };
    case "imageView":
      return { verb: "Looked at", what: text(item.path) };
    case "mcpToolCall":
    case "dynamicToolCall":
      return { verb: "", what: toolOf(item) };
    default:
      return { verb: "", what: words(item.type) };
  }
}

function endOf(item: Item): Call["ended"] {
  const status = text(item.status);
  if (status === "inProgress") return "running";
  const failed = ["failed", "declined", "errored"].includes(status) || item.success === false || Boolean(item.error);
  if (failed || (typeof item.exit_code === "number" && item.exit_code !== 0)) return "failed";
  return status === "completed" || item.success === true ? "well" : "unknown";
}

function noteOf(item: Item): string {
  const notes: string[] = [];
  if (typeof item.duration_ms === "number") notes.push(span(item.duration_ms));
  if (item.status === "declined") notes.push("declined");
  if (typeof item.exit_code === "number" && item.exit_code !== 0) notes.push(`exit ${item.exit_code}`);
  return notes.join(", ");
}

const NOT_OUTPUT = new Set([
  "type", "id", "status", "started_at", "completed_at", "duration_ms", "truncated", "left_out", "tool", "server",
  "arguments", "command", "cwd", "source", "exit_code", "success", "process_id", "command_actions", "changes",
  "read_only_hint", "query",
]);

/** Each text and image that came out of the call, with the place where it stands. */
export function outputsOf(item: Item): Output[] {
  return Object.entries(item).flatMap(([name, value]) => (NOT_OUTPUT.has(name) ? [] : outputsIn(value, name)));
}

function outputsIn(value: unknown, path: string): Output[] {
  if (typeof value === "string") return value ? [{ path, text: value, ...(value.startsWith("data:image/") ? { image: "" } : {}) }] : [];
  if (Array.isArray(value)) return value.flatMap((part, n) => outputsIn(part, `${path}.${n}`));
  if (typeof value !== "object" || value === null) return value === undefined || value === null ? [] : [{ path, text: String(value) }];
  const part = value as Record<string, unknown>;
  const mime = text(part.mime_type ?? part.mimeType);
  if (mime.startsWith("image/") && typeof part.data === "string") {
    return [{ path: `${path}.data`, text: part.data, image: `data:${mime};base64,` }];
  }
  const told = ["text", "image_url", "message", "content"].find((name) => part[name]);
  return told ? outputsIn(part[told], `${path}.${told}`) : [{ path, text: pretty(part) }];
}

function pretty(value: unknown): string {
  const whole = typeof value === "string" ? (parsed(value) ?? value) : value;
  return typeof whole === "string" ? whole : JSON.stringify(whole, null, 2);
}

function words(type: string): string {
  const split = type.replace(/([A-Z])/g, " $1").toLowerCase();
  return split.charAt(0).toUpperCase() + split.slice(1);
}
