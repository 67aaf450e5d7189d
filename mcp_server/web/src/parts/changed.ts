/** Tells the views that the page itself has changed threads, so that they read them anew at once. */

import { signal } from "@preact/signals";

/** Grows with each change. */
export const changes = signal(0);

export function changed(): void {
  changes.value += 1;
}
