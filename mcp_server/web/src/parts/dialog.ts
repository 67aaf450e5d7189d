/** Which dialog is open. */

import { signal } from "@preact/signals";
import type { ThreadFacts } from "./thread.ts";

export type DialogRequest =
  | { kind: "archive"; threads: ThreadFacts[] }
  | { kind: "unarchive"; threads: ThreadFacts[] }
  | { kind: "delete"; threads: ThreadFacts[] }
  | { kind: "name"; thread: ThreadFacts; again?: Again<string> }
  | { kind: "tags"; thread: ThreadFacts; again?: Again<string[]> }
  | { kind: "keys" };

/** What could not be changed back: the dialog says why, and offers to try it again. */
export interface Again<Value> {
  value: Value;
  why: string;
}

export const dialog = signal<DialogRequest | undefined>(undefined);

export function open(request: DialogRequest): void {
  dialog.value = request;
}

export function close(): void {
  dialog.value = undefined;
}
