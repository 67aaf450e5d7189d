/** The page as an MCP client of its own, over Streamable HTTP of 2026-07-28, at the address that it came from. */

import { answerOf, type Arguments, ConnectionError, type Link, lost, RefusedError, type ToolResult } from "./link.ts";
import type { Answers, ToolName } from "./answers.ts";
import { frames } from "./frames.ts";

const VERSION = "2026-07-28";
const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientInfo": { name: "threadstore-page", title: "Threadstore page", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
const GREW = "threads://events";
const LEAST_PAUSE_MS = 1_000;
const MOST_PAUSE_MS = 15_000;

interface Message {
  id?: number | string;
  method?: string;
  result?: unknown;
  error?: { code: number; message: string };
}

export class BrowserLink implements Link {
  readonly kind = "browser";
  #last = 0;

  constructor(
    private readonly key: string,
    private readonly address = "/mcp",
  ) {}

  async call<T extends ToolName>(tool: T, args: Arguments = {}, stop?: AbortSignal): Promise<Answers[T]> {
    const result = await this.#ask("tools/call", { name: tool, arguments: args }, stop);
    return answerOf<Answers[T]>(result as ToolResult);
  }

  async tools(): Promise<Set<string>> {
    const { tools } = (await this.#ask("tools/list", {})) as { tools: { name: string }[] };
    return new Set(tools.map((tool) => tool.name));
  }

  /** Listens while the page is in sight: a browser has few connections to one server, and each tab takes one. */
  watch(grown: () => void): () => void {
    let stop: AbortController | undefined;
    const begin = () => {
      stop?.abort();
      stop = undefined;
      if (document.hidden) return;
      stop = new AbortController();
      grown();
      void this.#listen(grown, stop.signal);
    };
    document.addEventListener("visibilitychange", begin);
    begin();
    return () => {
      document.removeEventListener("visibilitychange", begin);
      stop?.abort();
    };
  }

  openAddress(address: string): void {
    window.open(address, "_blank", "noopener,noreferrer");
  }

  async #listen(grown: () => void, stop: AbortSignal): Promise<void> {
    for (let pause = LEAST_PAUSE_MS; !stop.aborted; pause = Math.min(MOST_PAUSE_MS, pause * 2)) {
      try {
        const params = { notifications: { resourceSubscriptions: [GREW] } };
        const response = await this.#send("subscriptions/listen", params, stop);
        for await (const message of frames<Message>(response)) {
          pause = LEAST_PAUSE_MS;
          if (message.method?.startsWith("notifications/")) grown();
        }
      } catch (error) {
        if (error instanceof RefusedError) return;
        if (error instanceof ConnectionError) lost();
      }
      await new Promise((go) => setTimeout(go, pause));
    }
  }

  async #ask(method: string, params: Arguments, stop?: AbortSignal): Promise<unknown> {
    const response = await this.#send(method, params, stop);
    const message = await this.#answer(response);
    if (message.error) throw new ConnectionError(message.error.message);
    return message.result;
  }

  async #answer(response: Response): Promise<Message> {
    if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
      for await (const message of frames<Message>(response)) if (message.id !== undefined) return message;
      throw new ConnectionError("The server ended the connection before it answered.");
    }
    try {
      return (await response.json()) as Message;
    } catch {
      throw new ConnectionError(`The server answered with status ${response.status} and nothing that can be read.`);
    }
  }

  async #send(method: string, params: Arguments, stop?: AbortSignal): Promise<Response> {
    const id = ++this.#last;
    const headers: Record<string, string> = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      authorization: `Bearer ${this.key}`,
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
    };
    if (typeof params.name === "string") headers["mcp-name"] = params.name;
    const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: ENVELOPE } });
    let response: Response;
    try {
      response = await fetch(this.address, { method: "POST", headers, body, ...(stop ? { signal: stop } : {}) });
    } catch (error) {
      if (stop?.aborted) throw error;
      throw new ConnectionError("The server does not answer. Is `threadstore browse` still running?");
    }
    if (response.status === 401) {
      throw new RefusedError("The key of this page is not valid any more. Run `threadstore browse` again.");
    }
    return response;
  }
}
