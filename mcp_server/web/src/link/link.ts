/** The page's one way to the threads: in a browser it speaks MCP itself, in a host that shows apps the host does, and an
 * export holds them. */

import { signal } from "@preact/signals";
import type { Answers, ToolName } from "./answers.ts";

export type Arguments = Record<string, unknown>;

export interface Link {
  readonly kind: "browser" | "app" | "export";
  /** Throws a `ToolError` if the tool refuses, and a `ConnectionError` if nobody answers. */
  call<T extends ToolName>(tool: T, args?: Arguments, signal?: AbortSignal): Promise<Answers[T]>;
  /** Tells when the log of events has grown. Absent where only waiting for events tells it. */
  watch?(grown: () => void): () => void;
  /** The names of the tools that may be called; nothing if that can't be known. */
  tools(): Promise<Set<string> | undefined>;
  openAddress(address: string): void;
  /** In an export: the thread that all others are below. There is no list of threads, and nothing can be changed. */
  readonly root?: string;
  /** When an export was made. */
  readonly madeAt?: Date;
  /** Whether a thread can be shown. Absent where each can. */
  holds?(threadId: string): boolean;
  /** Puts a text into the host's chat. Absent outside of a host. */
  say?(text: string): Promise<void>;
}

/** What a tool answered instead of a result. The message is a whole sentence. */
export class ToolError extends Error {
  override name = "ToolError";
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** Nobody answered, or not what was asked. */
export class ConnectionError extends Error {
  override name = "ConnectionError";
}

/** The server answers, but not to this page: its key is not, or no longer, valid. */
export class RefusedError extends ConnectionError {
  override name = "RefusedError";
}

/** Since when nothing was answered; nothing while the connection stands. */
export const lostSince = signal<Date | undefined>(undefined);

export function lost(): void {
  lostSince.value ??= new Date();
}

let current: Link | undefined;

export function setLink(link: Link): void {
  current = link;
}

export const link = {
  get way(): Link {
    if (!current) throw new ConnectionError("The page is not connected yet.");
    return current;
  },

  holds(threadId: string): boolean {
    return this.way.holds?.(threadId) ?? true;
  },

  async call<T extends ToolName>(tool: T, args: Arguments = {}, stop?: AbortSignal): Promise<Answers[T]> {
    try {
      const answer = await this.way.call(tool, args, stop);
      lostSince.value = undefined;
      return answer;
    } catch (error) {
      if (error instanceof ConnectionError && !(error instanceof RefusedError)) lost();
      throw error;
    }
  },
};

/** The structured content of a tool's result, or the error that it tells. */
export function answerOf<T>(result: ToolResult): T {
  if (result.isError) {
    const meta = result._meta?.["threadstore/error"] as { code?: string } | undefined;
    const told = result.content?.find((part) => part.type === "text")?.text ?? "The tool failed.";
    throw new ToolError(sentence(told), meta?.code ?? "");
  }
  return result.structuredContent as T;
}

export interface ToolResult {
  isError?: boolean;
  structuredContent?: unknown;
  content?: { type: string; text?: string }[];
  _meta?: Record<string, unknown>;
}

/** The error's text as a person reads it: without the code at its end, and with a capital letter and a full stop. */
function sentence(text: string): string {
  const bare = text.replace(/ \(code: \w+\)$/, "").trim();
  const begun = bare.charAt(0).toUpperCase() + bare.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
