/** Receipts in words. */

import type { CascadeReceipt } from "../link/answers.ts";
import { wholeNumber } from "../parts/time.ts";

type ListName =
  | "archived"
  | "already_archived"
  | "unarchived"
  | "already_unarchived"
  | "deleted"
  | "already_gone"
  | "interrupted"
  | "failed"
  | "copies";

/** How long a list of a receipt is, with the part that the answer had no room for. */
export function countOf(receipt: CascadeReceipt, name: ListName): number {
  return listOf(receipt, name).length + (receipt.left_out?.[name] ?? 0);
}

function listOf(receipt: CascadeReceipt, name: ListName): unknown[] {
  return (receipt as Partial<Record<ListName, unknown[]>>)[name] ?? [];
}

/** A receipt for a person to read: facts, then lists with what each is. */
export interface ReadableReceipt {
  title: string;
  facts: [name: string, value: string][];
  lists: [name: string, lines: string[]][];
}

const IDS: [ListName, string][] = [
  ["archived", "Moved to the archive"],
  ["already_archived", "Archived before"],
  ["unarchived", "Brought back"],
  ["already_unarchived", "Back before"],
  ["deleted", "Deleted"],
  ["already_gone", "Gone before"],
  ["interrupted", "Stopped"],
  ["copies", "Copies, left as they are"],
];

export function readable(title: string, receipt: CascadeReceipt): ReadableReceipt {
  const lists: ReadableReceipt["lists"] = [];
  for (const [name, label] of IDS) {
    const lines = listOf(receipt, name).map(String);
    const left = receipt.left_out?.[name];
    if (lines.length) lists.push([label, left ? [...lines, `and ${wholeNumber(left)} more`] : lines]);
  }
  const failed = receipt.failed?.map((one) => `${one.thread_id} ${one.reason}`);
  if (failed?.length) lists.push(["Passed over", failed]);
  const facts: ReadableReceipt["facts"] = [];
  if (receipt.operation_id) facts.push(["Operation", receipt.operation_id]);
  if (receipt.codex_db) facts.push(["Codex's own database", receipt.codex_db]);
  return { title, facts, lists };
}

/** An id for one deed, so that a call that is sent twice is done once. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
