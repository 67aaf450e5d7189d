/** The list as the reader left it, so that going back leads to the same place. */

import type { Listing } from "./listing.ts";

export interface Left {
  /** The filters, as text. */
  key: string;
  listing: Listing;
  /** What ran then. */
  live: Listing;
  scrollTop: number;
  chosen: number;
}

let left: Left | undefined;

export function keep(list: Left): void {
  left = list;
}

export function recall(key: string): Left | undefined {
  return left?.key === key ? left : undefined;
}
