/** The key to the server. It stays in the tabs: storage on disk would outlive them, and a cookie goes to every port of
 * this machine. A new tab asks those that are open; a channel reaches pages of the same address alone. */

import { ConnectionError } from "./link.ts";

const KEPT = "threadstore-key";
const ASK = "which key?";
const PATIENCE_MS = 2_000;

/** The key from the address, which is then taken out of it; or the one that this tab kept, or another tab has. */
export async function takeKey(isValid: (key: string) => Promise<boolean>): Promise<string> {
  const channel = new BroadcastChannel(KEPT);
  const key = given() ?? sessionStorage.getItem(KEPT) ?? (await asked(channel, isValid));
  if (!key) throw new ConnectionError("This page has no key. Open the address that `threadstore browse` shows.");
  sessionStorage.setItem(KEPT, key);
  channel.onmessage = ({ data }) => data === ASK && channel.postMessage({ key });
  return key;
}

function given(): string | undefined {
  const key = /^#key=([^&]+)/.exec(location.hash)?.[1];
  if (key) history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  return key && decodeURIComponent(key);
}

/** The first key of another tab that the server takes: a tab may still have that of a server that has ended. */
function asked(channel: BroadcastChannel, isValid: (key: string) => Promise<boolean>): Promise<string | undefined> {
  return new Promise((take) => {
    setTimeout(() => take(undefined), PATIENCE_MS);
    channel.onmessage = async ({ data }) => {
      if (typeof data?.key === "string" && (await isValid(data.key).catch(() => false))) take(data.key);
    };
    channel.postMessage(ASK);
  });
}
