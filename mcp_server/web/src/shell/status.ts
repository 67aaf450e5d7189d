/** The store's own word on its files. It looks at each of them, so it is asked now and then only. */

import type { StoreStatus } from "../link/answers.ts";
import { link } from "../link/link.ts";

const KEPT_MS = 5 * 60_000;
let asked: { at: number; answer: Promise<StoreStatus> } | undefined;

export function storeStatus(): Promise<StoreStatus> {
  if (asked && performance.now() - asked.at < KEPT_MS) return asked.answer;
  const answer = link.call("store_status", { response_format: "detailed" });
  asked = { at: performance.now(), answer };
  answer.catch(() => {
    asked = undefined;
  });
  return answer;
}
