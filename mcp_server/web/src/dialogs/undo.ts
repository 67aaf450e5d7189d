/** Ways back: from an archive by the id of its operation, and from the archive. */

import { link } from "../link/link.ts";
import type { CascadeReceipt, Unarchived } from "../link/answers.ts";
import { changed } from "../parts/changed.ts";
import { counted } from "../parts/time.ts";
import { toast } from "../parts/toast.tsx";
import { outcome, tellProblem } from "./outcome.ts";
import { countOf, readable } from "./words.ts";

/** Brings back exactly what one archiving has put away; nothing if the receipt names no operation. */
export function undoOf(receipt: CascadeReceipt): (() => Promise<void>) | undefined {
  const { operation_id } = receipt;
  if (!operation_id) return undefined;
  return () => bringBack({ operation_id });
}

/** Brings archived threads back. What goes wrong stays in a dialog until it is read. */
export async function bringBack(which: { operation_id: string } | { thread_id: string }): Promise<void> {
  let answer: Unarchived;
  try {
    answer = await link.call("thread_unarchive", which);
  } catch (error) {
    tellProblem("Nothing was brought back", error);
    return;
  }
  changed();
  const title = `Brought back ${counted(countOf(answer, "unarchived"), "thread")}`;
  const before = countOf(answer, "already_unarchived");
  if (answer.failed?.length) {
    outcome.value = { title: `${title}, not ${counted(answer.failed.length, "other")}`, failed: answer.failed };
    return;
  }
  const receipt = readable(title, answer);
  toast({
    text: `${title}.`,
    ...(before && { dim: `${counted(before, "was", "were")} back before.` }),
    more: { label: "Receipt", run: () => (outcome.value = { title, receipt }) },
  });
}
