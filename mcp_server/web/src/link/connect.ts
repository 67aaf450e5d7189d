/** Chooses the way to the threads: those in the page itself if it is an export, the host's server if the page is in a chat,
 * else its own. */

import { BrowserLink } from "./browser.ts";
import { exportIn } from "./exported.ts";
import { HostLink } from "./host.ts";
import { takeKey } from "./key.ts";
import { setLink } from "./link.ts";
import { follow } from "./live.ts";
import { showOpening } from "./opened.ts";

export async function connect(): Promise<void> {
  const exported = exportIn(document);
  if (exported) return setLink(exported);
  if (window.parent === window) {
    setLink(new BrowserLink(await takeKey(isTaken)));
  } else {
    tighten();
    const host = new HostLink();
    setLink(host);
    await host.connect();
    showOpening();
  }
  follow();
}

/** A host may allow more than the page needs: from here on no further script runs, and HTML comes from the sanitiser. */
function tighten(): void {
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = "script-src 'none'; require-trusted-types-for 'script'; trusted-types dompurify";
  document.head.append(policy);
}

async function isTaken(key: string): Promise<boolean> {
  return Boolean(await new BrowserLink(key).tools());
}
