/** Whether the server lets the page change anything. */

import { signal } from "@preact/signals";
import { link } from "../link/link.ts";

/** The tools that may be called; nothing while that is not known, and then each is tried. */
export const tools = signal<Set<string> | undefined>(undefined);

export async function loadTools(): Promise<void> {
  tools.value = await link.way.tools().catch(() => undefined);
}

export function can(tool: string): boolean {
  return tools.value?.has(tool) ?? true;
}
