/** The page inside of a chat: an MCP App, whose host calls the tools for it. */

import "./no_jit.ts";
import { App } from "@modelcontextprotocol/ext-apps";
import { signal } from "@preact/signals";
import { go } from "../parts/route.ts";
import type { Answers, ThreadRead, ToolName, Tree } from "./answers.ts";
import { answerOf, type Arguments, ConnectionError, type Link, type ToolResult } from "./link.ts";

export interface Opening {
  tool: string;
  args: Arguments;
  answer: unknown;
}

/** What the chat shows in the page: the call that opened it, and whether the page has the whole window. */
export const opening = signal<Opening | undefined>(undefined);
export const inline = signal(false);
export const canGrow = signal(false);

export class HostLink implements Link {
  readonly kind = "app";
  readonly #app = new App({ name: "threadstore-page", version: "1" }, { availableDisplayModes: ["inline", "fullscreen"] });
  #args: Arguments = {};

  async connect(): Promise<void> {
    this.#app.addEventListener("toolinput", ({ arguments: args }) => {
      this.#args = args ?? {};
    });
    this.#app.addEventListener("toolresult", (result) => {
      if (result.isError) return;
      const tool = this.#app.getHostContext()?.toolInfo?.tool.name ?? "";
      opening.value = { tool, args: this.#args, answer: result.structuredContent };
      showWhole(result.structuredContent);
    });
    this.#app.addEventListener("hostcontextchanged", () => this.#takeOver());
    await this.#app.connect();
    this.#takeOver();
  }

  async call<T extends ToolName>(tool: T, args: Arguments = {}, stop?: AbortSignal): Promise<Answers[T]> {
    const options = { timeout: 120_000, ...(stop ? { signal: stop } : {}) };
    let result: ToolResult;
    try {
      result = (await this.#app.callServerTool({ name: tool, arguments: args }, options)) as ToolResult;
    } catch (error) {
      if (stop?.aborted) throw error;
      throw new ConnectionError(error instanceof Error ? error.message : "The host did not answer.");
    }
    return answerOf<Answers[T]>(result);
  }

  async tools(): Promise<undefined> {
    return undefined;
  }

  openAddress(address: string): void {
    void this.#app.openLink({ url: address });
  }

  async say(text: string): Promise<void> {
    await this.#app.sendMessage({ role: "user", content: [{ type: "text", text }] });
  }

  async grow(): Promise<void> {
    const { mode } = await this.#app.requestDisplayMode({ mode: "fullscreen" });
    setInline(mode === "inline");
  }

  /** Takes the host's theme, language and place over. */
  #takeOver(): void {
    const context = this.#app.getHostContext();
    if (!context) return;
    if (context.theme) document.documentElement.style.colorScheme = context.theme;
    if (context.locale) document.documentElement.lang = context.locale;
    if (context.displayMode) setInline(context.displayMode === "inline");
    canGrow.value = context.availableDisplayModes?.includes("fullscreen") ?? false;
    for (const name of ["--font-sans", "--font-mono"] as const) {
      const font = context.styles?.variables?.[name];
      if (font) document.documentElement.style.setProperty(name, font);
    }
  }
}

/** An answer about one thread is shown as its conversation or as its tree, not as a row. */
function showWhole(answer: unknown): void {
  const { thread, nodes, thread_id: id } = (answer ?? {}) as Partial<ThreadRead & Tree>;
  if (thread) go("thread", thread.id);
  else if (nodes?.[0]) go("tree", id ?? nodes[0].thread_id);
}

function setInline(is: boolean): void {
  inline.value = is;
  document.body.toggleAttribute("data-inline", is);
}
