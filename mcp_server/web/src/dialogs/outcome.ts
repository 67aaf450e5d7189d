/** What is told after a deed, besides its toast: a receipt that the reader asks for, or what went wrong. */

import { signal } from "@preact/signals";
import type { CascadeReceipt } from "../link/answers.ts";
import { sentenceOf } from "../parts/sentence.ts";
import { type ReadableReceipt } from "./words.ts";

export interface Outcome {
  title: string;
  /** Why it went wrong, as a sentence. */
  problem?: string | undefined;
  failed?: CascadeReceipt["failed"];
  receipt?: ReadableReceipt | undefined;
}

export const outcome = signal<Outcome | undefined>(undefined);

/** Shows what the tool refused. A toast would take the reason with it when it goes. */
export function tellProblem(title: string, error: unknown): void {
  outcome.value = { title, problem: sentenceOf(error) };
}
