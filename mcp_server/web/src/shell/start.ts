import { effect, signal } from "@preact/signals";
import { link } from "../link/link.ts";
import { loadTools } from "./abilities.ts";
import { sentenceOf } from "../parts/sentence.ts";

export type Start = { stage: "connecting" } | { stage: "ready" } | { stage: "failed"; why: string };

export const start = signal<Start>({ stage: "connecting" });

export function started(): void {
  document.body.dataset.way = link.way.kind;
  void loadTools();
  start.value = { stage: "ready" };
}

export function failedToStart(error: unknown): void {
  start.value = { stage: "failed", why: sentenceOf(error) };
  drawn();
}

/** Whether the server still reads the home for the first time. Counts have to wait for it, the list has not. */
export const indexing = signal(false);
const isDrawn = signal(false);

/** Marks that the first data is drawn, for whoever waits to look at the page. */
export function drawn(): void {
  document.body.dataset.ready = "";
  isDrawn.value = true;
}

/** When the first data is drawn and the index is whole. A browser has six connections to one server, and those that wait
 * for the index would hold up the list. */
export function whenCalm(): Promise<void> {
  return new Promise((go) => {
    const leave = effect(() => {
      if (isDrawn.value && !indexing.value) queueMicrotask(() => (leave(), go()));
    });
  });
}
