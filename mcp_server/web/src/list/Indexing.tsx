import { useEffect } from "preact/hooks";
import { wholeNumber } from "../parts/time.ts";
import type { Listing } from "./listing.ts";

const PAUSE_MS = 1_500;

/** How far the index is, while a home is read for the first time. The list follows by itself. */
export function Indexing({ listing }: { listing: Listing }) {
  const told = listing.incomplete.value;
  useEffect(() => {
    if (!told) return undefined;
    const timer = setInterval(() => void listing.again(), PAUSE_MS);
    return () => clearInterval(timer);
  }, [told]);
  if (!told) return null;
  const [, done, found] = /(\d+) of (\d+)/.exec(told) ?? [];
  return (
    <div class="indexing" role="status">
      <b>Reading your threads</b>{" "}
      {done && found && (
        <>
          <span class="figures soft">
            {wholeNumber(Number(done))} of {wholeNumber(Number(found))}
          </span>
          <div class="track" aria-hidden="true">
            <i style={{ width: `${(100 * Number(done)) / Math.max(1, Number(found))}%` }} />
          </div>
        </>
      )}
      <p>Newest first. Older threads come by themselves; you can work meanwhile.</p>
    </div>
  );
}
